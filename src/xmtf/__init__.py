"""Crosslingual multitask finetuning as one package.

Rooms, in the order in which data flows: templates and sources meet in tasks; tasks become a
mixture, the mixture becomes tokens, tokens train models, models are evaluated, results are
reported. ``docs/architecture.md`` draws the map.
"""

import os

__version__ = "0.1.0"

# Arrow's allocator returns freed memory after 10 ms; builds want it back at once, and the kernel clears it every time.
os.environ.setdefault("MIMALLOC_PURGE_DELAY", "1000")
