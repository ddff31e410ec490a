"""Where a model computes."""

from __future__ import annotations

import torch

from xmtf.errors import ConfigError
from xmtf.models.parity import parity

__all__ = ["choose_device", "take_gpu"]


def choose_device(wanted: str, name: str = "--device") -> torch.device:
    """Return the device that is asked for; ``auto`` takes a CUDA GPU where there is one, and never another.

    Args:
        wanted: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``, the GPU of a Mac.
        name: Option or key that asks for it, for errors.

    Raises:
        ConfigError: A GPU is asked for where torch finds none, or that does not compute what the CPU computes; or
            something that is no device.
    """
    if wanted == "mps":
        return _mps(name)
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = wanted.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdecimal()):
        raise ConfigError(f"{name} {wanted}: must be auto, cpu, cuda (cuda:1 is the second GPU) or mps")
    if kind == "cuda" and int(number or 0) >= (found := torch.cuda.device_count()):
        raise ConfigError(f"{name} {wanted}: torch finds {found or 'no'} GPUs; use auto or cpu")
    return torch.device(wanted)


def _mps(name: str) -> torch.device:
    if not torch.backends.mps.is_available():
        raise ConfigError(f"{name} mps: torch finds no GPU of a Mac here; use auto or cpu")
    device = torch.device("mps")
    if not (found := parity(device)).holds:
        raise ConfigError(
            f"{name} mps: this GPU does not compute what the CPU computes ({found}); use cpu, or another version of "
            "torch"
        )
    return device


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
