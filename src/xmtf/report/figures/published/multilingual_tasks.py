"""Held-out tasks in the other languages of BLOOM and xP3 (Figure 10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmtf.report.figures.drawing.models import shown_models
from xmtf.report.figures.published.prompt_panels import draw_panels
from xmtf.report.figures.published.unseen_languages import DATASETS
from xmtf.report.inputs import Inputs
from xmtf.report.result_table import ResultTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw"]


def draw(results: ResultTable, inputs: Inputs) -> Figure | None:
    """Draw every prompt of five models on the 24 sets of seen languages but English."""
    measures = [
        measure for dataset in DATASETS for measure in results.select(dataset, seen=True) if measure.subset != "en"
    ]
    models = shown_models(results, ("XGLM-7.5B", "BLOOM", "mTk-13B", "BLOOMZ", "mT0-13B"))
    return draw_panels(results, measures, models, 6)
