"""The metrics of generation by their name in the catalogue."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

from xmtf.errors import DataError, UnknownNameError
from xmtf.evaluation.metrics.answers import SHARES, f1_original, last_letter, token_f1
from xmtf.evaluation.metrics.instructions import instruction_counts, prompt_followed
from xmtf.evaluation.metrics.numbers import last_number
from xmtf.evaluation.metrics.rouge import ROUGE, rouge_signature
from xmtf.evaluation.metrics.translation import bleu, chrf, corpus_counts
from xmtf.intervals import bootstrap_mean, bootstrap_ratio, wilson
from xmtf.plugins import find_plugin, plugins
from xmtf.records import Metric

__all__ = [
    "GENERATION_METRICS",
    "GRADED_METRICS",
    "check_metrics",
    "generation_metrics",
    "has_answer",
    "is_graded",
    "item_counts",
    "item_values",
    "metric_signature",
]


def _of_prompt(text: str, references: Sequence[str], language: str, *, loose: bool) -> float:
    return prompt_followed(text, references, loose=loose)


_SHARES: dict[str, Callable[[str, Sequence[str], str], float]] = SHARES | {
    "ifeval_prompt_strict": partial(_of_prompt, loose=False),
    "ifeval_prompt_loose": partial(_of_prompt, loose=True),
}
_COUNTED = {
    "ifeval_instruction_strict": partial(instruction_counts, loose=False),
    "ifeval_instruction_loose": partial(instruction_counts, loose=True),
}
"""Metrics of items that weigh more the more is asked of them: (what is right, what is asked)."""
_MEANS: dict[str, Callable[[str, Sequence[str], str], float]] = {"f1": token_f1, "f1_original": f1_original, **ROUGE}
_CORPUS = {"bleu": bleu, "chrf": chrf}

GENERATION_METRICS = (*_SHARES, *_COUNTED, *_MEANS, *_CORPUS)
"""Names of the metrics of generated text."""

GRADED_METRICS = (*_COUNTED, *_MEANS, *_CORPUS)
"""Those of them that do not say yes or no to an item."""

_FINAL = frozenset({"letter_match", "numeric_match"})
"""Metrics that read the end of an answer: one that the budget cut has none."""

_SIGNATURES = {
    "exact_match": "v:2|norm:nfc,width,case,marks",
    "exact_match_original": "squad:1.1|norm:nfc",
    "f1": "v:2|norm:nfc,width,case,marks",
    "f1_original": "squad:1.1|norm:nfc",
    **dict.fromkeys([f"ifeval_{of}_{how}" for of in ("prompt", "instruction") for how in ("strict", "loose")], "v:1"),
    "letter_match": "v:1|letter:last|cut:no match",
    "numeric_match": "v:2|numbers:cldr|cut:no match",
}
_DEFAULT = ("exact_match",)


def check_metrics(names: Sequence[str], where: str) -> tuple[str, ...]:
    """Return the generation metrics among a task's metrics, exact match where it names none.

    Raises:
        UnknownNameError: A name is neither a generation metric, a plug-in's among them, nor ``accuracy``; says which
            task.
        ConfigError: The plug-in of a metric cannot be loaded.
    """
    ours = frozenset((*GENERATION_METRICS, "accuracy"))
    for name in names:
        if name not in ours:
            theirs = plugins("metrics", ours)
            if name not in theirs:
                raise UnknownNameError("metric", name, (*ours, *theirs), where)
            theirs[name].load()  # what cannot be loaded is refused before any model runs
    return tuple(name for name in names if name != "accuracy") or _DEFAULT


def generation_metrics(
    names: Sequence[str],
    texts: Sequence[str],
    references: Sequence[Sequence[str]],
    language: str,
    cut: Sequence[bool] | None = None,
) -> tuple[Metric, ...]:
    """Return each metric over all items, in the order of ``names``; no items, no metrics.

    Args:
        names: From ``GENERATION_METRICS``.
        texts: Generated texts.
        references: Right answers to each, at least one.
        language: Code of the language of the answers.
        cut: Whether the budget of tokens ended each; nowhere by default.
    """
    if not texts:
        return ()
    cut = cut if cut is not None else [False] * len(texts)
    return tuple(_metric(name, texts, references, language, cut) for name in names)


def _metric(
    name: str, texts: Sequence[str], references: Sequence[Sequence[str]], language: str, cut: Sequence[bool]
) -> Metric:
    if name in _CORPUS:
        return _CORPUS[name](texts, references, language)
    if name in _COUNTED:
        counts = [_COUNTED[name](*item) for item in zip(texts, references, strict=True)]
        low, high = bootstrap_ratio(counts)
        right, asked = map(sum, zip(*counts, strict=True))
        return Metric(name, right / asked, low, high, None, len(texts), metric_signature(name))
    values = [_value(name, *item, language) for item in zip(texts, references, cut, strict=True)]
    mean = sum(values) / len(values)
    low, high = wilson(mean, len(values)) if name in _SHARES else bootstrap_mean(values)
    return Metric(name, mean, low, high, None, len(values), metric_signature(name))


def _value(name: str, text: str, references: Sequence[str], cut: bool, language: str) -> float:
    if cut and name in _FINAL:
        return 0.0
    known = {**_SHARES, **_MEANS}
    return known[name](text, references, language) if name in known else _of_plugin(name, text, references, language)


def _of_plugin(name: str, text: str, references: Sequence[str], language: str) -> float:
    """Return what the metric of a plug-in says of one answer.

    Raises:
        UnknownNameError: The plug-in is not installed here.
        DataError: It says no finite number.
    """
    plugin = find_plugin("metrics", name)
    if plugin is None:
        raise UnknownNameError("metric", name, (*GENERATION_METRICS, *plugins("metrics")))
    value = plugin.load()(text, list(references), language)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise DataError(f"metric {name!r} of the plug-in {plugin.package}: {value!r} of {text[:60]!r} is not a number")
    return float(value)


def is_graded(name: str) -> bool:
    """Return whether a generation metric grades an item, rather than saying yes or no to it."""
    return name in GRADED_METRICS or (name not in GENERATION_METRICS and find_plugin("metrics", name) is not None)


def has_answer(names: Sequence[str], text: str, language: str) -> bool:
    """Return whether a text holds what the metrics read: a letter or a number where they want one, else any text.

    >>> has_answer(("letter_match",), "Nobody knows", "en"), has_answer(("bleu",), "Nobody knows", "en")
    (False, True)
    """
    if "letter_match" in names:
        return last_letter(text) is not None
    if "numeric_match" in names:
        return last_number(text, language) is not None
    return bool(text.strip())


def metric_signature(name: str) -> str:
    """Return what makes a metric of single answers comparable; BLEU's and chrF's depend on the references."""
    if name not in GENERATION_METRICS and (plugin := find_plugin("metrics", name)) is not None:
        return plugin.signature
    return rouge_signature(name) if name in ROUGE else _SIGNATURES.get(name, "")


def item_counts(
    names: Sequence[str],
    texts: Sequence[str],
    references: Sequence[Sequence[str]],
    language: str,
    cut: Sequence[bool],
) -> list[list[list[float]]]:
    """Return for each item the counts of each metric whose sums give its value, in the order of ``names``.

    Arguments as of :func:`generation_metrics`, for all items of a job at once: BLEU's tokenizer is chosen once a job.
    """
    columns: list[list[list[float]]] = []
    for name in names:
        if name in _CORPUS:
            columns.append(corpus_counts(name, texts, references, language)[0].tolist())
        elif name in _COUNTED:
            columns.append([_COUNTED[name](*item) for item in zip(texts, references, strict=True)])
        else:
            items = zip(texts, references, cut, strict=True)
            columns.append([[_value(name, *item, language), 1.0] for item in items])
    return [[column[place] for column in columns] for place in range(len(texts))]


def item_values(
    names: Sequence[str], text: str, references: Sequence[str], language: str, *, cut: bool = False
) -> list[float]:
    """Return what the yes-or-no metrics among ``names`` say of one answer, in order; others judge no single item."""
    return [_value(name, text, references, cut, language) for name in names if name in _SHARES]
