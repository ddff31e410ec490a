"""Fix-ups of datasets of worked problems."""

from __future__ import annotations

import re

import pyarrow as pa

from xmtf.sources.adapters.base import Adapted, column, keep, with_column
from xmtf.sources.reference import SourceRef

__all__ = ["gsm8k"]

_CALCULATOR = re.compile(r"<<[^<>]*>>")


def gsm8k(ref: SourceRef, table: pa.Table) -> Adapted:
    r"""Split the worked answer into ``solution`` (without calculator marks) and ``final_answer`` (digits).

    ``She has 2+3 = <<2+3=5>>5 eggs.\n#### 1,005`` becomes ``She has 2+3 = 5 eggs.`` and ``1005``.
    """
    parts = [(answer or "").rpartition("####") for answer in column(ref, table, "answer")]
    solutions = [_CALCULATOR.sub("", before).strip() for before, _, _ in parts]
    finals = [after.strip().replace(",", "") if mark else "" for _, mark, after in parts]
    table = with_column(with_column(table, "solution", solutions), "final_answer", finals)
    return keep(table, [bool(final) for final in finals], "no final answer")
