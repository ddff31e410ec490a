"""mT5, with what packed multitask finetuning asks of it."""

from xmtf.models.mt5.config import MT5Config
from xmtf.models.mt5.model import MT5

__all__ = ["MT5", "MT5Config"]
