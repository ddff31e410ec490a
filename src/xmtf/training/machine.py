"""What a model was trained on and with, for its manifest and its card."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch

from xmtf.artefacts.manifest_parts import ModelDetails
from xmtf.parallel.topology.parallel_dims import ParallelDims
from xmtf.plugins import loaded_versions
from xmtf.versions import package_versions

__all__ = ["training_machine"]

_CPU_INFO = Path("/proc/cpuinfo")


def training_machine(dims: ParallelDims) -> ModelDetails:
    """Return layout, hardware and versions as this process sees them.

    Of several machines the first stands for all: hardware is that of the process that writes the model.

    Args:
        dims: How many processes stood along each axis.
    """
    return ModelDetails(
        layout=str(dims),
        hardware=_hardware(),
        versions=package_versions(("torch", "transformers", "peft")) | loaded_versions(),
    )


def _hardware() -> str:
    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()} a machine"
    name = platform.processor() or platform.machine()
    if _CPU_INFO.exists():
        lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return f"CPU: {name}, {torch.get_num_threads()} of {os.cpu_count()} cores"
