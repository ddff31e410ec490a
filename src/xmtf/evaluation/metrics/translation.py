"""BLEU and chrF by sacrebleu, with the tokeniser that suits the target language."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from xmtf.records import Metric

__all__ = ["bleu", "bleu_tokenizer", "chrf", "corpus_counts"]

_RESAMPLES = 500
_SEED = 12345
_BY_CHARACTER = frozenset({"bo", "dz", "km", "lo", "my", "shn", "th"})
_MORPHOLOGICAL = {"ja": "ja-mecab", "ko": "ko-mecab"}


@cache
def bleu_tokenizer(language: str) -> str:
    """Return sacrebleu's tokeniser for a target language.

    >>> bleu_tokenizer("de"), bleu_tokenizer("zh"), bleu_tokenizer("th")
    ('13a', 'zh', 'char')

    Japanese and Korean take MeCab where its packages are installed, else characters. The signature of
    every score names the tokeniser, and scores of different signatures are not comparable.
    """
    base = language.partition("-")[0]
    if base in {"zh", "yue", "wuu"}:
        return "zh"
    if base in _MORPHOLOGICAL and _has_tokenizer(_MORPHOLOGICAL[base]):
        return _MORPHOLOGICAL[base]
    return "char" if base in _BY_CHARACTER or base in _MORPHOLOGICAL else "13a"


def bleu(texts: Sequence[str], references: Sequence[Sequence[str]], language: str) -> Metric:
    """Return corpus BLEU (0-100) with a bootstrap interval of 95 % and sacrebleu's signature."""
    return _corpus("bleu", texts, references, language)


def chrf(texts: Sequence[str], references: Sequence[Sequence[str]], language: str) -> Metric:
    """Return corpus chrF++ (0-100; characters to 6-grams, words to 2-grams) with interval and signature."""
    return _corpus("chrf", texts, references, language)


def corpus_counts(
    name: str, texts: Sequence[str], references: Sequence[Sequence[str]], language: str
) -> tuple[np.ndarray, Callable[[np.ndarray], float]]:
    """Return what a corpus metric counts in each item, and the value of summed counts.

    Args:
        name: ``bleu`` or ``chrf``.
        texts: Generated texts.
        references: Right answers to each, at least one.
        language: Code of the language of the answers.

    Returns:
        float64 ``[items, counts]``, and the function from sums ``[counts]`` to the value in 0-100.
    """
    metric = _metric(name, language)
    counts = np.array(metric._extract_corpus_statistics(list(texts), _streams(references)), dtype=np.float64)
    return counts, lambda sums: float(metric._compute_score_from_stats(sums.tolist()).score)


def _metric(name: str, language: str) -> Any:
    from sacrebleu.metrics import BLEU, CHRF

    return BLEU(tokenize=bleu_tokenizer(language)) if name == "bleu" else CHRF(word_order=2)


def _streams(references: Sequence[Sequence[str]]) -> list[list[str | None]]:
    """Return the first references of all items, then the second ones, and so on."""
    most = max(len(row) for row in references)
    return [[row[index] if index < len(row) else None for row in references] for index in range(most)]


def _corpus(name: str, texts: Sequence[str], references: Sequence[Sequence[str]], language: str) -> Metric:
    metric = _metric(name, language)
    value = float(metric.corpus_score(list(texts), _streams(references)).score)
    low, high = _interval(*corpus_counts(name, texts, references, language))
    return Metric(name, value, min(low, value), max(high, value), None, len(texts), str(metric.get_signature()))


def _interval(counts: np.ndarray, value: Callable[[np.ndarray], float]) -> tuple[float, float]:
    """Return the percentile bootstrap interval over items.

    From sacrebleu's own counts of each item; its own bootstrap averages numbers of two types, which fails
    where some resamples have no match at all.
    """
    random = np.random.default_rng(_SEED)
    drawn = random.integers(0, len(counts), size=(_RESAMPLES, len(counts)))
    low, high = np.percentile([value(counts[rows].sum(axis=0)) for rows in drawn], [2.5, 97.5])
    return float(low), float(high)


@cache
def _has_tokenizer(name: str) -> bool:
    from sacrebleu.metrics import BLEU

    try:
        BLEU(tokenize=name)
    except (ImportError, RuntimeError):
        return False
    return True
