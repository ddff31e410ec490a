"""BLEU and chrF by sacrebleu, with the tokeniser that suits the target language."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from xmtf.records import Metric

__all__ = ["bleu", "bleu_tokenizer", "chrf"]

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
    from sacrebleu.metrics import BLEU

    return _corpus("bleu", BLEU(tokenize=bleu_tokenizer(language)), texts, references)


def chrf(texts: Sequence[str], references: Sequence[Sequence[str]], language: str) -> Metric:
    """Return corpus chrF++ (0-100; characters to 6-grams, words to 2-grams) with interval and signature."""
    from sacrebleu.metrics import CHRF

    return _corpus("chrf", CHRF(word_order=2), texts, references)


def _corpus(name: str, metric: Any, texts: Sequence[str], references: Sequence[Sequence[str]]) -> Metric:
    most = max(len(row) for row in references)
    streams = [[row[index] if index < len(row) else None for row in references] for index in range(most)]
    value = float(metric.corpus_score(list(texts), streams).score)
    low, high = _interval(metric, texts, streams)
    return Metric(name, value, min(low, value), max(high, value), None, len(texts), str(metric.get_signature()))


def _interval(metric: Any, texts: Sequence[str], streams: Sequence[Sequence[str | None]]) -> tuple[float, float]:
    """Return the percentile bootstrap interval over items.

    From sacrebleu's own counts of each item; its own bootstrap averages numbers of two types, which fails
    where some resamples have no match at all.
    """
    import numpy as np

    counts = np.array(metric._extract_corpus_statistics(list(texts), streams), dtype=np.float64)
    random = np.random.default_rng(_SEED)
    scores = [
        float(metric._compute_score_from_stats(counts[rows].sum(axis=0).tolist()).score)
        for rows in random.integers(0, len(counts), size=(_RESAMPLES, len(counts)))
    ]
    low, high = np.percentile(scores, [2.5, 97.5])
    return float(low), float(high)


@cache
def _has_tokenizer(name: str) -> bool:
    from sacrebleu.metrics import BLEU

    try:
        BLEU(tokenize=name)
    except (ImportError, RuntimeError):
        return False
    return True
