"""Fix-ups of datasets of programs."""

from __future__ import annotations

import hashlib

import orjson
import pyarrow as pa

from xmtf.sources.adapters.base import Adapted, column, keep, with_column
from xmtf.sources.reference import SourceRef

__all__ = ["apps", "mbpp", "xlcost"]


def mbpp(ref: SourceRef, table: pa.Table) -> Adapted:
    """Give the programs Unix line ends without trailing spaces; join the tests as ``tests``."""
    programs = [_unix(program or "") for program in column(ref, table, "code")]
    tests = ["\n".join(tests or []) for tests in column(ref, table, "test_list")]
    return Adapted(with_column(with_column(table, "code", programs), "tests", tests))


def _unix(program: str) -> str:
    r"""Return a program with ``\n`` line ends and no spaces before them.

    >>> _unix("def f():\r\n\treturn 1 \r\n")
    'def f():\n\treturn 1'
    """
    return "\n".join(line.rstrip() for line in program.splitlines()).strip("\n")


def apps(ref: SourceRef, table: pa.Table, first: int = 0) -> Adapted:
    """Add ``solution``: one of the JSON list ``solutions``, drawn by a hash of the row; drop rows without any.

    Args:
        ref: What the rows are of.
        table: The rows.
        first: Number of the first of them in the split.
    """
    lists = [_json_list(text) for text in column(ref, table, "solutions")]
    chosen = [_draw(ref, row, solutions) for row, solutions in enumerate(lists, first)]
    return keep(with_column(table, "solution", chosen), [bool(text) for text in chosen], "no solution")


def _json_list(text: str | None) -> list[str]:
    try:
        solutions = orjson.loads(text or "[]")
    except orjson.JSONDecodeError:
        return []
    return [solution for solution in solutions if isinstance(solution, str) and solution.strip()]


def _draw(ref: SourceRef, row: int, solutions: list[str]) -> str:
    if not solutions:
        return ""
    digest = hashlib.sha256(f"{ref.dataset} {ref.subset} {ref.split} {row}".encode()).digest()
    return solutions[int.from_bytes(digest[:8], "big") % len(solutions)]


def xlcost(ref: SourceRef, table: pa.Table) -> Adapted:
    """Add ``code_clean``: the token sequence ``code`` as lines with tabs."""
    return Adapted(with_column(table, "code_clean", [_lines(code or "") for code in column(ref, table, "code")]))


def _lines(code: str) -> str:
    r"""Turn XLCoST's layout tokens into layout.

    INDENT and DEDENT change the depth of their own line already, as in xP3's builder.

    >>> _lines("def f ( ) : NEW_LINE INDENT return 1 NEW_LINE DEDENT x = 2")
    'def f ( ) :\n\treturn 1\nx = 2'
    """
    depth = 0
    lines = []
    for piece in code.split("NEW_LINE"):
        depth += piece.count("INDENT") - piece.count("DEDENT")
        text = piece.replace("INDENT", "").replace("DEDENT", "").replace("STRNEWLINE", "\n").replace("TABSYMBOL", "\t")
        lines.append("\t" * max(0, depth) + text.strip())
    return "\n".join(lines)
