"""Questions with options to choose from: one shape for the many in which datasets publish them.

Whatever the columns are called, templates see ``question``, ``options`` (a list of texts), ``answer`` (the place of the
right one, from 0) and ``passage`` (empty where there is none). So the national sets of exam questions need no separate
templates:

::

    question, option_a .. option_d, answer "B"          Global-MMLU
    Question, A .. D, Answer "B"                        MMMLU, CMMLU
    question, A .. D, answer 2                          KMMLU (from 1)
    question, choices [..], answer "B" or 1             TurkishMMLU, GreekMMLU, AfriMMLU
    Question, Context, Option 1 .. Option 5, Answer Key ArabicMMLU
    flores_passage, question, mc_answer1 .., "2"        Belebele (from 1)
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from xmtf.errors import SourceError
from xmtf.sources.adapters.base import Adapted, column
from xmtf.sources.reference import SourceRef

__all__ = ["belebele", "global_mmlu", "options", "options_from_one"]

_QUESTIONS = ("question", "Question")
_PASSAGES = ("flores_passage", "passage", "Context", "context")
_ANSWERS = ("answer", "Answer", "Answer Key", "correct_answer_num", "label")
_LISTS = ("choices", "options")
_LETTERS = "ABCDEFGHIJ"
_EACH = (
    tuple(f"option_{letter.lower()}" for letter in _LETTERS),
    tuple(f"mc_answer{number}" for number in range(1, 11)),
    tuple(f"Option {number}" for number in range(1, 11)),
    tuple(_LETTERS),
)
"""Columns of single options, in order; as many of them as the rows have."""

_NO_QUESTION = "no question"
_FEW = "fewer than two options"
_EMPTY = "an option is empty"
_NO_ANSWER = "the answer is none of the options"


def options(ref: SourceRef, table: pa.Table) -> Adapted:
    """Give the rows one shape; answers are letters, or numbers from 0."""
    return _options(ref, table, first=0)


def options_from_one(ref: SourceRef, table: pa.Table) -> Adapted:
    """As :func:`options`, with answers numbered from 1."""
    return _options(ref, table, first=1)


def belebele(ref: SourceRef, table: pa.Table) -> Adapted:
    """As :func:`options_from_one`; translations of a question have the same row number.

    Files of different languages have their rows in different orders: the address of the passage and the number of the
    question name them.
    """
    return _options(ref, table, first=1, keys=("link", "question_number"))


def global_mmlu(ref: SourceRef, table: pa.Table) -> Adapted:
    """As :func:`options`; translations of a question have the same row number, whatever rows a language has."""
    return _options(ref, table, first=0, keys=("sample_id",))


def _options(ref: SourceRef, table: pa.Table, *, first: int, keys: Sequence[str] = ()) -> Adapted:
    questions = column(ref, table, _one_of(ref, table, _QUESTIONS, "the question"))
    passages = [name for name in _PASSAGES if name in table.column_names]
    listed = _option_lists(ref, table)
    answers = column(ref, table, _one_of(ref, table, _ANSWERS, "the right answer"))
    numbers = np.arange(table.num_rows, dtype=np.int64) if not keys else _row_numbers(ref, table, keys)
    kept: list[int] = []
    gold: list[int] = []
    dropped: dict[str, int] = {}
    for place, (question, row, answer) in enumerate(zip(questions, listed, answers, strict=True)):
        right = _place(answer, first, len(row))
        reason = _reason(question, row, right)
        if reason is None and right is not None:
            kept.append(place)
            gold.append(right)
        elif reason is not None:
            dropped[reason] = dropped.get(reason, 0) + 1
    made: dict[str, pa.Array] = {
        "question": pa.array([str(questions[place]).strip() for place in kept], pa.string()),
        "options": pa.array([listed[place] for place in kept], pa.list_(pa.string())),
        "answer": pa.array(gold, pa.int64()),
    }
    texts = column(ref, table, passages[0]) if passages else [""] * table.num_rows
    made["passage"] = pa.array([(texts[place] or "").strip() for place in kept], pa.string())
    table = table.take(pa.array(kept, pa.int64()))
    for name, values in made.items():
        place = table.schema.get_field_index(name)
        table = table.append_column(name, values) if place < 0 else table.set_column(place, name, values)
    return Adapted(table, numbers[kept], dropped)


def _one_of(ref: SourceRef, table: pa.Table, names: Sequence[str], what: str) -> str:
    """Return the first of some columns that the rows have.

    Raises:
        SourceError: They have none; names those that they have.
    """
    for name in names:
        if name in table.column_names:
            return name
    raise SourceError(
        f"{ref}: adapter {ref.adapter!r} searches for {what} in {', '.join(names)}; there are "
        f"{', '.join(table.column_names)}"
    )


def _option_lists(ref: SourceRef, table: pa.Table) -> list[list[str]]:
    """Return the options of each row, without empty ones at the end.

    Raises:
        SourceError: No columns with options, or texts that are not lists.
    """
    for name in _LISTS:
        if name in table.column_names:
            return [_without_tail(_as_list(ref, name, value)) for value in column(ref, table, name)]
    for names in _EACH:
        there = [name for name in names if name in table.column_names]
        if len(there) >= 2 and tuple(there) == names[: len(there)]:
            columns = [column(ref, table, name) for name in there]
            return [_without_tail(list(row)) for row in zip(*columns, strict=True)]
    raise SourceError(
        f"{ref}: adapter {ref.adapter!r} finds no options: neither {' nor '.join(_LISTS)}, nor columns such as "
        f"{', '.join(names[0] for names in _EACH)}; there are {', '.join(table.column_names)}"
    )


def _as_list(ref: SourceRef, name: str, value: Any) -> list[object]:
    """Return a list of options, also where it is published as the text of one (AfriMMLU)."""
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            raise SourceError(f"{ref}: column {name!r} holds {value[:60]!r}, which is not a list of options") from None
    return list(value) if isinstance(value, list | tuple) else []


def _without_tail(row: Sequence[object]) -> list[str]:
    texts = ["" if value is None else str(value).strip() for value in row]
    while texts and not texts[-1]:
        texts.pop()
    return texts


def _place(answer: object, first: int, number: int) -> int | None:
    """Return the place of the right option from 0, or None where the answer names none of them.

    >>> _place("b", 0, 4), _place("(C)", 0, 4), _place("2", 1, 4), _place(0, 1, 4), _place("E", 0, 4)
    (1, 2, 1, None, None)
    """
    text = str(answer if answer is not None else "").strip().strip("().").upper()
    if len(text) == 1 and text in _LETTERS:
        place = _LETTERS.index(text)
    elif text.isascii() and text.isdigit():
        place = int(text) - first
    else:
        return None
    return place if 0 <= place < number else None


def _reason(question: object, row: Sequence[str], right: int | None) -> str | None:
    """Return why a row cannot be asked, or None."""
    if not str(question or "").strip():
        return _NO_QUESTION
    if len(row) < 2:
        return _FEW
    if not all(row):
        return _EMPTY
    return _NO_ANSWER if right is None else None


def _row_numbers(ref: SourceRef, table: pa.Table, keys: Sequence[str]) -> np.ndarray:
    """Return a number of each row that its key alone decides, [rows] int64.

    Raises:
        SourceError: Two rows have the same key.
    """
    values = zip(*(column(ref, table, name) for name in keys), strict=True)
    texts = ["\n".join(str(part) for part in row) for row in values]
    if len(set(texts)) < len(texts):
        twice = next(text for place, text in enumerate(texts) if text in set(texts[:place]))
        raise SourceError(f"{ref}: two rows have the same {' and '.join(keys)}: {twice.replace(chr(10), ', ')}")
    digests = [hashlib.sha256(text.encode()).digest()[:6] for text in texts]
    return np.array([int.from_bytes(digest, "big") for digest in digests], dtype=np.int64)
