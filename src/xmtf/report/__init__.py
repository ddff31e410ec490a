"""Reports: tables, figures and a page from result files alone."""

from xmtf.report.build import summary_lines
from xmtf.report.cards import write_model_card
from xmtf.report.collect import Run, collect_run
from xmtf.report.site import MODEL_CARD, build_report

__all__ = ["MODEL_CARD", "Run", "build_report", "collect_run", "summary_lines", "write_model_card"]
