"""In which number format weights are computed when a model is asked, and written when it is exported.

``auto`` is what they are stored in; fp16 is computed in bf16, which has the range of fp32. Models of the T5 family are
never computed in fp16: their feed-forward outputs exceed its largest number (66,246 against 65,504 was seen). A
processor without bf16 instructions imitates them slowly, so there ``auto`` widens bf16 to fp32: weights stay the same.
"""

from __future__ import annotations

import time
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch

from xmtf.errors import ConfigError, DataError
from xmtf.execution import say
from xmtf.files import read_json
from xmtf.models.files.references import adapter_base, find_model
from xmtf.models.files.weights import read_pickled_tensors, weight_files

__all__ = ["DTYPES", "DtypeName", "bf16_gain", "choose_dtype", "dtype_name", "has_bf16", "stored_dtype"]

DtypeName = Literal["auto", "fp32", "bf16", "fp16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_SAFETENSORS = {"F64": torch.float64, "F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}


def dtype_name(dtype: torch.dtype) -> str:
    """Return ``fp32``, ``bf16`` or ``fp16``, or torch's own name of another number format."""
    return next((name for name, known in DTYPES.items() if known is dtype), str(dtype).removeprefix("torch."))


def choose_dtype(wanted: str, ref: str, device: torch.device, *, offline: bool = False) -> torch.dtype:
    """Return what a model is computed in.

    Args:
        wanted: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        ref: The model.
        device: Where it computes.
        offline: Look in the hub's cache only.

    Raises:
        ConfigError: fp16 for a model of the T5 family.
        SourceError: The model is not found.
        DataError: Its files cannot be read.
    """
    if wanted != "auto":
        chosen = DTYPES[wanted]
        if chosen is torch.float16 and _is_t5(ref, offline):
            raise ConfigError(f"--dtype fp16: {ref} is of the T5 family, which overflows in fp16; use bf16 or fp32")
        if chosen is torch.bfloat16 and not has_bf16(device):
            say(f"  this {device.type.upper()} has no bf16 instructions: fp32 is faster")
        return chosen
    stored = stored_dtype(ref, offline=offline)
    if stored in (torch.bfloat16, torch.float16):
        return torch.bfloat16 if has_bf16(device) else torch.float32
    if stored is None:  # quantised, and turned into plain numbers as it is read
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    return torch.float32


def stored_dtype(ref: str, *, offline: bool = False) -> torch.dtype | None:
    """Return the number format of most of a model's weights, read from the heads of its files; None of a GGUF file.

    Raises:
        SourceError: The model is not found.
        DataError: A weight file cannot be read.
    """
    path = find_model(ref, offline=offline)
    if path.suffix == ".gguf":
        return None
    if (base := adapter_base(path)) is not None:
        return stored_dtype(base, offline=offline)
    counts: dict[torch.dtype, int] = {}
    for file in weight_files(path):
        for dtype, count in _dtypes_of(file):
            counts[dtype] = counts.get(dtype, 0) + count
    return max(counts, key=lambda dtype: counts[dtype], default=torch.float32)


def _dtypes_of(path: Path) -> list[tuple[torch.dtype, int]]:
    """Return number format and size of each tensor of floating-point numbers in a file."""
    from safetensors import SafetensorError, safe_open

    if path.suffix == ".bin":
        found = read_pickled_tensors(path).values()
        return [(tensor.dtype, tensor.numel()) for tensor in found if tensor.is_floating_point()]
    try:
        with safe_open(path, framework="pt") as file:
            slices = [file.get_slice(name) for name in file.keys()]  # noqa: SIM118 - not a mapping
            known = [(_SAFETENSORS.get(part.get_dtype()), torch.Size(part.get_shape()).numel()) for part in slices]
    except SafetensorError as error:
        raise DataError(f"{path}: incomplete or damaged safetensors file ({error})") from None
    return [(dtype, count) for dtype, count in known if dtype is not None]


def _is_t5(ref: str, offline: bool) -> bool:
    path = find_model(ref, offline=offline)
    if path.suffix == ".gguf":
        return False
    if (base := adapter_base(path)) is not None:
        return _is_t5(base, offline)
    return "t5" in str(read_json(path / "config.json").get("model_type", "")).lower()


def has_bf16(device: torch.device) -> bool:
    """Return whether a device multiplies in bf16 itself; others imitate it, slower than fp32."""
    if device.type == "cpu":
        built: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return built and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    if device.type == "mps":  # compared with the CPU in fp32 alone
        return False
    return device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)


@lru_cache(maxsize=1)
def bf16_gain() -> float:
    """Return how many times as fast as fp32 this processor multiplies matrices in bf16: a test of some 50 ms."""
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        left, right = torch.ones(256, 1024, dtype=dtype), torch.ones(1024, 1024, dtype=dtype)
        seconds[dtype] = min(_seconds(left, right) for _ in range(4))
    return seconds[torch.float32] / seconds[torch.bfloat16]


def _seconds(left: torch.Tensor, right: torch.Tensor) -> float:
    start = time.perf_counter()
    torch.mm(left, right)
    return time.perf_counter() - start
