"""Held-out tasks in English (Figure 9): does training on many languages cost English anything?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmtf.report.figures.drawing.models import shown_models
from xmtf.report.figures.published.prompt_panels import draw_panels
from xmtf.report.inputs import Inputs
from xmtf.report.result_table import Measure, ResultTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw"]

_SETS = (
    ("super_glue", "rte"),
    ("super_glue", "cb"),
    ("anli", "r1"),
    ("anli", "r2"),
    ("anli", "r3"),
    ("xnli", "en"),
    ("winogrande", "xl"),
    ("xwinograd", "en"),
    ("super_glue", "copa"),
    ("story_cloze", "2016"),
)


def draw(results: ResultTable, inputs: Inputs) -> Figure | None:
    """Draw every prompt of models finetuned on P3 and on xP3, on ten English sets."""
    found: dict[tuple[str, str], Measure] = {
        (measure.dataset, measure.subset): measure
        for dataset in dict.fromkeys(dataset for dataset, _ in _SETS)
        for measure in results.select(dataset)
    }
    measures = [found[key] for key in _SETS if key in found]
    models = shown_models(results, ("BLOOMZ-P3", "BLOOMZ", "mT0-13B-P3", "mT0-13B", "T0-11B"))
    return draw_panels(results, measures, models, 5)
