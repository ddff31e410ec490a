"""When FSDP2 gathers weights and adds up gradients: for every micro-batch (ZeRO-3), or once a step (ZeRO-1).

========  ====================================  =========================================
zero      kept of a block between its passes    sent for a block
========  ====================================  =========================================
3         its shard, and that of its gradient   two gathers and one sum a micro-batch
1         all of it, and all of its gradient    one gather and one sum a step
========  ====================================  =========================================

Replicas of shards (``dp_replicate``) add theirs up once a step either way. Torch's pipelines on their own keep a stage
gathered from its first backward pass on, and its gradients whole: here a pipeline does what one process would.
"""

from __future__ import annotations

from torch import nn
from torch.distributed.fsdp import FSDPModule

__all__ = ["add_up_gradients", "before_backward", "keep_gathered"]


def add_up_gradients(model: nn.Module) -> None:
    """Let gradients be summed and not averaged: losses are scaled by the global batch already."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)


def keep_gathered(model: nn.Module, keep: bool) -> None:
    """Let blocks stay gathered after their forward passes, or not; only within a step, or weights would be stale."""
    if isinstance(model, FSDPModule):
        model.set_reshard_after_forward(not keep)


def before_backward(model: nn.Module, zero: int, *, last: bool) -> None:
    """Describe what the next backward pass does with gathered blocks and with gradients.

    Args:
        model: What FSDP2 was given as a whole; other modules are left alone.
        zero: 3 or 1.
        last: Whether it is the last of a step.
    """
    if isinstance(model, FSDPModule):
        every = zero == 3 or last
        model.set_is_last_backward(every)  # waits for what was sent: with ``zero`` 1 nothing is, before the last
        model.set_reshard_after_backward(every)
        model.set_requires_gradient_sync(every)
        model.set_requires_all_reduce(last)
