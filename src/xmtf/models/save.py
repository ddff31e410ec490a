"""Write a model as a folder that plain transformers loads with the same logits."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from xmtf import __version__
from xmtf.artefacts.checksums import remembered_sha256
from xmtf.artefacts.manifest_parts import ModelDetails
from xmtf.artefacts.ownership import check_ours, free_name, refuse_foreign, refuse_loss
from xmtf.errors import ConfigError, SourceError
from xmtf.files import Manifest, atomic_path, content_hash, read_json, write_json, write_manifest
from xmtf.guards.alone import LOCK
from xmtf.json_types import JsonObject
from xmtf.models.bloom import Bloom, BloomConfig
from xmtf.models.bloom.names import transformers_name as bloom_name
from xmtf.models.files.weights import write_weights
from xmtf.models.hub.network import HubNetwork
from xmtf.models.lora import adapters, save_adapters
from xmtf.models.mt5 import MT5, MT5Config
from xmtf.models.mt5.names import transformers_name as mt5_name

__all__ = [
    "MODELS",
    "TOKENIZER_FILES",
    "check_model_replaced",
    "converted",
    "copy_tokenizer",
    "describe_model",
    "file_hashes",
    "keep_stops",
    "save_about",
    "save_model",
    "save_tensors",
    "stored_name",
]

MODELS = ("initial", "train", "export", "convert")
"""Stages that write models."""

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
)
"""Files that make up a tokenizer in a model folder."""
_GENERATION = "generation_config.json"
_MORE_TEMPLATES = "additional_chat_templates/*.jinja"
"""What may accompany them."""


def save_model(
    model: Any, folder: Path, *, tokenizer: Path | None, base: str | None = None, dtype: torch.dtype | None = None
) -> None:
    """Write weights, configuration and tokenizer in Hugging Face format.

    Every file is written atomically, ``config.json`` last: a folder without it is unfinished. Weights keep their dtype,
    vocabulary padding included; above 5 GB they are sharded. Of a model with adapters the adapters alone are written,
    as PEFT does; merge them before to write full weights.

    Args:
        model: Our BLOOM or mT5, or a model of ``models/hub``.
        folder: Made where it does not exist; other files in it stay.
        tokenizer: Folder whose tokenizer files are copied, or None.
        base: Reference of the model that adapters were added to; needed with adapters alone.
        dtype: What full weights are converted to; a model of transformers is converted in place.

    Raises:
        SourceError: The tokenizer folder holds no tokenizer.
        ConfigError: A weight is beyond the largest number of ``dtype``.
    """
    adapted = bool(adapters(model))
    if isinstance(model, HubNetwork) or adapted:
        folder.mkdir(parents=True, exist_ok=True)
        if tokenizer is not None:
            copy_tokenizer(tokenizer, folder)
    if adapted:
        assert base is not None, "adapters are written with the reference of their base"
        save_adapters(model, folder, base=base)
        return
    if isinstance(model, HubNetwork):
        for name, parameter in model.named_parameters():
            converted(name, parameter.detach(), dtype)
        model.to(dtype)
        model.save(folder)
        if tokenizer is not None:
            keep_stops(tokenizer, folder)
        return
    if not isinstance(model, Bloom | MT5):
        raise TypeError(f"save_model: {type(model).__name__} is not a model of xmtf")
    save_tensors(model.named_parameters(), model.config, folder, tokenizer=tokenizer, dtype=dtype)


def save_tensors(
    tensors: Iterable[tuple[str, Tensor]],
    config: BloomConfig | MT5Config,
    folder: Path,
    *,
    tokenizer: Path | None,
    dtype: torch.dtype | None = None,
) -> None:
    """Write the tensors of a BLOOM or mT5 as :func:`save_model` does, without a module around them.

    Args:
        tensors: Our names and tensors, taken as they come: a model larger than memory can be written.
        config: Its shape.
        folder: Made where it does not exist; other files in it stay.
        tokenizer: Folder whose tokenizer files are copied, or None.
        dtype: What tensors are converted to; default what they are.

    Raises:
        SourceError: The tokenizer folder holds no tokenizer.
        ConfigError: A weight is beyond the largest number of ``dtype``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if tokenizer is not None:
        copy_tokenizer(tokenizer, folder)
    rename = stored_name(config)
    dtypes: list[torch.dtype] = []

    def renamed() -> Iterator[tuple[str, Tensor]]:
        for name, tensor in tensors:
            dtypes.append(dtype or tensor.dtype)
            yield rename(name), converted(rename(name), tensor, dtype)

    write_weights(folder, renamed())
    save_about(config, folder, tokenizer=tokenizer, dtype=dtypes[0])


