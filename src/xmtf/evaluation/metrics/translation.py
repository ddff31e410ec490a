"""BLEU and chrF by sacrebleu, with the tokeniser that suits the target language."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from typing import Any

from xmtf.records import Metric

__all__ = ["bleu", "bleu_tokenizer", "chrf"]

_RESAMPLES = 1000
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
    os.environ.setdefault("SACREBLEU_SEED", "12345")
    score = metric.corpus_score(list(texts), streams, n_bootstrap=_RESAMPLES)
    # sacrebleu keeps mean and half width of its bootstrap in these two; its own report prints them.
    middle, half = float(score._mean), float(score._ci)
    low, high = max(0.0, min(middle - half, score.score)), min(100.0, max(middle + half, score.score))
    return Metric(name, float(score.score), low, high, None, len(texts), str(metric.get_signature()))


@cache
def _has_tokenizer(name: str) -> bool:
    from sacrebleu.metrics import BLEU

    try:
        BLEU(tokenize=name)
    except (ImportError, RuntimeError):
        return False
    return True
