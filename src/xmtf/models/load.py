"""Load a model from wherever a reference points, behind the protocol of its family."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from xmtf.errors import DataError, SourceError
from xmtf.files import content_hash, file_sha256, read_json
from xmtf.models.bloom import Bloom, BloomConfig
from xmtf.models.bloom.names import own_name as bloom_name
from xmtf.models.family import OWN_ENCODER_DECODERS, family_of_config
from xmtf.models.hub.load import load_gguf, load_hub_folder
from xmtf.models.interface import LoadedModel
from xmtf.models.lora import load_adapters
from xmtf.models.mt5 import MT5, MT5Config
from xmtf.models.mt5.names import own_name as mt5_name
from xmtf.models.references import adapter_base, find_model, parse_reference
from xmtf.models.weights import load_weights, stored_names, weight_files, weights_fingerprint

__all__ = ["load_model"]


def load_model(
    ref: str, *, device: str = "cpu", dtype: torch.dtype = torch.float32, offline: bool = False
) -> LoadedModel:
    """Load a model in evaluation mode.

    BLOOM and mT5 run on our own code, every other language model on transformers'. No code that comes
    with a checkpoint is ever run, and nothing is unpickled.

    Args:
        ref: Folder, GGUF file, ``package:<name>``, or hub id with an optional ``@revision``.
        device: Where the weights go.
        dtype: What they are converted to.
        offline: Look in the hub's cache only.

    Raises:
        SourceError: Not found, or not reachable.
        ConfigError: A kind of model that xmtf does not know.
        DataError: The folder's files do not fit together.
    """
    label = parse_reference(ref).label
    path = find_model(ref, offline=offline)
    if path.suffix == ".gguf":
        model = load_gguf(path, device=device, dtype=dtype)
        return LoadedModel(model, "causal", None, weights_fingerprint({}, [path]), label)
    base = adapter_base(path)
    if base is not None:
        return _load_adapted(base, path, label, device=device, dtype=dtype, offline=offline)
    config = _read_config(path)
    family = family_of_config(config)
    fingerprint = weights_fingerprint(config, weight_files(path))
    kind = config["model_type"]
    if kind == "bloom":
        return LoadedModel(_load_bloom(config, path, device, dtype), family, path, fingerprint, label)
    if kind in OWN_ENCODER_DECODERS:
        return LoadedModel(_load_mt5(config, path, device, dtype), family, path, fingerprint, label)
    return LoadedModel(
        load_hub_folder(path, family=family, device=device, dtype=dtype), family, path, fingerprint, label
    )


def _load_adapted(
    base: str, folder: Path, label: str, *, device: str, dtype: torch.dtype, offline: bool
) -> LoadedModel:
    try:
        loaded = load_model(base, device=device, dtype=dtype, offline=offline)
    except SourceError as error:
        raise SourceError(f"{folder}: an adapter for another model: {error}") from error
    load_adapters(loaded.model, folder)
    fingerprint = content_hash([loaded.fingerprint, *map(file_sha256, sorted(folder.glob("adapter_*")))])
    return LoadedModel(loaded.model, loaded.family, folder, fingerprint, label)


def _read_config(folder: Path) -> dict[str, Any]:
    config = read_json(folder / "config.json")
    if not isinstance(config, dict) or "model_type" not in config:
        raise DataError(f"{folder / 'config.json'}: has no `model_type`: not a model of transformers")
    return config


def _load_bloom(config: dict[str, Any], folder: Path, device: str, dtype: torch.dtype) -> Bloom:
    try:
        shape = BloomConfig.from_json(config)
    except KeyError as error:
        raise DataError(f"{folder / 'config.json'}: {error} is missing") from None
    with torch.device("meta"):
        model = Bloom(shape)
    load_weights(model, folder, bloom_name, device=device, dtype=dtype)
    return model.eval()


def _load_mt5(config: dict[str, Any], folder: Path, device: str, dtype: torch.dtype) -> MT5:
    own_head = "lm_head.weight" in stored_names(folder)
    try:
        shape = MT5Config.from_json(config, tied=not own_head)
    except KeyError as error:
        raise DataError(f"{folder / 'config.json'}: {error} is missing") from None
    with torch.device("meta"):
        model = MT5(shape)
    load_weights(model, folder, mt5_name, device=device, dtype=dtype)
    model.tie(equal=bool(config.get("tie_word_embeddings")))
    return model.eval()