def stored_name(config: BloomConfig | MT5Config) -> Callable[[str], str]:
    """Return what gives our name of a tensor the name that transformers has for it."""
    return bloom_name if isinstance(config, BloomConfig) else mt5_name


def save_about(config: BloomConfig | MT5Config, folder: Path, *, tokenizer: Path | None, dtype: torch.dtype) -> None:
    """Write what is next to the weights of a BLOOM or mT5, ``config.json`` last; the tokenizer already exists.

    Args:
        config: Its shape.
        folder: Has the weights.
        tokenizer: Folder of the tokenizer, which may know more ends of an answer.
        dtype: What the weights are in.
    """
    generation = {
        "bos_token_id": config.special.bos,
        "eos_token_id": config.special.eos,
        "pad_token_id": config.special.pad,
        "decoder_start_token_id": config.decoder_start if isinstance(config, MT5Config) else None,
    }
    write_json(folder / _GENERATION, _without_none(generation))
    if tokenizer is not None:
        keep_stops(tokenizer, folder)
    about = {"dtype": str(dtype).removeprefix("torch."), "xmtf_version": __version__}
    write_json(folder / "config.json", _without_none(config.to_json()) | about)


def converted(name: str, tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    """Return a tensor in another number format, which has to hold its numbers.

    Raises:
        ConfigError: It does not.
    """
    if dtype is None or dtype == tensor.dtype or not tensor.is_floating_point():
        return tensor
    largest = tensor.abs().max().item() if tensor.numel() else 0.0
    if largest > (most := torch.finfo(dtype).max):
        kind = str(dtype).removeprefix("torch.")
        raise ConfigError(f"{name}: contains {largest:,.0f}, above the maximum {most:,.0f} of {kind}; use bf16 or fp32")
    return tensor.to(dtype)


def check_model_replaced(out: Path, *, replace: bool) -> None:
    """Refuse to write over anything but a model that xmtf wrote, and over that unless it is meant.

    Models of earlier versions, which had no manifest, count by the version in their configuration.

    Args:
        out: Where a model is to be written.
        replace: Whether it may take the place of one.

    Raises:
        ConfigError: ``out`` holds something else, or a model that is not to be replaced.
    """
    if not _names_our_version(out / "config.json"):
        check_ours(out, "a model", MODELS)
    refuse_foreign(out)
    if out.is_dir() and any(path.name != LOCK for path in out.iterdir()) and not replace:
        refuse_loss(out, ["the model there"], f"another --out, such as {free_name(out)},")


def file_hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of a model folder, those of its folders too."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): remembered_sha256(path) for path in paths}


def describe_model(folder: Path, stage: str, details: ModelDetails) -> None:
    """Write the manifest of a model folder that is no stage of a run: what its files are, and what they came from."""
    outputs = file_hashes(folder)
    write_manifest(folder, Manifest(stage, content_hash(outputs), outputs=outputs, details=details.to_json()))


def _names_our_version(path: Path) -> bool:
    return path.is_file() and b'"xmtf_version"' in path.read_bytes()


def _without_none(values: JsonObject) -> JsonObject:
    return {key: value for key, value in values.items() if value is not None}


def keep_stops(source: Path, folder: Path) -> None:
    """Let a model's generation configuration name every id that ends an answer: those of its tokenizer's folder too.

    A chat template ends turns with a token that the base model may not know as an end.
    """
    told = source / _GENERATION
    if not told.is_file() or source.resolve() == folder.resolve():
        return
    ends = _ends(read_json(told))
    path = folder / _GENERATION
    there: JsonObject = read_json(path) if path.is_file() else {}
    every = list(dict.fromkeys([*_ends(there), *ends]))
    if len(every) > 1 and every != _ends(there):
        write_json(path, there | {"eos_token_id": every})


def _ends(generation: JsonObject) -> list[int]:
    found = generation.get("eos_token_id")
    return [each for each in (found if isinstance(found, list) else [found]) if isinstance(each, int)]


def copy_tokenizer(source: Path, folder: Path) -> None:
    """Copy the tokenizer files of one folder into another, each atomically.

    Raises:
        SourceError: There are none.
    """
    names = [name for name in TOKENIZER_FILES if (source / name).exists()]
    more = [str(path.relative_to(source)) for path in sorted(source.glob(_MORE_TEMPLATES))]
    if not names:
        raise SourceError(f"{source}: has no tokenizer (searched for {', '.join(TOKENIZER_FILES)})")
    if source.resolve() == folder.resolve():
        return
    for name in (*names, *more):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(folder / name) as temporary:
            shutil.copyfile(source / name, temporary)
    keep_stops(source, folder)
