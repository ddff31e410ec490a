"""The figures of a user's own runs and results, alongside those of the published work."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from xmtf.report.collect import Run
from xmtf.report.comparison.compare import compared
from xmtf.report.comparison.results import Results
from xmtf.report.figures.drawing.style import add_note
from xmtf.report.figures.own import composition, loss, measures_over_steps, suites
from xmtf.report.tables import language_groups

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["CAPTIONS", "result_figures", "run_figures"]

CAPTIONS = {
    "composition": "Examples per target language, by task cluster.",
    "loss": "Loss on target tokens, each target counted once.",
    "measures": "Scores during training, by suite: the mean over tasks of the median over templates. Dashed lines are "
    "chance, a star marks the best checkpoint kept.",
    "suites": "Rank accuracy per suite with 95 % intervals; the bar marks chance.",
    "language-groups": "Rank accuracy by language family, script, resources (share of mT5's corpus) and whether the "
    "language was trained on, with 95 % intervals; the bar marks chance.",
    "languages": "Rank accuracy by language with 95 % intervals; the bar marks chance.",
}
"""Name of each figure -> what it shows."""


def run_figures(run: Run, note: str = "") -> dict[str, Figure]:
    """Draw what a run was trained on and how its loss fell, as far as there are data.

    Args:
        run: A collected run.
        note: What every figure says of it, if anything.
    """
    figures = {}
    if run.composition.num_rows:
        figures["composition"] = composition.draw(run)
    if any(event["event"] == "train" for event in run.log):
        figures["loss"] = loss.draw(run)
    measures = measures_over_steps.draw(run)
    if measures is not None:
        figures["measures"] = measures
    for figure in figures.values():
        add_note(figure, note)
    return figures


def result_figures(results: Results) -> dict[str, Figure]:
    """Draw rank accuracies, suite by suite and language by language, as far as there are data."""
    figures = {}
    ranked = [result for result in compared(results) if result.metric == "accuracy"]
    if ranked:
        figures["suites"] = suites.draw(ranked, "Rank accuracy")
        by_language = [
            replace(result, group=f"{result.suite}: {result.group}")
            for result in compared(results, "language")
            if result.metric == "accuracy"
        ]
        if len(by_language) > len(ranked):
            figures["languages"] = suites.draw(by_language, "Rank accuracy by language", by_group=True)
        groups = [
            replace(result, group=f"{result.suite}: {result.group}" + (" resources" if name == "resources" else ""))
            for name in language_groups(results)
            for result in compared(results, name)
            if result.metric == "accuracy"
        ]
        if groups:
            figures["language-groups"] = suites.draw(groups, "Rank accuracy by groups of languages", by_group=True)
    return figures
