"""Write a model as a folder that plain transformers loads with the same logits."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from xmtf import __version__
from xmtf.errors import SourceError
from xmtf.files import atomic_path, write_json
from xmtf.models.bloom import Bloom
from xmtf.models.bloom.names import transformers_name as bloom_name
from xmtf.models.hub.model import HubModel
from xmtf.models.interface import Model
from xmtf.models.mt5 import MT5
from xmtf.models.mt5.names import transformers_name as mt5_name
from xmtf.models.weights import write_weights

__all__ = ["TOKENIZER_FILES", "copy_tokenizer", "save_model"]

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


def save_model(model: Model | nn.Module, folder: Path, *, tokenizer: Path | None) -> None:
    """Write weights, configuration and tokenizer in Hugging Face format.

    Every file is written atomically, ``config.json`` last: a folder without it is unfinished. Weights keep
    their dtype, vocabulary padding included; above 5 GB they are sharded.

    Args:
        model: Our BLOOM or mT5, or a model of ``models/hub``.
        folder: Made where it does not exist; other files in it stay.
        tokenizer: Folder whose tokenizer files are copied, or None.

    Raises:
        SourceError: The tokenizer folder holds no tokenizer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if tokenizer is not None:
        copy_tokenizer(tokenizer, folder)
    if isinstance(model, HubModel):
        model.save(folder)
        return
    if isinstance(model, Bloom):
        rename, special = bloom_name, model.config.special
        start = None
    elif isinstance(model, MT5):
        rename, special = mt5_name, model.config.special
        start = model.config.decoder_start
    else:
        raise TypeError(f"save_model: {type(model).__name__} is no model of xmtf")
    tensors = {rename(name): tensor for name, tensor in model.named_parameters()}
    write_weights(folder, tensors)
    generation = {
        "bos_token_id": special.bos,
        "eos_token_id": special.eos,
        "pad_token_id": special.pad,
        "decoder_start_token_id": start,
    }
    write_json(folder / "generation_config.json", _without_none(generation))
    write_json(folder / "config.json", _config_json(model.config.to_json(), tensors))


def _config_json(config: dict[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    dtype = str(next(iter(tensors.values())).dtype).removeprefix("torch.")
    return _without_none(config) | {"dtype": dtype, "xmtf_version": __version__}


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def copy_tokenizer(source: Path, folder: Path) -> None:
    """Copy the tokenizer files of one folder into another, each atomically.

    Raises:
        SourceError: There are none.
    """
    names = [name for name in TOKENIZER_FILES if (source / name).exists()]
    if not names:
        raise SourceError(f"{source}: holds no tokenizer (looked for {', '.join(TOKENIZER_FILES)})")
    if source.resolve() == folder.resolve():
        return
    for name in names:
        with atomic_path(folder / name) as temporary:
            shutil.copyfile(source / name, temporary)
