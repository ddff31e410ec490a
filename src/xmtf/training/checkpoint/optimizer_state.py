"""The state of an optimizer as named tensors, and back."""

from __future__ import annotations

import torch
from torch import Tensor

from xmtf.training.optim.optimizer import Named

__all__ = ["load_optimizer_tensors", "optimizer_tensors"]


def optimizer_tensors(model: Named, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the optimizer's state as ``<parameter name>/<key>`` -> tensor; none before the first step."""
    return {
        f"{name}/{key}": value if isinstance(value, Tensor) else torch.tensor(value)
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, Tensor | int)
    }


def load_optimizer_tensors(model: Named, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Take over what :func:`optimizer_tensors` returned."""
    parameters = dict(model.named_parameters())
    # fused kernels count on the device; others read the count on the host, which would wait for the device
    on_device = any(group.get("fused") for group in optimizer.param_groups)
    for path, value in tensors.items():
        name, _, key = path.rpartition("/")
        parameter = parameters[name]
        # bitsandbytes counts steps in an int, torch and our Adafactor in a float tensor
        counts = value.ndim == 0 and not value.is_floating_point()
        optimizer.state[parameter][key] = (
            int(value) if counts else value.to("cpu" if key == "step" and not on_device else parameter.device)
        )
