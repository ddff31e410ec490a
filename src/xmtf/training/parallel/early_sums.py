"""Gradients that are added up over data-parallel processes during the last backward pass of a step.

Each process has all of a block's matrices, so a sum can be sent as soon as its gradient is whole, during the backward
pass of the blocks before it. Sums are begun in one order on all processes, the last block first: a gradient that is
ready early waits for its turn, and what no backward pass has reached is sent at the end.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.distributed import Work

from xmtf.parallel.topology.ranks import Ranks

__all__ = ["EarlySums"]


class EarlySums:
    """Sums of the gradients of some parameters.

    Args:
        parameters: Whole on every process, with gradients by autograd alone, in the order of the forward pass.
        ranks: Processes that each have a share of the gradients.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], ranks: Ranks) -> None:
        self.ranks = ranks
        self._order = list(reversed(dict.fromkeys(parameters)))
        self._place = {parameter: place for place, parameter in enumerate(self._order)}
        self._ready: set[int] = set()
        self._works: list[Work] = []
        self._last = False
        for parameter in self._order:
            parameter.register_post_accumulate_grad_hook(self._has_gradient)  # type: ignore[no-untyped-call]  # torch leaves it untyped

    @property
    def parameters(self) -> set[nn.Parameter]:
        """Those whose gradients are added up here."""
        return set(self._order)

    def before_backward(self, last: bool) -> None:
        """Set before a micro-batch whether its backward pass is the last of its step.

        A copy that autocast made for an earlier micro-batch would get all gradients at the end of the pass, since
        autograd takes what was made first last: the last micro-batch makes its own.
        """
        if last:
            torch.clear_autocast_cache()
        self._last = last

    def finish(self) -> None:
        """Begin the sums that are left, and wait for all: gradients are whole afterwards."""
        self._ready.update(range(len(self._order)))
        self._send()
        for work in self._works:
            work.wait()
        self._works.clear()
        self._ready.clear()
        self._last = False

    def _has_gradient(self, parameter: nn.Parameter) -> None:
        if not self._last:
            return
        place = self._place[parameter]
        if place in self._ready:
            raise RuntimeError("a gradient was added to after its last backward pass: its sum has already begun")
        self._ready.add(place)
        self._send()

    def _send(self) -> None:
        while len(self._works) in self._ready:
            parameter = self._order[len(self._works)]
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            self._works.append(self.ranks.begin_add(parameter.grad))
