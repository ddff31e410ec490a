"""The codes of errors, as ``--json`` prints them and ``docs/errors.md`` lists them.

The page is made by ``python -m xmtf.cli.terminal.error_codes > docs/errors.md``.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

from xmtf.cli.terminal.printing import print_text
from xmtf.errors import DataError, LostProcessError, UserError, XmtfError

__all__ = ["EDGE", "error_page", "error_rows"]

EDGE: dict[str, tuple[int, str, str]] = {
    "usage": (2, "Invalid command line: an option, an argument or a verb.", "See `--help` of the verb."),
    "disk-full": (2, "The disk or quota is full.", "Free some space and run the same command again; it resumes."),
    "no-memory": (2, "Out of memory.", "Use fewer rows or workers, or a smaller batch."),
    "system": (
        2,
        "A file cannot be used: it no longer exists, may not be read or written, or is too large.",
        "Follow the message about the path that it names.",
    ),
    "interrupted": (130, "Ctrl-C, SIGTERM or SIGHUP.", "Run the same command again: finished work is kept."),
    "fault": (
        1,
        "A bug in xmtf; the traceback is printed above.",
        "Report it with the traceback and the output of `xmtf doctor --report`.",
    ),
}
"""Code -> exit code, what happened and the remedy, of errors that are no :class:`xmtf.errors.XmtfError`."""
_DEFINED_ELSEWHERE = (
    "xmtf.report.figures.drawing.fonts",
    "xmtf.tokens.rows.opening",
    "xmtf.studio.saving",
    "xmtf.studio.process.worker",
)
"""Modules with their own errors."""


def error_rows() -> Iterator[tuple[str, int, str, str]]:
    """Yield code, exit code, what happened and the remedy of every error."""
    for module in _DEFINED_ELSEWHERE:
        import_module(module)
    kinds: list[type[XmtfError]] = [UserError, *_below(UserError), DataError, *_below(DataError), LostProcessError]
    for kind in kinds:
        happened = (kind.__doc__ or "").partition("\n")[0].replace("``", "`")
        yield kind.code, 2 if issubclass(kind, UserError) else 1, happened, kind.remedy
    for code, (exit_code, happened, remedy) in EDGE.items():
        yield code, exit_code, happened, remedy


def _below(kind: type[XmtfError]) -> Iterator[type[XmtfError]]:
    for each in sorted(kind.__subclasses__(), key=lambda found: found.code):
        if "code" in vars(each):  # others are special cases, and have the code of their kind
            yield each
        yield from _below(each)


def error_page() -> str:
    """Return ``docs/errors.md``."""
    rows = "\n".join(f"| `{code}` | {number} | {what} | {remedy} |" for code, number, what, remedy in error_rows())
    return f"""\
# Errors

An error is one line on stderr that names the file, key, row or dataset and what to do. With `--json` the line
is an object on stderr too, and results on stdout stay results:

    {{"error": {{"code": "config", "message": "...", "exit_code": 2, "remedy": "..."}}}}

Codes never change; messages may. `--verbose` also prints the traceback.

| code | exit code | what happened | what to do |
| --- | --- | --- | --- |
{rows}

This page is generated from the code: `python -m xmtf.cli.terminal.error_codes > docs/errors.md`.
"""


if __name__ == "__main__":
    print_text(error_page(), end=False)
