"""Crosslingual multitask finetuning as one package.

Rooms, in the order in which data flows: templates and sources meet in tasks; tasks become a
mixture, the mixture becomes tokens, tokens train models, models are evaluated, results are
reported. ``docs/architecture.md`` draws the map.
"""

__version__ = "0.1.0"
