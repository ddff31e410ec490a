"""Reports: tables, figures and a page from result files alone."""

from xmtf.report.build import MODEL_CARD, build_report
from xmtf.report.cards import write_model_card
from xmtf.report.collect import Run, collect_run
from xmtf.report.tables_and_figures import summary_lines

__all__ = ["MODEL_CARD", "Run", "build_report", "collect_run", "summary_lines", "write_model_card"]
