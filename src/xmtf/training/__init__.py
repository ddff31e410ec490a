"""Training: objective, optimizer, schedule, checkpoints and the loop."""

from xmtf.training.stop import Stopped
from xmtf.training.trainer import train

__all__ = ["Stopped", "train"]
