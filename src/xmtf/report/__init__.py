"""Reports: tables, figures and a page from result files alone.

Names are imported on first use: a verb loads what it needs and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmtf.lazy import lazy_exports

if TYPE_CHECKING:
    from xmtf.report.build import MODEL_CARD, build_report
    from xmtf.report.cards import write_model_card
    from xmtf.report.collect import Run, collect_run
    from xmtf.report.tables_and_figures import summary_lines

__all__ = [
    "MODEL_CARD",
    "Run",
    "build_report",
    "collect_run",
    "summary_lines",
    "write_model_card",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "MODEL_CARD": "build",
        "Run": "collect",
        "build_report": "build",
        "collect_run": "collect",
        "summary_lines": "tables_and_figures",
        "write_model_card": "cards",
    },
)
