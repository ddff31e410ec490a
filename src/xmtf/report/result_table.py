"""Results of many models in one table: published numbers and a user's own, in the same schema.

A result is one number of one model on one (dataset, subset, split) in one prompt language. Own results
come prompt by prompt; of the published ones many are known only as median and maximum over prompts, so
a cell holds what is known: values by prompt where there are any, else the published statistics.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from xmtf.records import BESIDE_ACCURACY, Score, in_percent
from xmtf.report.reference import evaluation_sets, published_models, reference_rows

__all__ = [
    "Cell",
    "Measure",
    "PromptLanguage",
    "Result",
    "ResultTable",
    "own_results",
    "published_results",
]

PromptLanguage = str
"""``EN``: prompts in English; ``HT``: in the language of the data, written or translated by a person; ``MT``:
translated into it by a machine; else the code of a third language, such as ``fr``, followed by ``MT`` where a machine
translated. What was asked in a model's chat format has `` chat`` behind it."""

_TASKS = {
    "coreference resolution": "Coref. resolution",
    "natural language inference": "NLI",
    "program synthesis": "Program synthesis",
    "sentence completion": "Sent. completion",
}


class Measure(NamedTuple):
    """What was measured: everything of a result but the model, the prompt and the value.

    Attributes:
        task: Task cluster as tables name it, such as ``NLI``.
        dataset: Short name without owner, such as ``xnli``.
        subset: Such as ``fr``, or ``""``.
        split: Such as ``validation``.
        prompt_language: ``EN``, ``HT``, ``MT``, or the code of a third language.
        metric: Such as ``accuracy`` or ``pass@1``.
    """

    task: str
    dataset: str
    subset: str
    split: str
    prompt_language: PromptLanguage
    metric: str

    @property
    def seen(self) -> bool:
        """Whether BLOOM and xP3 contain the language on purpose; True for sets outside the published table."""
        known = evaluation_sets().get((self.dataset, self.subset))
        return known is None or known.seen

    @property
    def chance(self) -> float | None:
        """Accuracy of guessing in percent, where the set is one of the published table."""
        known = evaluation_sets().get((self.dataset, self.subset))
        return known.chance if known is not None and self.metric == "accuracy" else None


@dataclass(frozen=True, slots=True)
class Result:
    """One number.

    Attributes:
        model: Name of the model.
        measure: What was measured.
        prompt: Name of the template; for published statistics ``median``, ``max`` or ``best``.
        statistic: ``prompt`` for the value of one prompt, else which statistic over prompts.
        value: Percent for accuracies and pass@k; BLEU and chrF in 0-100.
        num_items: Rows behind the value, or None where it is not known.
    """

    model: str
    measure: Measure
    prompt: str
    statistic: Literal["prompt", "median", "max", "best"]
    value: float
    num_items: int | None = None


@dataclass(slots=True)
class Cell:
    """One model on one measure.

    Attributes:
        prompts: Value of each prompt; empty where only statistics are known.
        published: Statistics over prompts as published.
        num_items: Rows behind each value, or None.
    """

    prompts: dict[str, float] = field(default_factory=dict)
    published: dict[str, float] = field(default_factory=dict)
    num_items: int | None = None

    @property
    def median(self) -> float:
        """Median over prompts."""
        return statistics.median(self.prompts.values()) if self.prompts else self._published("median")

    @property
    def maximum(self) -> float:
        """Best prompt (for pass@k: best sampling temperature)."""
        return max(self.prompts.values()) if self.prompts else self._published("max")

    @property
    def mean(self) -> float | None:
        """Mean over prompts, or None where values by prompt are not known."""
        return statistics.fmean(self.prompts.values()) if self.prompts else None

    def _published(self, name: str) -> float:
        return self.published[name] if name in self.published else self.published["best"]


