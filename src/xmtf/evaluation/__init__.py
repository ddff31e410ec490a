"""Zero-shot evaluation: requests, rank classification, generation, metrics and results.

Names are imported on first use: a verb loads what it needs and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmtf.lazy import lazy_exports

if TYPE_CHECKING:
    from xmtf.evaluation.engine.encoding import PromptRules, prompt_rules
    from xmtf.evaluation.engine.processes import processes_of_torchrun
    from xmtf.evaluation.generation.generate import generate
    from xmtf.evaluation.ranking.rank import rank
    from xmtf.evaluation.run import evaluate, evaluate_setup
    from xmtf.evaluation.scoring.rescore import rescore
    from xmtf.evaluation.suites.setup import Setup, named_suites, setup_of

__all__ = [
    "PromptRules",
    "Setup",
    "evaluate",
    "evaluate_setup",
    "generate",
    "named_suites",
    "processes_of_torchrun",
    "prompt_rules",
    "rank",
    "rescore",
    "setup_of",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "PromptRules": "engine.encoding",
        "Setup": "suites.setup",
        "evaluate": "run",
        "evaluate_setup": "run",
        "generate": "generation.generate",
        "named_suites": "suites.setup",
        "processes_of_torchrun": "engine.processes",
        "prompt_rules": "engine.encoding",
        "rank": "ranking.rank",
        "rescore": "scoring.rescore",
        "setup_of": "suites.setup",
    },
)
