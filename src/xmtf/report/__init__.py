"""Reports: tables, figures and a page from result files alone.

Names are imported on first use: a verb loads what it needs and nothing else. The room itself can be called,
``xmtf.report("runs/demo")``: an import of any of its modules puts the room where a function of that name would be.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from xmtf.lazy import lazy_exports

if TYPE_CHECKING:
    from xmtf.report.build import MODEL_CARD, build_report
    from xmtf.report.cards import write_model_card
    from xmtf.report.collect import Run, collect_run
    from xmtf.report.records import result_records
    from xmtf.report.tables_and_figures import summary_lines
    from xmtf.report.write import write_report

__all__ = [
    "MODEL_CARD",
    "Run",
    "build_report",
    "collect_run",
    "result_records",
    "summary_lines",
    "write_model_card",
    "write_report",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "MODEL_CARD": "build",
        "Run": "collect",
        "build_report": "build",
        "collect_run": "collect",
        "result_records": "records",
        "summary_lines": "tables_and_figures",
        "write_model_card": "cards",
        "write_report": "write",
    },
)


class _Room(ModuleType):
    """This module, which can be called."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Write one page of runs and results; see :func:`xmtf.report.write.write_report`."""
        return importlib.import_module(f"{__name__}.write").write_report(*arguments, **options)


sys.modules[__name__].__class__ = _Room
