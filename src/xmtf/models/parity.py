"""Whether a device computes what the CPU computes: one block of a transformer, forward and backward, in fp32."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["MOST", "Parity", "parity"]

MOST = 1e-3
"""Largest deviation, relative to the largest value, up to which a device counts as right; sums differ by about 1e-6."""
_ROWS, _LENGTH, _HEADS, _SIZE, _VOCAB = 2, 24, 4, 32, 97


class Parity(NamedTuple):
    """How a device compares with the CPU.

    Attributes:
        deviation: Largest distance of losses, logits and gradients, relative to the largest value; infinite where the
            device gave none.
        fault: What torch said where the device could not compute the block, or ``""``.
    """

    deviation: float
    fault: str = ""

    @property
    def holds(self) -> bool:
        """Whether the device counts as right."""
        return self.deviation <= MOST

    def __str__(self) -> str:
        return self.fault or f"deviation from the CPU {self.deviation:.1e}, at most {MOST:g}"


@cache
def parity(device: torch.device) -> Parity:
    """Compare a device with the CPU.

    The block has what models here are made of: an embedding that is also the head, layer norm, attention with a mask
    and a bias by distance, GELU, cross entropy. A device that cannot do one of them is infinitely far, and says why.
    """
    try:
        found = _computed(device)
    except RuntimeError as error:  # an operation that it lacks, or no memory for so small a block
        return Parity(float("inf"), (str(error).splitlines() or [type(error).__name__])[0])
    expected = _computed(torch.device("cpu"))
    return Parity(max(_distance(here, there) for here, there in zip(found, expected, strict=True)))


def _distance(here: Tensor, there: Tensor) -> float:
    if not bool(torch.isfinite(here).all()):
        return float("inf")
    return float((here - there).abs().max() / there.abs().max())


def _computed(device: torch.device) -> list[Tensor]:
    """Return the loss, the logits and the gradients of a block with fixed weights and inputs, on the CPU."""
    random = torch.Generator().manual_seed(7)
    shapes = [(_VOCAB, _SIZE), (3 * _SIZE, _SIZE), (4 * _SIZE, _SIZE), (_SIZE, 4 * _SIZE)]
    weights = [torch.randn(shape, generator=random).mul(0.2).to(device).requires_grad_() for shape in shapes]
    tokens_BS = torch.randint(_VOCAB, (_ROWS, _LENGTH), generator=random).to(device)
    logits_BSV = _block(weights, tokens_BS)
    loss = functional.cross_entropy(logits_BSV[:, :-1].flatten(0, 1), tokens_BS[:, 1:].flatten())
    gradients = torch.autograd.grad(loss, weights)
    return [part.detach().cpu() for part in (loss, logits_BSV, *gradients)]


def _block(weights: list[Tensor], tokens_BS: Tensor) -> Tensor:
    """Return logits ``[B, S, V]``; B rows, S positions, D features, N heads, H size of a head, V tokens."""
    embedding_VD, mixed, up, down = weights
    hidden_BSD = functional.layer_norm(functional.embedding(tokens_BS, embedding_VD), (_SIZE,))
    query, key, value = (
        part.reshape(_ROWS, _LENGTH, _HEADS, -1).transpose(1, 2) for part in (hidden_BSD @ mixed.T).chunk(3, dim=-1)
    )
    place_S = torch.arange(_LENGTH, device=tokens_BS.device, dtype=torch.float32)
    distance_SS = place_S[None, :] - place_S[:, None]
    bias_SS = (0.1 * distance_SS).masked_fill(distance_SS > 0, float("-inf"))
    read_BNSH = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias_SS)
    hidden_BSD = hidden_BSD + read_BNSH.transpose(1, 2).flatten(2)
    inner = functional.gelu(functional.layer_norm(hidden_BSD, (_SIZE,)) @ up.T, approximate="tanh")
    hidden_BSD = hidden_BSD + inner @ down.T
    return functional.layer_norm(hidden_BSD, (_SIZE,)) @ embedding_VD.T
