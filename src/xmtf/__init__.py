"""Crosslingual multitask finetuning as one package.

Rooms, in the order in which data flows: templates and sources meet in tasks; tasks become a
mixture, the mixture becomes tokens, tokens train models, models are evaluated, results are
reported. ``docs/architecture.md`` draws the map.

The names of ``__all__`` are the interface from Python (``docs/python.md``); each is imported when it is first used,
so ``import xmtf`` itself loads nothing.
"""

import os

from xmtf.lazy import lazy_exports

__version__ = "0.2.0"

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

# Arrow's allocator returns freed memory after 10 ms; builds want it back at once, and the kernel clears it every time.
os.environ.setdefault("MIMALLOC_PURGE_DELAY", "1000")
os.environ.setdefault("MIMALLOC_ALLOW_THP", "0")  # huge pages are cleared whole, also for what needs a part of one

__getattr__ = lazy_exports(
    __name__,
    {
        "Mixture": "mixture.io.opened",
        "Results": "results.frames",
        "build_mixture": "api.mixtures",
        "evaluate": "api.evaluation",
        "load_mixture": "api.mixtures",
        "load_recipe": "api.recipes",
        "load_results": "api.results",
        "render": "api.templates",
        "run": "api.runs",
        "train": "api.runs",
    },
    rooms=("report",),
)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
