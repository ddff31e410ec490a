"""BLOOM, with what packed multitask finetuning asks of it."""

from xmtf.models.bloom.config import BloomConfig
from xmtf.models.bloom.model import Bloom

__all__ = ["Bloom", "BloomConfig"]
