"""Where a model computes."""

from __future__ import annotations

import torch

from xmtf.errors import ConfigError

__all__ = ["choose_device", "take_gpu"]


def choose_device(wanted: str, name: str = "--device") -> torch.device:
    """Return the device that is asked for; ``auto`` takes a GPU where there is one.

    Args:
        wanted: ``auto``, ``cpu``, ``cuda`` or ``cuda:1``.
        name: Option or key that asks for it, for errors.

    Raises:
        ConfigError: A GPU is asked for where torch finds none, or something that is no device.
    """
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = wanted.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdecimal()):
        raise ConfigError(f"{name} {wanted}: must be auto, cpu or cuda (cuda:1 is the second GPU)")
    if kind == "cuda" and int(number or 0) >= (found := torch.cuda.device_count()):
        raise ConfigError(f"{name} {wanted}: torch finds {found or 'no'} GPUs; use auto or cpu")
    return torch.device(wanted)


def take_gpu(local_rank: int) -> torch.device:
    """Have this process of ``torchrun`` compute on the GPU of its number, and return that; no two take the same.

    Args:
        local_rank: Number of the process on its machine.

    Raises:
        ConfigError: There are fewer GPUs than processes.
    """
    found = torch.cuda.device_count()
    if local_rank >= found:
        raise ConfigError(
            f"process {local_rank} of this machine has no GPU: torch finds {found} here and each process takes one; "
            f"start at most {found} a machine (--nproc-per-node {found}), or compute on the CPU (training.device=cpu)"
        )
    device = torch.device("cuda", local_rank)
    torch.cuda.set_device(device)
    return device
