"""Zero-shot evaluation: requests, rank classification, generation, metrics and results."""

from xmtf.evaluation.engine.encoding import PromptRules, prompt_rules
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
    "prompt_rules",
    "rank",
    "rescore",
    "setup_of",
]
