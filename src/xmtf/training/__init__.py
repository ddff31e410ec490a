"""Training: objective, optimizer, schedule, checkpoints and the loop."""

from xmtf.training.loop.stop import Stopped
from xmtf.training.loop.validation import Measure, Measured
from xmtf.training.preview import dry_run
from xmtf.training.trainer import train, train_in_folder, write_initial

__all__ = ["Measure", "Measured", "Stopped", "dry_run", "train", "train_in_folder", "write_initial"]
