"""Scores as a small table for the terminal: tasks in rows, templates summed up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

from xmtf.records import BESIDE_ACCURACY, CALIBRATED, Metric, Provenance, Score, in_percent
from xmtf.text.table import aligned

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

    ``median``, ``max`` and ``spread`` (max - min) are over templates, ``interval`` is that of the median: of the median
    template, or of the mean of the two in the middle, taken as erring alike. ``macro-F1`` and ``calibrated`` are the
    medians of what is next to accuracy, ``majority`` is what the most frequent answer would give, ``ties`` counts items
    whose best choices score the same, ``in language`` is the share of the judged answers that are in the language asked
    for, ``no answer`` is the share of generated answers that hold none, and ``cut`` is the share of answers and prompts
    that were cut, flagged from 5 %. Means are over the medians of the languages of a dataset, each with the same
    weight, apart for prompts in English, in other languages, translated by people (HT) and by machine (MT). Accuracies
    and matches are in percent, BLEU and chrF in 0-100.
    """
    groups: dict[_Group, list[tuple[Score, Metric]]] = {}
    for score in scores:
        for metric in score.metrics:
            if metric.name not in BESIDE_ACCURACY:
                groups.setdefault(_group(score, metric.name), []).append((score, metric))
    rows = []
    medians: dict[tuple[str, str, str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for group, members in groups.items():
        scale = 100.0 if in_percent(group.metric) else 1.0
        metrics = [metric for _, metric in members]
        middle = median(scale * metric.value for metric in metrics)
        medians[group.suite, group.dataset, group.kind, group.metric][group.language].append(middle)
        rows.append(_row(group, members, scale))
    for (suite, dataset, kind, name), languages in medians.items():
        if len(languages) > 1:
            mean = f"{fmean(fmean(values) for values in languages.values()):.1f}"
            what = f"{dataset}: mean of {len(languages)} languages"
            rows.append({"suite": suite, "task": what, "prompts": kind, "metric": name, "median": mean})
    columns = [name for name in _COLUMNS if name in _ALWAYS or any(row.get(name) for row in rows)]
    table = [tuple(columns), *(tuple(row.get(name, "") for name in columns) for row in rows)]
    return aligned(table, numbers=[place for place, name in enumerate(columns) if name not in _TEXT])


_ALWAYS = ("suite", "task", "prompts", "metric", "templates", "items", "chance", "median", "interval", "max", "spread")
_COLUMNS = (*_ALWAYS[:7], "majority", *_ALWAYS[7:], "macro-F1", "calibrated", "ties", "in language", "cut", "no answer")
_TEXT = ("suite", "task", "prompts", "metric", "in language", "cut", "no answer")


def _row(group: _Group, members: Sequence[tuple[Score, Metric]], scale: float) -> dict[str, str]:
    metrics = sorted((metric for _, metric in members), key=lambda metric: metric.value)
    values = [scale * metric.value for metric in metrics]
    middle = metrics[(len(metrics) - 1) // 2 : len(metrics) // 2 + 1]
    row = {
        "suite": group.suite,
        "task": group.task,
        "prompts": group.prompts,
        "metric": group.metric,
        "templates": str(len(metrics)),
        "items": str(middle[0].num_items or ""),
        "chance": _mean(scale, [metric.chance for metric in middle]),
        "median": f"{median(values):.1f}",
        "interval": "-".join(_mean(scale, [getattr(metric, end) for metric in middle]) for end in ("low", "high")),
        "max": f"{max(values):.1f}",
        "spread": f"{max(values) - min(values):.1f}",
        "in language": _in_language([score for score, _ in members]),
        "cut": _cut([score for score, _ in members]),
        "no answer": _unanswered([score for score, _ in members]),
    }
    row["interval"] = row["interval"].strip("-")
    return row | (_beside(members) if group.metric == "accuracy" else {})


def _mean(scale: float, values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{scale * fmean(known):.1f}" if known and len(known) == len(values) else ""


def _beside(members: Sequence[tuple[Score, Metric]]) -> dict[str, str]:
    beside = {
        name: [metric.value for score, _ in members for metric in score.metrics if metric.name == name]
        for name in BESIDE_ACCURACY
    }
    medians = {name: f"{100 * median(values):.1f}" if values else "" for name, values in beside.items()}
    ties = sum(score.picks.ties for score, _ in members if score.picks is not None)
    return {
        "majority": _mean(100.0, [metric.majority for _, metric in members]),
        "macro-F1": medians["macro_f1"],
        "calibrated": medians[CALIBRATED],
        "ties": str(ties) if ties else "",
    }


def _in_language(scores: Sequence[Score]) -> str:
    """Report how many of the judged answers of all templates are in the language asked for, or why that is unknown."""
    told = [score.answer_language for score in scores if score.answer_language is not None]
    judged = sum(one.judged for one in told)
    if not judged:
        return next(("not measurable" for one in told if one.gap.startswith("not measurable")), "")
    share = sum((one.share or 0.0) * one.judged for one in told) / judged
    return f"{100 * share:.1f} of {judged:,}"


def _cut(scores: Sequence[Score]) -> str:
    """Describe how much of the answers and of the prompts was cut; ``!`` from 5 %."""
    answers = (sum(score.endings.get("budget", 0) for score in scores), sum(sum(s.endings.values()) for s in scores))
    prompts = (
        sum(score.truncated for score in scores),
        sum(max((metric.num_items for metric in score.metrics), default=0) for score in scores),
    )
    told = [(name, cut / asked) for name, (cut, asked) in (("answers", answers), ("prompts", prompts)) if asked and cut]
    return ", ".join(f"{name} {100 * share:.1f} %{'!' if share >= _FLAG else ''}" for name, share in told)


def _unanswered(scores: Sequence[Score]) -> str:
    """Describe in what share of the generated answers no answer was found."""
    written = sum(max((metric.num_items for metric in score.metrics), default=0) for score in scores)
    none = sum(score.unanswered for score in scores)
    return f"{100 * none / written:.1f} %" if none and written else ""


_FLAG = 0.05
"""Share of cut answers or prompts from which a flag is raised."""


def _kind(asked: Provenance) -> str:
    """Return what sort of prompts a result is of: in English, in the language of the data, or in a third one."""
    by = {"none": "", "human": "HT", "machine": "MT"}[asked.translation]
    if asked.prompt_language == asked.language and asked.language != "en":
        return by or "native"
    return f"{asked.prompt_language} {by}".strip()


def _group(score: Score, metric: str) -> _Group:
    asked = score.provenance
    by = {"none": "", "human": "HT", "machine": "MT"}[asked.translation]
    return _Group(
        suite=score.suite,
        task=f"{asked.task} [{asked.split}]",
        dataset=asked.task.rpartition("/")[0] or asked.task,
        language=asked.language,
        prompts=score.scoring if score.kind == "code" else f"{asked.prompt_language} {by}".strip(),
        kind=_kind(asked),
        metric=metric,
    )
