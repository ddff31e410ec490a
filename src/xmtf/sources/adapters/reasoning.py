"""Fix-ups of datasets of worked problems."""

from __future__ import annotations

import re

import pyarrow as pa

from xmtf.sources.adapters.base import Adapted, column, keep, with_column
from xmtf.sources.reference import SourceRef

__all__ = ["gsm8k", "mgsm"]

_CALCULATOR = re.compile(r"<<[^<>]*>>")
_HEADING = re.compile(r"^[^:：]{1,40}[:：]\s*")


def gsm8k(ref: SourceRef, table: pa.Table) -> Adapted:
    r"""Split the worked answer into ``solution`` (without calculator marks) and ``final_answer`` (digits).

    ``She has 2+3 = <<2+3=5>>5 eggs.\n#### 1,005`` becomes ``She has 2+3 = 5 eggs.`` and ``1005``.
    """
    parts = [(answer or "").rpartition("####") for answer in column(ref, table, "answer")]
    solutions = [_CALCULATOR.sub("", before).strip() for before, _, _ in parts]
    finals = [after.strip().replace(",", "") if mark else "" for _, mark, after in parts]
    table = with_column(with_column(table, "solution", solutions), "final_answer", finals)
    return keep(table, [bool(final) for final in finals], "no final answer")


def mgsm(ref: SourceRef, table: pa.Table) -> Adapted:
    """Take the headings off questions and worked answers, and give the number as text.

    Rows of ``train`` begin with a heading in their language (``Frage: ...``, ``Schritt-für-Schritt-Antwort: ...``),
    those of ``test`` have no worked answer. Adds ``solution`` (empty in ``test``) and ``final_answer``; for MGSM and
    AfriMGSM.
    """
    answers = column(ref, table, "answer")
    worked = zip(column(ref, table, "question"), answers, strict=True)
    questions = [_HEADING.sub("", question or "") if answer else (question or "") for question, answer in worked]
    finals = [_number(value) for value in column(ref, table, "answer_number")]
    table = with_column(table, "question", [question.strip() for question in questions])
    table = with_column(table, "solution", [_HEADING.sub("", answer or "").strip() for answer in answers])
    table = with_column(table, "final_answer", finals)
    return keep(table, [bool(final) for final in finals], "no final answer")


def _number(value: object) -> str:
    """Return a number as the dataset means it, without a decimal part that is none.

    >>> _number(18), _number(18.0), _number("2,125"), _number(None)
    ('18', '18', '2125', '')
    """
    text = "" if value is None else str(value).strip().replace(",", "")
    return text[:-2] if text.endswith(".0") else text
