"""The number of a task that can be published: of a prompt that was chosen before the test rows were looked at.

Where a model was also measured on the validation split of the task, that is the prompt which is best there; else it is
the first of the file. The best prompt of the test rows is next to it, and the median, but not in its place::

    prompt           validation   test
    true or false    0.61         0.57   <- chosen: 0.57, median 0.58, best 0.60
    guess            0.55         0.60
    justified        0.52         0.58
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from xmtf.records import BESIDE_ACCURACY, Metric, Score

__all__ = ["VALIDATION", "Chosen", "chosen_prompts", "is_validation"]

VALIDATION = ("validation", "valid", "val", "dev")
"""Names of splits that prompts are chosen on, where another split is measured too."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The number of a task that can be published.

    Attributes:
        score: Result of the prompt.
        metric: The task's first metric, measured with it.
        by: ``validation``, or ``first of the file``.
        median: Median over all prompts.
        best: The best of all prompts.
        prompts: How many there are.
    """

    score: Score
    metric: Metric
    by: str
    median: float
    best: float
    prompts: int


def is_validation(split: str) -> bool:
    """Return whether a split is one that prompts are chosen on.

    >>> is_validation("validation"), is_validation("dev_r1"), is_validation("devtest"), is_validation("test")
    (True, True, False, False)
    """
    return split in VALIDATION or split.startswith(tuple(f"{name}_" for name in VALIDATION))


def chosen_prompts(scores: Iterable[Score], *, every_metric: bool = False) -> list[Chosen]:
    """Return the number of every task and split that one model was measured on, in order.

    Args:
        scores: Result records of the model, in the order of their files.
        every_metric: Of all metrics of a task, not of the first alone; the prompt is chosen by the first.
    """
    scores = list(scores)
    tested = {score.provenance.task for score in scores if not is_validation(score.provenance.split)}
    groups: dict[tuple[object, ...], list[Score]] = {}
    for score in scores:
        asked = score.provenance
        how = score.scoring if score.kind == "code" else ""  # sampled at a temperature of its own
        key = (score.suite, asked.task, asked.dataset, asked.subset, asked.split, score.kind, how)
        groups.setdefault(key, []).append(score)
    found: list[Chosen] = []
    for members in groups.values():
        asked = members[0].provenance
        if asked.task in tested and is_validation(asked.split):
            continue
        template = _best_on_validation(scores, members)
        by = "first of the file" if template is None else "validation"
        chosen = next(each for each in members if template is None or each.provenance.template == template)
        found += _numbers(chosen, members, by, every_metric=every_metric)
    return found


def _best_on_validation(scores: Sequence[Score], members: Sequence[Score]) -> str | None:
    """Return the template that is best on the validation split of a task, or None where that was not measured."""
    first = members[0]
    names = {each.provenance.template for each in members}
    seen = [
        (value.value, score.provenance.template)
        for score in scores
        if score.provenance.task == first.provenance.task
        and is_validation(score.provenance.split)
        and not is_validation(first.provenance.split)
        and score.provenance.template in names
        and _asked_alike(score, first)
        and (value := _main(score)) is not None
    ]
    return max(seen, key=lambda pair: pair[0])[1] if seen else None


def _asked_alike(one: Score, other: Score) -> bool:
    """Return whether as many examples stood before the prompts."""
    return (one.shots and one.shots.number) == (other.shots and other.shots.number)


def _main(score: Score) -> Metric | None:
    return next((metric for metric in score.metrics if metric.name not in BESIDE_ACCURACY), None)


def _numbers(chosen: Score, members: Sequence[Score], by: str, *, every_metric: bool) -> Iterator[Chosen]:
    for metric in chosen.metrics:
        if metric.name in BESIDE_ACCURACY:
            continue
        values = [each.value for score in members for each in score.metrics if each.name == metric.name]
        yield Chosen(chosen, metric, by, median(values), max(values), len(values))
        if not every_metric:
            return
