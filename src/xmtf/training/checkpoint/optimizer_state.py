"""The state of an optimizer as named tensors, and back."""

from __future__ import annotations

import torch
from torch import Tensor

from xmtf.training.optim.eight_bit import Average, as_eight_bit, average, take_average
from xmtf.training.optim.optimizer import Named

__all__ = ["load_optimizer_tensors", "optimizer_tensors"]

_OF_BLOCKS = ("absmax", "qmap")
"""What bitsandbytes keeps besides codes."""


def optimizer_tensors(model: Named, optimizer: torch.optim.Optimizer) -> dict[str, Tensor | Average]:
    """Return the optimizer's state as ``<parameter name>/<key>`` -> tensor; none before the first step."""
    return {
        f"{name}/{key}": average(state, key) or (value if isinstance(value, Tensor) else torch.tensor(value))
        for name, parameter in model.named_parameters()
        if (state := optimizer.state.get(parameter, {})) is not None
        for key, value in state.items()
        if isinstance(value, Tensor | int) and not key.startswith(_OF_BLOCKS)
    }


def load_optimizer_tensors(model: Named, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Take over what :func:`optimizer_tensors` returned."""
    parameters, eight_bit = dict(model.named_parameters()), as_eight_bit(optimizer)
    # fused kernels count on the device; others read the count on the host, which would wait for the device
    on_device = any(group.get("fused") for group in optimizer.param_groups)
    for path, value in tensors.items():
        name, _, key = path.rpartition("/")
        parameter = parameters[name]
        if eight_bit is not None and key != "step":
            take_average(eight_bit, parameter, key, value)
            continue
        # bitsandbytes counts steps in an int, torch and our Adafactor in a float tensor
        counts = value.ndim == 0 and not value.is_floating_point()
        optimizer.state[parameter][key] = (
            int(value) if counts else value.to("cpu" if key == "step" and not on_device else parameter.device)
        )