class ResultTable:
    """Results by model and measure.

    Args:
        results: In any order. The same (model, measure, prompt) given twice keeps the last value.
    """

    def __init__(self, results: Iterable[Result]) -> None:
        self._cells: dict[tuple[str, Measure], Cell] = {}
        for result in results:
            cell = self._cells.setdefault((result.model, result.measure), Cell())
            if result.statistic == "prompt":
                cell.prompts[result.prompt] = result.value
            else:
                cell.published[result.statistic] = result.value
            cell.num_items = result.num_items if result.num_items is not None else cell.num_items
        order = list(published_models())
        found = dict.fromkeys(model for model, _ in self._cells)
        self.models = tuple(sorted(found, key=lambda name: order.index(name) if name in order else len(order)))
        """Models: published ones in the order of the published table, then a user's own as they came."""
        self.measures = tuple(sorted({measure for _, measure in self._cells}, key=_measure_order))
        """Measures, sorted as the published table is."""

    def cell(self, model: str, measure: Measure) -> Cell | None:
        """Return what is known of a model on a measure, or None."""
        return self._cells.get((model, measure))

    def select(
        self,
        dataset: str,
        *,
        prompt_language: PromptLanguage = "EN",
        seen: bool | None = None,
        metric: str = "accuracy",
    ) -> list[Measure]:
        """Return the measures of a dataset in one prompt language, of seen or unseen languages only if asked."""
        return [
            measure
            for measure in self.measures
            if (measure.dataset, measure.prompt_language, measure.metric) == (dataset, prompt_language, metric)
            and (seen is None or measure.seen == seen)
        ]

    def medians(self, model: str, measures: Sequence[Measure]) -> list[float]:
        """Return the medians of a model over ``measures``, leaving out what it was not measured on."""
        cells = (self.cell(model, measure) for measure in measures)
        return [cell.median for cell in cells if cell is not None]


def _measure_order(measure: Measure) -> tuple[object, ...]:
    metric = measure.metric
    size = int(metric.removeprefix("pass@")) if metric.startswith("pass@") else 0
    return (*measure[:5], metric.split("@")[0], size)


def published_results() -> list[Result]:
    """Return every published result: the statistics of 27 models, and the prompts of 10 of them."""
    results = []
    models = tuple(published_models())
    for row in reference_rows("results"):
        language = row["prompt_language"]
        measure = Measure(row["task"], row["dataset"], row["subset"], row["split"], language, row["metric"])
        items = _num_items(measure)
        for model in models:
            if row[model]:
                results.append(Result(model, measure, row["statistic"], row["statistic"], float(row[model]), items))  # type: ignore[arg-type]  # median, max, best
    tasks = {(result.measure.dataset, result.measure.subset): result.measure.task for result in results}
    for row in reference_rows("prompts"):
        key = (row["dataset"], row["subset"])
        measure = Measure(tasks[key], *key, row["split"], "EN", "accuracy")
        for model in models:
            if row.get(model):
                results.append(Result(model, measure, row["prompt"], "prompt", float(row[model]), _num_items(measure)))
    return results


def _num_items(measure: Measure) -> int | None:
    known = evaluation_sets().get((measure.dataset, measure.subset))
    return known.items if known is not None else None


def own_results(scores: Mapping[str, Sequence[Score]]) -> list[Result]:
    """Return the results of a user's evaluations in the schema of the published table.

    Args:
        scores: Name of a model -> its scores.
    """
    return [result for model, found in scores.items() for score in found for result in _own_results(model, score)]


def _own_results(model: str, score: Score) -> list[Result]:
    asked = score.provenance
    dataset = asked.dataset.rsplit("/", 1)[-1]
    subset, split = _published_subset(dataset, asked.subset, asked.split)
    task = _TASKS.get(asked.cluster.lower(), asked.cluster)
    language = _prompt_language(asked.prompt_language, asked.language, asked.translation)
    language += " chat" if score.computed.get("chat") else ""
    return [
        Result(
            model,
            Measure(task, dataset, subset, split, language, metric.name),
            asked.template,
            "prompt",
            metric.value * (100 if in_percent(metric.name) else 1),
            metric.num_items,
        )
        for metric in score.metrics
        if metric.num_items and metric.name not in BESIDE_ACCURACY
    ]


def _prompt_language(language: str, data: str, translation: str) -> PromptLanguage:
    """Return the label of prompts.

    Args:
        language: Of the prompt.
        data: Of the data.
        translation: How the prompt came into its language.
    """
    if language == data and language != "en":
        return "MT" if translation == "machine" else "HT"
    label = "EN" if language == "en" else language
    return f"{label} MT" if translation == "machine" else label


def _published_subset(dataset: str, subset: str, split: str) -> tuple[str, str]:
    """Return subset and split as the published table names them, so that own rows fall on its lines."""
    if dataset == "anli" and split.startswith("dev_"):
        return split.removeprefix("dev_"), "validation"
    if dataset == "openai_humaneval":
        return "", split
    return (subset.removeprefix(f"{dataset}_") if dataset == "winogrande" else subset), split
