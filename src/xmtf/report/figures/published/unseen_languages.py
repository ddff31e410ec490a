"""Languages that neither BLOOM nor xP3 contain on purpose (Figure 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmtf.report.figures.drawing.models import shown_models
from xmtf.report.figures.published.prompt_panels import draw_panels
from xmtf.report.inputs import Inputs
from xmtf.report.result_table import ResultTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DATASETS", "draw"]

DATASETS = ("xnli", "xwinograd", "xcopa", "xstory_cloze")
"""Sets in many languages, in the order of panels."""


def draw(results: ResultTable, inputs: Inputs) -> Figure | None:
    """Draw every prompt of BLOOM and BLOOMZ, 7.1B and 176B, on 16 sets of unseen languages."""
    measures = [measure for dataset in DATASETS for measure in results.select(dataset, seen=False)]
    models = shown_models(results, ("BLOOM-7.1B", "BLOOM", "BLOOMZ-7.1B", "BLOOMZ"))
    return draw_panels(results, measures, models, 8)
