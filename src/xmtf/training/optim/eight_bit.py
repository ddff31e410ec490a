"""AdamW in 8 bit (Dettmers et al. 2021, bitsandbytes), and its averages as numbers that do not depend on the layout.

bitsandbytes keeps, of each 256 numbers of what a process holds, the greatest magnitude in fp32, and of every number a
code: 8 bits that choose one of 256 shares of it. Which numbers are in a block differs between layouts, so a checkpoint
has the numbers themselves, in fp32 and in the shape of their parameter, and whoever reads them makes blocks again. Read
under the layout that wrote them, they become the same bytes: the greatest magnitude of a block is one of its numbers,
and a negative one, whose code is -0.993, is written as -1 times the magnitude.

::

    numbers   0.50 -2.00  1.00      magnitude 2.00     codes of 0.25 -0.993 0.5     written 0.50 -2.00 1.00
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

from xmtf.errors import require
from xmtf.recipe.schema import Optimizer

__all__ = ["Average", "as_eight_bit", "average", "build_eight_bit", "take_average"]

_BLOCK = 256


@runtime_checkable
class EightBit(Protocol):
    """What is asked of bitsandbytes' optimizer."""

    param_groups: list[dict[str, Any]]
    state: dict[Tensor, dict[str, Any]]

    def init_state(self, group: dict[str, Any], p: Tensor, gindex: int, pindex: int) -> None:
        """Make a parameter's state: in fp32 where it has fewer than 4,096 numbers here."""


@dataclass(frozen=True, slots=True)
class Average:
    """An average in 8 bit; takes the place of a tensor of fp32 numbers until these are asked for.

    Attributes:
        codes: uint8, in the shape of what is held of the parameter.
        greatest: fp32, of each block of 256.
        shares: The numbers that codes stand for, rising, ``[256]``.
    """

    codes: Tensor
    greatest: Tensor
    shares: Tensor

    dtype = torch.float32

    @property
    def shape(self) -> torch.Size:
        """As of the tensor."""
        return self.codes.shape

    @property
    def ndim(self) -> int:
        """As of the tensor."""
        return self.codes.ndim

    @property
    def nbytes(self) -> int:
        """Bytes of the tensor."""
        return 4 * self.codes.numel()

    def numel(self) -> int:
        """As of the tensor."""
        return self.codes.numel()

    def copied(self) -> Average:
        """Return a copy on the CPU."""
        return Average(self.codes.to("cpu", copy=True), self.greatest.to("cpu", copy=True), self.shares.cpu())

    def numbers(self) -> Tensor:
        """Return the fp32 numbers, on the CPU."""
        codes, shares = self.codes.cpu().flatten(), self.shares.cpu()
        if shares[0] < 0:
            shares = torch.cat([shares.new_tensor([-1.0]), shares[1:]])
        numbers = _blocks(shares.index_select(0, codes.int())).mul_(self.greatest.cpu()[:, None])
        return numbers.flatten()[: codes.numel()].view(self.codes.shape)


def build_eight_bit(groups: list[dict[str, object]], config: Optimizer) -> torch.optim.Optimizer:
    """Return bitsandbytes' AdamW in 8 bit.

    Args:
        groups: Parameters, plain tensors: what this process holds.
        config: Section of the recipe.

    Raises:
        MissingExtraError: bitsandbytes is not installed.
    """
    bitsandbytes = require("bitsandbytes", "gpu")
    betas = (config.beta1, config.beta2)
    made: torch.optim.Optimizer = bitsandbytes.optim.AdamW8bit(
        groups, lr=config.learning_rate, betas=betas, eps=config.epsilon
    )
    return made


def as_eight_bit(optimizer: object) -> EightBit | None:
    """Return an optimizer that is bitsandbytes', or None for any other."""
    return optimizer if isinstance(optimizer, EightBit) else None


def average(state: dict[str, Any], key: str) -> Average | None:
    """Return one average of a parameter's state (``state1``, ``state2``), or None for what is not in 8 bit."""
    number = key.removeprefix("state")
    if f"absmax{number}" not in state:
        return None
    return Average(state[key], state[f"absmax{number}"], state[f"qmap{number}"])


def take_average(optimizer: EightBit, parameter: nn.Parameter, key: str, numbers: Tensor) -> None:
    """Set one average of a parameter.

    Args:
        optimizer: Has the parameter.
        parameter: What is held of it here.
        key: ``state1`` or ``state2``.
        numbers: fp32, in its shape.
    """
    state = optimizer.state[parameter]
    if key not in state:
        steps = dict(state)
        group, *place = _place(optimizer, parameter)
        optimizer.init_state(group, parameter, *place)
        state.update(steps)
    kept = average(state, key)
    if kept is None:
        state[key].copy_(numbers)
        return
    blocks = _blocks(numbers.to(kept.codes.device).flatten())
    greatest = blocks.abs().amax(1)
    shares = blocks / torch.where(greatest > 0, greatest, 1.0)[:, None]
    between = (kept.shares[1:] + kept.shares[:-1]) / 2
    kept.greatest.copy_(greatest)
    kept.codes.copy_(torch.bucketize(shares, between).flatten()[: kept.codes.numel()].view(kept.codes.shape))


def _place(optimizer: EightBit, parameter: nn.Parameter) -> tuple[dict[str, Any], int, int]:
    return next(
        (group, number, place)
        for number, group in enumerate(optimizer.param_groups)
        for place, each in enumerate(group["params"])
        if each is parameter
    )


def _blocks(numbers: Tensor) -> Tensor:
    """Return numbers in blocks, the last one filled up with zeros ``[blocks, 256]``."""
    return functional.pad(numbers, (0, -len(numbers) % _BLOCK)).view(-1, _BLOCK)
