# What type checkers and editors see; the names are imported when they are first used.
from xmtf.api.evaluation import evaluate as evaluate
from xmtf.api.mixtures import build_mixture as build_mixture
from xmtf.api.mixtures import load_mixture as load_mixture
from xmtf.api.recipes import load_recipe as load_recipe
from xmtf.api.results import load_results as load_results
from xmtf.api.runs import run as run
from xmtf.api.runs import train as train
from xmtf.api.templates import render as render
from xmtf.mixture.io.opened import Mixture as Mixture
from xmtf.report.write import write_report as report
from xmtf.results.frames import Results as Results

__version__: str
__all__ = [
    "Mixture",
    "Results",
    "__version__",
    "build_mixture",
    "evaluate",
    "load_mixture",
    "load_recipe",
    "load_results",
    "render",
    "report",
    "run",
    "train",
]
