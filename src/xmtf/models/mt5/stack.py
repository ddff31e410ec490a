"""The encoder or the decoder of an mT5: blocks that share one position bias, and the norm behind them."""

from __future__ import annotations

from torch import nn

from xmtf.models.mt5.block import EncoderBlock, Norm
from xmtf.models.mt5.config import MT5Config
from xmtf.models.mt5.relative_positions import RelativeBias

__all__ = ["Stack"]


class Stack(nn.Module):
    """One side of the model."""

    def __init__(self, config: MT5Config, block: type[nn.Module], num_layers: int) -> None:
        super().__init__()
        self.relative_bias = RelativeBias(
            config.num_buckets, config.max_distance, config.num_heads, bidirectional=block is EncoderBlock
        )
        self.blocks = nn.ModuleList(block(config) for _ in range(num_layers))
        self.final_norm = Norm(config.hidden_size, eps=config.epsilon)
