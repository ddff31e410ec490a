"""Load a model from wherever a reference points, behind the protocol of its family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch

from xmtf.artefacts.checksums import check_outputs
from xmtf.artefacts.ownership import stage_of
from xmtf.errors import DataError, SourceError
from xmtf.files import MANIFEST, content_hash, file_sha256, read_json
from xmtf.models.bloom import Bloom, BloomConfig
from xmtf.models.bloom.names import own_name as bloom_name
from xmtf.models.family import OWN_ENCODER_DECODERS, family_of_config
from xmtf.models.files.references import adapter_base, find_model, parse_reference
from xmtf.models.files.stored import StoredTensors
from xmtf.models.files.weights import weight_files, weights_fingerprint
from xmtf.models.finite import require_finite
from xmtf.models.hub.load import load_gguf, load_hub_folder, open_hub_folder
from xmtf.models.interface import Family, LoadedModel, Model
from xmtf.models.lora import load_adapters
from xmtf.models.mt5 import MT5, MT5Config
from xmtf.models.mt5.names import own_name as mt5_name

__all__ = ["OpenedModel", "load_model", "open_model"]

_OWN = ("bloom", *OWN_ENCODER_DECODERS)
_HEAD = "lm_head.weight"


@dataclass(frozen=True, slots=True)
class OpenedModel:
    """A model whose weights are still in their files.

    Attributes:
        model: A ``torch.nn.Module`` on the meta device, in evaluation mode.
        stored: Its weights, by the names of its parameters.
        family: Which of the two protocols it follows.
        take_hash: As of :class:`LoadedModel`.
    """

    model: Model
    stored: StoredTensors
    family: Family
    take_hash: Callable[[], str] = field(repr=False)


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
        gguf = load_gguf(path, device=device, dtype=dtype)
        return LoadedModel(gguf, "causal", None, label, partial(weights_fingerprint, {}, [path]))
    if (path / MANIFEST).is_file() and stage_of(path) is not None:
        check_outputs(path)
    base = adapter_base(path)
    if base is not None:
        return _load_adapted(base, path, label, device=device, dtype=dtype, offline=offline)
    config = _read_config(path)
    family = family_of_config(config)
    take_hash = partial(weights_fingerprint, config, weight_files(path))
    model: Model
    if config["model_type"] in _OWN:
        model = _fill(*_own_model(config, path), device, dtype)
    else:
        model = load_hub_folder(path, family=family, device=device, dtype=dtype)
    return LoadedModel(model, family, path, label, take_hash)


def open_model(ref: str, *, offline: bool = False) -> OpenedModel | None:
    """Return a model whose weights stay in their files, to be read in pieces.

    Args:
        ref: As for :func:`load_model`.
        offline: Look in the hub's cache only.

    Returns:
        The model on the meta device, in evaluation mode; None where only :func:`load_model` can read it: GGUF files,
        adapters, models of transformers whose files name or shape weights otherwise than the model does.

    Raises:
        SourceError: Not found, or not reachable.
        ConfigError: A kind of model that xmtf does not know.
        DataError: The folder's files do not fit together.
    """
    path = find_model(ref, offline=offline)
    if path.suffix == ".gguf" or adapter_base(path) is not None:
        return None
    config = _read_config(path)
    family = family_of_config(config)
    take_hash = partial(weights_fingerprint, config, weight_files(path))
    if config["model_type"] in _OWN:
        return OpenedModel(*_own_model(config, path), family, take_hash)
    opened = open_hub_folder(path) if family == "causal" else None
    return None if opened is None else OpenedModel(*opened, family, take_hash)


def _load_adapted(
    base: str, folder: Path, label: str, *, device: str, dtype: torch.dtype, offline: bool
) -> LoadedModel:
    try:
        loaded = load_model(base, device=device, dtype=dtype, offline=offline)
    except SourceError as error:
        raise SourceError(f"{folder}: an adapter for another model: {error}") from error
    load_adapters(loaded.model, folder)

    def take_hash() -> str:
        return content_hash([loaded.fingerprint, *map(file_sha256, sorted(folder.glob("adapter_*")))])

    return LoadedModel(loaded.model, loaded.family, folder, label, take_hash)


def _read_config(folder: Path) -> dict[str, object]:
    config = read_json(folder / "config.json")
    if not isinstance(config, dict) or "model_type" not in config:
        raise DataError(f"{folder / 'config.json'}: has no `model_type`: not a transformers model")
    return config


def _own_model(config: dict[str, object], folder: Path) -> tuple[Bloom | MT5, StoredTensors]:
    """Return the shape of a BLOOM or mT5 on the meta device, and its weights, which fit it.

    A head that equals the embedding counts as tied where the configuration says so: some files keep it twice.
    """
    stored = StoredTensors(folder, bloom_name if config["model_type"] == "bloom" else mt5_name)
    tied = _HEAD not in stored.shapes
    if not tied and config.get("tie_word_embeddings") and stored.equal(_HEAD, "shared.weight"):
        stored.leave_out(_HEAD)
        tied = True
    model: Bloom | MT5
    try:
        with torch.device("meta"):
            if config["model_type"] == "bloom":
                model = Bloom(BloomConfig.from_json(config))
            else:
                model = MT5(MT5Config.from_json(config, tied=tied))
    except KeyError as error:
        raise DataError(f"{folder / 'config.json'}: {error} is missing") from None
    stored.check({name: parameter.shape for name, parameter in model.named_parameters()})
    return model.eval(), stored


def _fill(model: Bloom | MT5, stored: StoredTensors, device: str, dtype: torch.dtype) -> Bloom | MT5:
    """Give a model on the meta device its weights; fp32 stays mapped from the file where it is wanted on the CPU."""
    state = {name: stored.whole(name).to(device).to(dtype) for name in stored.shapes}
    model.load_state_dict(state, strict=False, assign=True)
    if isinstance(model, MT5):
        model.tie()
    require_finite(model, f"model {stored.folder.name!r}")
    return model
