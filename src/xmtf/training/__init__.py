"""Training: objective, optimizer, schedule, checkpoints and the loop.

Names are imported on first use: a verb loads what it needs and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmtf.lazy import lazy_exports

if TYPE_CHECKING:
    from xmtf.training.assembly import TrainingJob
    from xmtf.training.loop.stop import Stopped
    from xmtf.training.loop.validation import Measure, Measured
    from xmtf.training.preview import dry_run, family_without_network
    from xmtf.training.trainer import train, train_in_folder, write_initial

__all__ = [
    "Measure",
    "Measured",
    "Stopped",
    "TrainingJob",
    "dry_run",
    "family_without_network",
    "train",
    "train_in_folder",
    "write_initial",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "Measure": "loop.validation",
        "Measured": "loop.validation",
        "Stopped": "loop.stop",
        "TrainingJob": "assembly",
        "dry_run": "preview",
        "family_without_network": "preview",
        "train": "trainer",
        "train_in_folder": "trainer",
        "write_initial": "trainer",
    },
)
