"""Which GPU of this machine each of several processes gets: one each, out of those that this process may use.

``CUDA_VISIBLE_DEVICES`` names them, for a process of xmtf as for every program on CUDA or ROCm. A list that this
process was started with is divided among the others, so a job that Slurm gave GPUs 4 to 7 stays on those::

    CUDA_VISIBLE_DEVICES=4,5,6,7    four processes: 4 | 5 | 6 | 7
"""

from __future__ import annotations

import os

import torch

from xmtf.errors import ConfigError

__all__ = ["VISIBLE", "gpus_of_processes"]

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""Environment variable that names the GPUs of a process."""


def gpus_of_processes(processes: int, wanted: str) -> list[str]:
    """Return the ``CUDA_VISIBLE_DEVICES`` of each process; nothing where they compute on the CPU.

    Args:
        processes: Processes that compute at the same time.
        wanted: ``training.device`` of the recipe.

    Raises:
        ConfigError: There are fewer GPUs than processes.
    """
    found = 0 if wanted == "cpu" else torch.cuda.device_count()
    if not found:
        return []
    inherited = os.environ.get(VISIBLE)
    names = [str(number) for number in range(found)] if inherited is None else inherited.split(",")[:found]
    if processes > found:
        which = "" if inherited is None else f" ({VISIBLE}={inherited})"
        raise ConfigError(
            f"--processes {processes}: torch finds {found} GPU{'s' * (found > 1)} here{which}, and each process takes "
            f"one; pass --processes {found}, or training.device=cpu"
        )
    return [name.strip() for name in names[:processes]]
