"""Answers that wait for the one file that a command writes: they lie in a hidden folder next to it until it is there.

::

    .answers.jsonl.work/      answers-*.jsonl    the journal
                              written            hash of the file, from just before it is there
    answers.jsonl             the file
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from xmtf.artefacts.ownership import WRITTEN, claim, new_file, work_beside
from xmtf.evaluation.asking.journal import Journal
from xmtf.files import alone_in, atomic_path, discard_folder, write_text
from xmtf.results.files import JOURNALS

__all__ = ["Waiting", "waiting_answers"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """The journal of a command, and the file that it ends in.

    Attributes:
        journal: Of its answers; in memory alone where there is no file.
        out: The file, or None.
    """

    journal: Journal
    out: Path | None

    def write(self, rows: Iterable[object]) -> None:
        """Write the file, one JSON value a line; without one, do nothing."""
        if self.out is None:
            return
        content = b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)
        write_text(work_beside(self.out) / WRITTEN, hashlib.sha256(content).hexdigest())
        with atomic_path(self.out) as temporary:
            temporary.write_bytes(content)


@contextmanager
def waiting_answers(out: Path | None, settings: object, *, replace: bool = False) -> Iterator[Waiting]:
    """Give the journal of a command that writes one file; what a killed one left is taken up.

    Args:
        out: The file; None keeps the answers in memory.
        settings: Everything that decides an answer.
        replace: Whether a file that is there is overwritten.

    Raises:
        UserError: Another process makes the same file, or something is there.
    """
    if out is None:
        yield Waiting(Journal(None, settings), None)
        return
    work = work_beside(out)
    with alone_in(work, what="work"):
        if not any(work.glob(JOURNALS)):
            claim(work, "answers", "answers that wait", hidden=True)
        journal = Journal(work, settings)
        if not len(journal):
            (work / WRITTEN).unlink(missing_ok=True)  # of other settings: that file is finished
        new_file(out, replace=replace)
        yield Waiting(journal, out)
        discard_folder(work)
