"""Results as the hub's ``model-index``: one value a dataset, configuration and metric, of the prompt that was chosen.

The form is that of the BLOOMZ and mT0 cards: the task's name as type, the hub id of the dataset, its configuration and
split, percent with two decimals. The prompt is the one that is best on the validation split, where that was measured
too, else the first of the file; median and best are next to it (:mod:`xmtf.report.chosen`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from xmtf.records import Score, in_percent
from xmtf.report.chosen import Chosen, chosen_prompts
from xmtf.report.reference import dataset_facts
from xmtf.report.result_table import own_results

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

__all__ = ["CardValue", "chosen_values", "eval_results", "in_order", "on_the_hub"]

_METRICS = {
    "bleu": "BLEU", "chrf": "chrF", "chrf++": "chrF++", "exact_match": "Exact match", "f1": "F1",
    "rouge_l": "ROUGE-L", "numeric_match": "Numeric match",
}  # fmt: skip
_NOT_ON_THE_HUB = "cldr/"
_COMMIT = re.compile(r"[0-9a-f]{40}")
"""What names one state of a dataset for good; a branch does not."""


@dataclass(frozen=True, slots=True)
class CardValue:
    """One value of a card's ``model-index``.

    Attributes:
        task: Task cluster, such as ``Natural language inference``.
        hub_id: Dataset on the hub.
        name: Display name of the dataset.
        subset: Configuration, or ``""``.
        split: Split.
        revision: Commit of the dataset, or ``""``.
        metric: ``Accuracy``, ``Pass@1``, ...
        value: Percent.
        prompts: Of how many the prompt was chosen.
        by: How it was chosen: ``validation`` or ``first of the file``.
        median: Median over the prompts.
        best: The best of them.
        shots: Examples that stood before the prompts.
    """

    task: str
    hub_id: str
    name: str
    subset: str
    split: str
    revision: str
    metric: str
    value: float
    prompts: int = 1
    by: str = ""
    median: float | None = None
    best: float | None = None
    shots: int = 0


def on_the_hub(dataset: str) -> bool:
    """Return whether a dataset is one of the hub: ``owner/name``, or an older id of a published evaluation set."""
    published = {facts.hub_id for facts in dataset_facts().values()}
    return dataset in published or ("/" in dataset and not dataset.startswith(_NOT_ON_THE_HUB))


def chosen_values(scores: Iterable[Score]) -> list[CardValue]:
    """Return the value of every dataset, subset, split and metric under the prompt that was chosen for it.

    Data that no hub has are left out, and so are evaluations that asked some of the rows: a header cannot say so. Where
    several suites measure one, the first counts; of programs the best sampling temperature, as is usual.

    Args:
        scores: Result records of one model.
    """
    whole = [score for score in scores if not score.limited and on_the_hub(score.provenance.dataset)]
    found: dict[tuple[str, ...], CardValue] = {}
    for chosen in chosen_prompts(whole, every_metric=True):
        value = _value(chosen)
        key = (value.task, value.hub_id, value.subset, value.split, value.metric)
        at_another_temperature = chosen.score.kind == "code" and key in found and value.value > found[key].value
        if key not in found or at_another_temperature:
            found[key] = value
    return list(found.values())


def in_order(values: Sequence[CardValue]) -> list[CardValue]:
    """Return values sorted as the published cards are."""
    return sorted(values, key=_order)


def eval_results(values: Sequence[CardValue]) -> list[EvalResult]:
    """Return values in the form that ``huggingface_hub`` writes and reads, sorted as the published cards are."""
    from huggingface_hub import EvalResult

    return [
        EvalResult(
            task_type=value.task,
            dataset_type=value.hub_id,
            dataset_name=f"{value.name} ({value.subset})" if value.subset else value.name,
            dataset_config=value.subset or None,
            dataset_split=value.split,
            dataset_revision=value.revision or None,
            metric_type=value.metric,
            metric_value=value.value,
        )
        for value in in_order(values)
    ]


def _order(value: CardValue) -> tuple[str, str, str, str]:
    return (value.task, value.hub_id.rsplit("/", 1)[-1], value.subset, value.split)


def _value(chosen: Chosen) -> CardValue:
    score = chosen.score
    (result,) = own_results({"": [replace(score, metrics=(chosen.metric,))]})
    measure = result.measure
    facts = dataset_facts().get(measure.dataset)
    cluster = score.provenance.cluster
    scale = 100.0 if in_percent(chosen.metric.name) else 1.0
    return CardValue(
        task=cluster[:1].upper() + cluster[1:],
        hub_id=score.provenance.dataset,
        name=facts.name if facts is not None else score.provenance.dataset,
        subset=measure.subset,
        split=measure.split,
        revision=score.revision if score.revision and _COMMIT.fullmatch(score.revision) else "",
        metric=_METRICS.get(measure.metric, measure.metric.capitalize()),
        value=round(result.value, 2),
        prompts=chosen.prompts,
        by=chosen.by,
        median=round(scale * chosen.median, 2),
        best=round(scale * chosen.best, 2),
        shots=score.shots.number if score.shots else 0,
    )
