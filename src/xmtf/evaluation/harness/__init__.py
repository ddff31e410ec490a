"""lm-evaluation-harness (extra ``harness``): its tasks on our engine.

:mod:`xmtf.evaluation.harness.launch` needs it only when it is called; :mod:`xmtf.evaluation.harness.model` imports it.
"""

from xmtf.evaluation.harness.launch import register, run_harness

__all__ = ["register", "run_harness"]
