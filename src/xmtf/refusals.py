"""What the system refuses a program, as one line that says what to do: no room, no memory, a folder that is gone.

Libraries hide the same refusal behind their own errors, some without its number: what they write is read, too.
"""

from __future__ import annotations

import errno
import re

__all__ = ["DISK_FULL", "explain_refusal", "is_disk_full", "refusal_code"]

DISK_FULL = "the disk is full; free some space and run the same command again to resume"
_TOO_LARGE = "a file would grow larger than is allowed (`ulimit -f`, or the file system's limit)"
_NO_MEMORY = "there is not enough memory; use fewer rows or workers, a smaller batch, or a larger machine"
_TOO_MANY_FILES = "too many files are open at once; raise `ulimit -n`, or use fewer workers"

_ADVICE = {
    errno.ENOENT: "does not exist, or no longer; was a folder removed or renamed meanwhile?",
    errno.EACCES: "may not be read or written (permission denied)",
    errno.EPERM: "may not be read or written (permission denied)",
    errno.EROFS: "is on a read-only file system; give another folder",
    errno.EEXIST: "already exists and is not a folder; give another one",
    errno.ENOTDIR: "has a file where a folder is expected",
    errno.EISDIR: "is a folder where a file is expected",
    errno.ENOTEMPTY: "is a folder to which something was added meanwhile",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ELOOP: "is a link that leads back to itself",
    errno.EIO: "cannot be read or written: the device reports an error",
    errno.ESTALE: "no longer exists: the network file system lost it; run the same command again to resume",
    errno.EBUSY: "is in use by the system",
}
"""What the system refuses -> what the user can see and fix."""

_SHORT_WRITE = r"\d+ requested and -?\d+ written"  # numpy, without a number
_WHOLE = (
    (DISK_FULL, (errno.ENOSPC, errno.EDQUOT), rf"no space left|quota exceeded|disk is full|{_SHORT_WRITE}"),
    (DISK_FULL, (), r"PytorchStreamWriter failed writing"),
    (_TOO_LARGE, (errno.EFBIG,), r"file too large"),
    (_NO_MEMORY, (errno.ENOMEM,), r"cannot allocate memory|can't allocate memory|can't start new thread|bad_alloc"),
    (_TOO_MANY_FILES, (errno.EMFILE, errno.ENFILE), r"too many open files"),
)
"""Lines that say it all, with the numbers and the words of errors that mean them."""


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error says that nothing more can be written.

    >>> is_disk_full(OSError("1000 requested and 12 written")), is_disk_full(OSError("oops"))
    (True, False)
    """
    return _whole(error) == DISK_FULL


def refusal_code(line: str) -> str:
    """Return the stable code of a line of :func:`explain_refusal`."""
    return {DISK_FULL: "disk-full", _NO_MEMORY: "no-memory"}.get(line, "system")


def explain_refusal(error: BaseException) -> str | None:
    """Return the line for what the system refused, or None where the error is of another kind.

    >>> explain_refusal(NotADirectoryError(20, "Not a directory", "runs/demo"))
    'runs/demo: has a file where a folder is expected'
    """
    whole = _whole(error)
    if whole is not None:
        return whole
    if _was_full(error):
        return DISK_FULL
    if not isinstance(error, OSError) or error.errno not in _ADVICE:
        return None
    where = error.filename2 or error.filename  # of a rename, where it was to lead
    if where is None:  # pyarrow and others put the name into the text
        where = " ".join((error.strerror or str(error)).split())
    return f"{where if isinstance(where, str) else _text(where)}: {_ADVICE[error.errno]}"


def _was_full(error: BaseException) -> bool:
    """Return whether an error came while a library gave up what a full disk had stopped."""
    before = error.__cause__ or error.__context__
    return before is not None and (is_disk_full(before) or _was_full(before))


def _whole(error: BaseException) -> str | None:
    if isinstance(error, MemoryError):
        return _NO_MEMORY
    number = error.errno if isinstance(error, OSError) else None
    for line, numbers, words in _WHOLE:
        if number in numbers or re.search(words, str(error), re.IGNORECASE):
            return line
    return None


def _text(name: object) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)
