"""Results of other harnesses, read into our schema and, where others read them, written in theirs."""

from xmtf.evaluation.interchange.every_eval_ever import Publisher, export_every_eval_ever
from xmtf.evaluation.interchange.read import FORMATS, import_results
from xmtf.evaluation.interchange.t_zero import export_t_zero

__all__ = ["FORMATS", "Publisher", "export_every_eval_ever", "export_t_zero", "import_results"]
