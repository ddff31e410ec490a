"""One way in for checkpoints of every format: told apart, checked, written as a model folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from xmtf.artefacts.manifest_parts import ModelDetails
from xmtf.errors import DataError, SourceError
from xmtf.files import atomic_folder
from xmtf.models.bloom import BloomConfig
from xmtf.models.convert.integrity import Integrity
from xmtf.models.convert.megatron import find_layer_files, read_arguments, step_folder
from xmtf.models.convert.shape import Like, bloom_config, read_like
from xmtf.models.convert.t5x import find_t5x
from xmtf.models.convert.universal import find_universal
from xmtf.models.dtype import DTYPES, stored_dtype
from xmtf.models.load import load_model
from xmtf.models.mt5 import MT5Config
from xmtf.models.save import TOKENIZER_FILES, check_model_replaced, describe_model, save_model, save_tensors

__all__ = ["Format", "convert_model", "detect_format", "inspect_foreign"]

_SENSELESS = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError, MemoryError)

Format = Literal["megatron", "universal", "t5x", "model"]
_Reading = tuple[BloomConfig | MT5Config, Iterable[tuple[str, Tensor]], Integrity]


def detect_format(source: str) -> Format:
    """Return which format a folder has; what is no known foreign checkpoint is a model reference.

    Raises:
        SourceError: A folder that holds nothing known.
    """
    folder = Path(source)
    if not folder.is_dir():
        return "model"
    folder = step_folder(folder)
    if (folder / "zero").is_dir():
        return "universal"
    if any(folder.glob("layer_*-model_*-model_states.pt")):
        return "megatron"
    if (folder / "checkpoint").is_file() or any(folder.glob("checkpoint_*/checkpoint")):
        return "t5x"
    if (folder / "config.json").exists() or any(folder.glob("*.gguf")):
        return "model"
    raise SourceError(
        f"{folder}: contains no checkpoint of a known format (searched for layer_NN-model_TT-model_states.pt, zero/, "
        "checkpoint_<step>/checkpoint and config.json)"
    )


def convert_model(
    source: str,
    out: Path,
    *,
    like: str | None = None,
    num_heads: int | None = None,
    dtype: torch.dtype | Literal["fp32", "bf16", "fp16"] | None = None,
    offline: bool = False,
    write_tokenizer: Callable[[Path], None] | None = None,
    replace: bool = False,
) -> Integrity:
    """Write the weights of any checkpoint as a model folder in Hugging Face format.

    Args:
        source: Folder of a foreign checkpoint, or any model reference.
        out: Folder to write. On any error nothing of it stays.
        like: Model folder or hub id that gives shape and tokenizer where the checkpoint has none.
        num_heads: Attention heads, where nothing else says it.
        dtype: What weights are converted to; default what they are stored in (of a GGUF file: fp32).
        offline: Look in the hub's cache only.
        write_tokenizer: Called with the folder where no tokenizer lies with the source or with ``like``.
        replace: Whether it may take the place of a model that xmtf wrote.

    Returns:
        What was found. It is whole: a checkpoint that is not is refused.

    Raises:
        SourceError: Not found, or no known format.
        DataError: Torn, incomplete, or not of the shape; names what.
        ConfigError: Nothing says how many heads it has, or ``out`` holds something other than a model.
    """
    check_model_replaced(out, replace=replace)
    known = read_like(like, num_heads=num_heads, offline=offline)
    dtype = DTYPES[dtype] if isinstance(dtype, str) else dtype
    kind = detect_format(source)
    with atomic_folder(out, alone=True) as folder, _reading(source):
        if kind == "model":
            report = _resave(source, folder, known, dtype, offline)
        else:
            config, tensors, report = _read(kind, Path(source), known)
            save_tensors(tensors, config, folder, tokenizer=known.tokenizer, dtype=dtype)
        report.require_whole()
        if write_tokenizer is not None and not any((folder / name).exists() for name in TOKENIZER_FILES):
            write_tokenizer(folder)
        describe_model(folder, "convert", ModelDetails(source=source))
    return report


def inspect_foreign(
    source: str, *, like: str | None = None, num_heads: int | None = None, offline: bool = False
) -> Integrity:
    """Read a whole foreign checkpoint and say what is in it, without writing anything.

    Raises:
        SourceError: Not found, or no foreign checkpoint.
        DataError: Files are missing, torn, or not of the shape.
        ConfigError: Nothing says how many heads it has.
    """
    kind = detect_format(source)
    if kind == "model":
        if not Path(source).is_dir() and not source.endswith(".gguf"):
            raise SourceError(f"{source}: no such folder; give the folder of a checkpoint")
        raise SourceError(f"{source}: is a model, not a checkpoint; `xmtf doctor --model {source}` inspects it")
    known = read_like(like, num_heads=num_heads, offline=offline)
    with _reading(source):
        _, tensors, report = _read(kind, Path(source), known)
        for _ in tensors:
            pass
    return report


@contextmanager
def _reading(source: str) -> Iterator[None]:
    """Turn what readers raise over values that make no sense into one line that names the checkpoint."""
    try:
        yield
    except _SENSELESS as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"{source}: damaged or malformed ({reason}); copy the checkpoint again") from error


def _read(kind: Format, source: Path, like: Like) -> _Reading:
    config, reader = _t5x(source, like) if kind == "t5x" else _bloom(kind, source, like)
    report = Integrity(
        source=str(source),
        format=kind,
        layout=reader.layout,
        num_layers=config.num_layers,
        vocab_rows=config.vocab_size,
        vocab_size=like.vocab_size,
    )
    return config, reader.tensors(config, report), report


def _t5x(source: Path, like: Like) -> tuple[MT5Config, Any]:
    reader = find_t5x(source)
    return reader.config(like.config), reader


def _bloom(kind: Format, source: Path, like: Like) -> tuple[BloomConfig, Any]:
    arguments = read_arguments(source)
    reader: Any = find_layer_files(source) if kind == "megatron" else find_universal(source)
    rows, hidden_size = reader.shape()
    if kind == "universal" and like.config is not None:
        rows = max(rows, like.config["vocab_size"])  # stored without its padding
    config = bloom_config(
        source, like, vocab_rows=rows, hidden_size=hidden_size, num_layers=reader.num_layers, arguments=arguments
    )
    return config, reader


def _resave(source: str, folder: Path, like: Like, dtype: torch.dtype | None, offline: bool) -> Integrity:
    stored = dtype or stored_dtype(source, offline=offline) or torch.float32
    loaded = load_model(source, dtype=stored, offline=offline)
    model: Any = loaded.model
    beside = None if loaded.folder is None else Like(folder=loaded.folder).tokenizer
    save_model(model, folder, tokenizer=like.tokenizer or beside)
    config = getattr(model, "config", None)
    report = Integrity(
        source=source,
        format="model",
        num_layers=getattr(config, "num_layers", 0),
        vocab_rows=model.vocab_size,
        vocab_size=like.vocab_size or Like(folder=loaded.folder).vocab_size,
    )
    for name, parameter in model.named_parameters():
        report.saw(name, parameter.detach())
    return report
