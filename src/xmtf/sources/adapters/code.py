"""Fix-ups of datasets of programs."""

from __future__ import annotations

import pyarrow as pa

from xmtf.sources.adapters.base import Adapted, column, with_column
from xmtf.sources.reference import SourceRef

__all__ = ["mbpp"]


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
