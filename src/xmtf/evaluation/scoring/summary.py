"""Scores as a small table for the terminal: tasks in rows, templates summed up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

from xmtf.records import Metric, Score, in_percent
from xmtf.text_table import aligned

__all__ = ["score_lines"]


@dataclass(frozen=True, slots=True)
class _Group:
    """Results of one task with prompts of one kind, template by template."""

    suite: str
    task: str
    dataset: str
    language: str
    prompts: str
    kind: str
    metric: str


def score_lines(scores: Sequence[Score]) -> list[str]:
    """Return lines of aligned columns: one for each (suite, task, prompt language, metric), then means of them.

    ``median``, ``max`` and ``spread`` (max - min) are over templates, ``interval`` is that of the median
    template. Means are over the medians of the languages of a dataset, each with the same weight, apart for
    prompts in English, in other languages, translated by people (HT) and by machine (MT). Accuracies and
    matches are in percent, BLEU and chrF in 0-100.
    """
    groups: dict[_Group, list[Metric]] = {}
    for score in scores:
        for metric in score.metrics:
            groups.setdefault(_group(score, metric.name), []).append(metric)
    rows = [
        ("suite", "task", "prompts", "metric", "templates", "items", "chance", "median", "interval", "max", "spread")
    ]
    medians: dict[tuple[str, str, str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for group, metrics in groups.items():
        scale = 100.0 if in_percent(group.metric) else 1.0
        values = [scale * metric.value for metric in metrics]
        middle = median(values)
        medians[group.suite, group.dataset, group.kind, group.metric][group.language].append(middle)
        typical = min(metrics, key=lambda metric: abs(scale * metric.value - middle))
        chance = "" if typical.chance is None else f"{scale * typical.chance:.1f}"
        ends = (typical.low, typical.high)
        interval = "-".join(f"{scale * end:.1f}" for end in ends if end is not None)
        numbers = (f"{middle:.1f}", interval, f"{max(values):.1f}", f"{max(values) - min(values):.1f}")
        about = (group.suite, group.task, group.prompts, group.metric, str(len(metrics)), str(typical.num_items or ""))
        rows.append((*about, chance, *numbers))
    for (suite, dataset, kind, name), languages in medians.items():
        if len(languages) > 1:
            mean = f"{fmean(fmean(values) for values in languages.values()):.1f}"
            what = f"{dataset}: mean of {len(languages)} languages"
            rows.append((suite, what, kind, name, "", "", "", mean, "", "", ""))
    return aligned(rows, numbers=range(4, 11))


def _group(score: Score, metric: str) -> _Group:
    asked = score.provenance
    by = {"none": "", "human": "HT", "machine": "MT"}[asked.translation]
    return _Group(
        suite=score.suite,
        task=f"{asked.task} [{asked.split}]",
        dataset=asked.task.rpartition("/")[0] or asked.task,
        language=asked.language,
        prompts=score.scoring if score.kind == "code" else f"{asked.prompt_language} {by}".strip(),
        kind=by or ("en" if asked.prompt_language == "en" else "native"),
        metric=metric,
    )
