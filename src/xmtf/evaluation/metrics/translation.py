"""BLEU and chrF by sacrebleu, in NFC, with the tokeniser that suits the script of the references.

The tokeniser is chosen once for all references of a job, and the signature names it: the language's code does not
decide, since one language may be written in several scripts (``nan`` in Latin letters or in Han characters).
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from sacrebleu.metrics import BLEU, CHRF

from xmtf.evaluation.metrics.words import is_unspaced
from xmtf.languages.codes import main_script
from xmtf.records import Metric

__all__ = ["bleu", "bleu_tokenizer", "chrf", "corpus_counts"]

_RESAMPLES = 500
_SEED = 12345
_MORPHOLOGICAL = {"Jpan": "ja-mecab", "Hang": "ko-mecab"}
_KANA = ("Hira", "Kana")
_JAPANESE = 0.05
"""Share of kana among kana and Han characters from which references are Japanese."""


def bleu_tokenizer(references: Sequence[Sequence[str]], language: str = "") -> str:
    """Return sacrebleu's tokeniser for the references of a job.

    >>> bleu_tokenizer([["Guten Tag"]]), bleu_tokenizer([["我在家"]]), bleu_tokenizer([["ไปกิน"]])
    ('13a', 'zh', 'char')

    Japanese and Korean take MeCab where its packages are installed, else characters. The signature of
    every score names the tokeniser, and scores of different signatures are not comparable.

    Args:
        references: Right answers to each item.
        language: Code of their language: Japanese stays Japanese where it is written without kana.
    """
    script = _script_of(references, language)
    if script in _MORPHOLOGICAL:
        return _MORPHOLOGICAL[script] if _has_tokenizer(_MORPHOLOGICAL[script]) else "char"
    return {"Hani": "zh", "unspaced": "char"}.get(script, "13a")


def _script_of(references: Sequence[Sequence[str]], language: str) -> str:
    """Return ``Jpan``, ``Hani``, ``Hang``, ``unspaced``, or another script that most letters are in."""
    letters = Counter(c for row in references for text in row for c in unicodedata.normalize("NFC", text))
    scripts: Counter[str] = Counter()
    for letter, count in letters.items():
        if letter.isalpha():
            scripts[main_script(letter)] += count
    han, kana = scripts["Hani"] + scripts["Bopo"], sum(scripts[name] for name in _KANA)
    for name in ("Hani", "Bopo", *_KANA):
        del scripts[name]
    scripts["Jpan" if kana > _JAPANESE * (han + kana) or language == "ja" else "Hani"] = han + kana
    script, count = scripts.most_common(1)[0]
    if not count:
        return ""
    unspaced = sum(count for letter, count in letters.items() if letter.isalpha() and is_unspaced(letter))
    return "unspaced" if script not in ("Jpan", "Hani") and 2 * unspaced > scripts.total() else script


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
    metric = _metric(name, references, language)
    counts = np.array(metric._extract_corpus_statistics(_composed(texts), _streams(references)), dtype=np.float64)
    return counts, lambda sums: float(metric._compute_score_from_stats(sums.tolist()).score)


def _metric(name: str, references: Sequence[Sequence[str]], language: str) -> Any:
    return BLEU(tokenize=bleu_tokenizer(references, language)) if name == "bleu" else CHRF(word_order=2)


def _composed(texts: Sequence[str]) -> list[str]:
    return [unicodedata.normalize("NFC", text) for text in texts]


def _streams(references: Sequence[Sequence[str]]) -> list[list[str | None]]:
    """Return the first references of all items, then the second ones, and so on."""
    most = max(len(row) for row in references)
    rows = [_composed(row) for row in references]
    return [[row[index] if index < len(row) else None for row in rows] for index in range(most)]


def _corpus(name: str, texts: Sequence[str], references: Sequence[Sequence[str]], language: str) -> Metric:
    metric = _metric(name, references, language)
    value = float(metric.corpus_score(_composed(texts), _streams(references)).score)
    low, high = _interval(*corpus_counts(name, texts, references, language))
    signature = f"{metric.get_signature()}|norm:nfc"
    return Metric(name, value, min(low, value), max(high, value), None, len(texts), signature)


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
    try:
        BLEU(tokenize=name)
    except (ImportError, RuntimeError):
        return False
    return True
