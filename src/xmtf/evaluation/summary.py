"""Scores as a small table for the terminal: tasks in rows, templates summed up."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from xmtf.records import Metric, Score

__all__ = ["score_lines"]

_PERCENT = frozenset({"accuracy", "exact_match", "exact_text", "numeric_match", "f1", "rouge_l"})


def score_lines(scores: Sequence[Score]) -> list[str]:
    """Return lines of aligned columns: one for each (suite, task, prompt language, metric), and the mean of each suite.

    ``median``, ``max`` and ``spread`` (max - min) are over templates, ``interval`` is that of the median
    template. Accuracies and matches are in percent, BLEU and chrF in 0-100.
    """
    groups: dict[tuple[str, ...], list[Metric]] = {}
    for score in scores:
        prompts = score.prompt_language + {"none": "", "human": " HT", "machine": " MT"}[score.translation]
        for metric in score.metrics:
            groups.setdefault((score.suite, f"{score.task} [{score.split}]", prompts, metric.name), []).append(metric)
    rows = [
        ("suite", "task", "prompts", "metric", "templates", "items", "chance", "median", "interval", "max", "spread")
    ]
    medians: dict[tuple[str, str], list[float]] = {}
    for (suite, task, prompts, name), metrics in groups.items():
        scale = 100.0 if name in _PERCENT or name.startswith("pass@") else 1.0
        values = [scale * metric.value for metric in metrics]
        middle = median(values)
        medians.setdefault((suite, name), []).append(middle)
        typical = min(metrics, key=lambda metric: abs(scale * metric.value - middle))
        chance = "" if typical.chance is None else f"{scale * typical.chance:.1f}"
        interval = f"{scale * (typical.low or 0):.1f}-{scale * (typical.high or 0):.1f}"
        numbers = (f"{middle:.1f}", interval, f"{max(values):.1f}", f"{max(values) - min(values):.1f}")
        rows.append((suite, task, prompts, name, str(len(metrics)), str(typical.num_items), chance, *numbers))
    for (suite, name), values in medians.items():
        if len(values) > 1:
            mean = f"{sum(values) / len(values):.1f}"
            rows.append((suite, f"mean of {len(values)} medians", "", name, "", "", "", mean, "", "", ""))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column < 4 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
