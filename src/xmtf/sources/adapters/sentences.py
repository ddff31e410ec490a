"""Fix-ups of datasets of sentences and questions."""

from __future__ import annotations

import pyarrow as pa

from xmtf.sources.adapters.base import Adapted, column, keep, language_names, with_column
from xmtf.sources.reference import SourceRef

__all__ = ["afriqa", "afriqa_passage", "paws_x", "tydiqa_goldp", "xcopa"]

_FRENCH_PASSAGES = {"fon", "wol"}


_COPA_QUESTIONS = {
    "validation": (
        "eeeececcceccecccccccecececccececcceccceeeececeeceeceeccccccccccccceceeceeeeeeeeccceeceeeceeeceecceee"
    ),
    "test": (
        "ceeecccceecececcececceeececcccccececeeeeeecececececeeeeeeecececcceccecccceceeeeeeceecceceecccccccecc"
        "eeecccccccecccecceeecceecececcecceecceecccececccecceececcecceeccccecceccceeccecceceeccecceceeccceccc"
        "cceeeceeeeececeececccceccceeeececeeceeeeecccccccecceeecceeccececcceeccececeecceeceeeeeeccccecceeccce"
        "ceeceecccceeceeeecceeeeeecececccccccceeccceececccecceccecceececeeeecceeceecececcceeeeecceceeecccccce"
        "eeeceeeeceeececcceceeecceceecccecceeceeeceeccceeecececceeecceceeececccceeeeceeeecceceeceeeeeeeceeeee"
    ),
}
"""What English COPA asks in row ``idx``: c(ause) or e(ffect)."""


def paws_x(ref: SourceRef, table: pa.Table) -> Adapted:
    """Drop pairs that were never translated: one side is the placeholder ``NS`` or empty."""
    pairs = zip(column(ref, table, "sentence1"), column(ref, table, "sentence2"), strict=True)
    placeholders = {"", "ns"}
    mask = [not ({(a or "").strip().casefold(), (b or "").strip().casefold()} & placeholders) for a, b in pairs]
    return keep(table, mask, "placeholder instead of a sentence")


def afriqa(ref: SourceRef, table: pa.Table) -> Adapted:
    """Name the two languages, flatten the answer in the passage's language, drop unanswered questions.

    A question is in one of ten African languages, its passage in English or (Fon, Wolof) French.
    ``answer_lang`` is the answer in the question's language; ``answer_passage`` that of the passage.
    """
    table, mask, _ = _afriqa(ref, table)
    return keep(table, mask, "no passage or no answer")


def afriqa_passage(ref: SourceRef, table: pa.Table) -> Adapted:
    """As :func:`afriqa`, with only those questions whose answer is in the passage (``yes`` does not)."""
    table, mask, quoted = _afriqa(ref, table)
    return keep(table, [a and b for a, b in zip(mask, quoted, strict=True)], "the answer is not in the passage")


def _afriqa(ref: SourceRef, table: pa.Table) -> tuple[pa.Table, list[bool], list[bool]]:
    """Return the table, which rows are answered, and whose answer is a piece of the passage."""
    pivots = [(pivot or {}).get("text") or [""] for pivot in column(ref, table, "answer_pivot")]
    answers = [text[0].strip() for text in pivots]
    contexts = [context or "" for context in column(ref, table, "context")]
    passage_language = "French" if ref.where[1] in _FRENCH_PASSAGES else "English"
    table = with_column(table, "answer_passage", answers)
    table = with_column(table, "passage_language_name", [passage_language] * table.num_rows)
    table = with_column(table, "question_language_name", language_names([ref.where[1]] * table.num_rows))
    texts = zip(answers, column(ref, table, "answer_lang"), contexts, strict=True)
    answered = [all((text or "").strip() for text in row) for row in texts]
    quoted = [answer.casefold() in context.casefold() for answer, context in zip(answers, contexts, strict=True)]
    return table, answered, quoted


def tydiqa_goldp(ref: SourceRef, table: pa.Table) -> Adapted:
    """Call the passage ``context`` and the question ``question``, as SQuAD and the copies of TyDi QA in it do."""
    for name, ours in (("passage_text", "context"), ("question_text", "question")):
        if ours not in table.column_names:
            table = with_column(table, ours, column(ref, table, name))
    return Adapted(table)


def xcopa(ref: SourceRef, table: pa.Table) -> Adapted:
    """Ask what English COPA asks: cause or effect.

    The published files ask for the effect of every Thai row, of all but a few Turkish ones, and of some
    Italian, Indonesian and Swahili ones where the English original of the same ``idx``, with the same
    label, asks for the cause (of the 100 validation rows: th 52, tr 52, sw 6, it 5, id 5).
    """
    letters = _COPA_QUESTIONS.get(ref.split, "")
    names = {"c": "cause", "e": "effect"}
    rows = zip(column(ref, table, "idx"), column(ref, table, "question"), strict=True)
    mended = [names[letters[idx]] if 0 <= idx < len(letters) else question for idx, question in rows]
    return Adapted(with_column(table, "question", mended))
