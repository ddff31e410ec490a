"""The metrics of generation by their name in the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from xmtf.errors import UnknownNameError
from xmtf.evaluation.metrics.answers import exact_match, exact_text, numeric_match, token_f1
from xmtf.evaluation.metrics.rouge import ROUGE, rouge_signature
from xmtf.evaluation.metrics.translation import bleu, chrf, corpus_counts
from xmtf.intervals import bootstrap_mean, wilson
from xmtf.records import Metric

__all__ = [
    "GENERATION_METRICS",
    "GRADED_METRICS",
    "check_metrics",
    "generation_metrics",
    "graded_counts",
    "item_values",
]

_SHARES: dict[str, Callable[[str, Sequence[str], str], float]] = {
    "exact_match": exact_match,
    "exact_text": exact_text,
    "numeric_match": numeric_match,
}
_MEANS: dict[str, Callable[[str, Sequence[str], str], float]] = {"f1": token_f1, **ROUGE}
_CORPUS = {"bleu": bleu, "chrf": chrf}

GENERATION_METRICS = (*_SHARES, *_MEANS, *_CORPUS)
"""Names of the metrics of generated text."""

GRADED_METRICS = (*_MEANS, *_CORPUS)
"""Those of them that do not say yes or no to an item."""

_DEFAULT = ("exact_match",)


def check_metrics(names: Sequence[str], where: str) -> tuple[str, ...]:
    """Return the generation metrics among a task's metrics, exact match where it names none.

    Raises:
        UnknownNameError: A name is neither a generation metric nor ``accuracy``; says which task.
    """
    for name in names:
        if name not in GENERATION_METRICS and name != "accuracy":
            raise UnknownNameError("metric", name, (*GENERATION_METRICS, "accuracy"), where)
    return tuple(name for name in names if name != "accuracy") or _DEFAULT


def generation_metrics(
    names: Sequence[str], texts: Sequence[str], references: Sequence[Sequence[str]], language: str
) -> tuple[Metric, ...]:
    """Return each metric over all items, in the order of ``names``; no items, no metrics.

    Args:
        names: From ``GENERATION_METRICS``.
        texts: Generated texts.
        references: Right answers to each, at least one.
        language: Code of the language of the answers.
    """
    if not texts:
        return ()
    return tuple(_metric(name, texts, references, language) for name in names)


def _metric(name: str, texts: Sequence[str], references: Sequence[Sequence[str]], language: str) -> Metric:
    if name in _CORPUS:
        return _CORPUS[name](texts, references, language)
    score = {**_SHARES, **_MEANS}[name]
    values = [score(text, row, language) for text, row in zip(texts, references, strict=True)]
    mean = sum(values) / len(values)
    low, high = wilson(mean, len(values)) if name in _SHARES else bootstrap_mean(values)
    signature = rouge_signature(name) if name in ROUGE else ""
    return Metric(name, mean, low, high, None, len(values), signature)


def graded_counts(
    name: str, texts: Sequence[str], references: Sequence[Sequence[str]], language: str
) -> tuple[np.ndarray, Callable[[np.ndarray], float]]:
    """Return counts of each item whose sums give a graded metric, float64 ``[items, counts]``, and how they give it."""
    if name in _CORPUS:
        return corpus_counts(name, texts, references, language)
    values = [_MEANS[name](text, row, language) for text, row in zip(texts, references, strict=True)]
    return np.array([[value, 1.0] for value in values]), lambda sums: float(sums[0] / sums[1]) if sums[1] else 0.0


def item_values(names: Sequence[str], text: str, references: Sequence[str], language: str) -> list[float]:
    """Return what the yes-or-no metrics among ``names`` say of one answer, in order; others judge no single item."""
    return [_SHARES[name](text, references, language) for name in names if name in _SHARES]
