"""ROUGE of summaries, over words of any script and as the original evaluation computed it.

Google's tokeniser keeps ``[a-z0-9]`` and gives 0 to every text in another script. The metrics
``rouge_1``, ``rouge_2``, ``rouge_l`` and ``rouge_lsum`` compare the words of
:mod:`xmtf.evaluation.metrics.words` instead, without stemming, and take the best reference; sentences end at the marks
of any script (``languages.SENTENCE_MARKS``). Those that end
in ``_original`` are for comparison with published numbers: Google's tokeniser and stemmer, sentences ended
by a full stop, several references by leave-one-out jackknife. All are F-measures.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib.metadata import version
from typing import Any

from xmtf.evaluation.metrics.words import words
from xmtf.languages.codes import SENTENCE_MARKS

__all__ = ["ROUGE", "original_rouge", "rouge", "rouge_signature"]

_TYPES = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL", "rouge_lsum": "rougeLsum"}
_SENTENCE_END = re.compile(rf"([{re.escape(SENTENCE_MARKS)}]+)\s*")


def rouge(kind: str, text: str, references: Sequence[str], language: str = "en") -> float:
    """Return the F-measure with the best reference, over words of any script.

    >>> rouge("rouge_1", "我在家", ["我在"])
    0.8
    """
    scorer = _scorer(_TYPES[kind], own=True)
    text = _in_lines(text)
    scores = (scorer.score(_in_lines(reference), text)[_TYPES[kind]].fmeasure for reference in references)
    return max(map(float, scores), default=0.0)


def original_rouge(kind: str, text: str, references: Sequence[str], language: str = "en") -> float:
    """Return the F-measure as BigScience's harness computed it.

    With several references: the mean, over leaving each of them out, of the best score with the others.
    """
    scorer = _scorer(_TYPES[kind], own=False)
    text, *references = (unicodedata.normalize("NFC", value).replace(".", ".\n") for value in (text, *references))
    scores = [float(scorer.score(reference, text)[_TYPES[kind]].fmeasure) for reference in references]
    if len(scores) < 2:
        return max(scores, default=0.0)
    return sum(max(scores[:out] + scores[out + 1 :]) for out in range(len(scores))) / len(scores)


def _in_lines(text: str) -> str:
    return _SENTENCE_END.sub("\\1\n", text)


@cache
def _scorer(kind: str, *, own: bool) -> Any:
    from rouge_score import rouge_scorer  # it imports NLTK, which takes as long as torch

    return rouge_scorer.RougeScorer([kind], use_stemmer=not own, tokenizer=_Words() if own else None)


class _Words:
    def tokenize(self, text: str) -> list[str]:
        return words(text)


def rouge_signature(name: str) -> str:
    """Return what makes a score comparable with others of the same name."""
    how = "a-z0-9|stem:porter|refs:jackknife" if name.endswith("_original") else "any script|stem:no|refs:best|v:2"
    return f"f|tok:{how}|rouge_score:{version('rouge-score')}"


ROUGE: dict[str, Callable[[str, Sequence[str], str], float]] = {
    **{kind: partial(rouge, kind) for kind in _TYPES},
    **{f"{kind}_original": partial(original_rouge, kind) for kind in _TYPES},
}
"""The metrics by name: of one text against its references, 0-1."""
