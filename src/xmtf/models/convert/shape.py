"""The shape and tokenizer of a foreign checkpoint: what its tensors cannot say comes from a model like it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from xmtf.errors import ConfigError, DataError
from xmtf.files import read_json
from xmtf.json_types import JsonObject
from xmtf.models.bloom import Bloom, BloomConfig
from xmtf.models.files.references import find_small_files
from xmtf.models.mt5 import MT5, MT5Config
from xmtf.models.save import TOKENIZER_FILES

__all__ = ["Like", "bloom_config", "check_shape", "parameter_shapes", "read_like"]


@dataclass(frozen=True, slots=True)
class Like:
    """What is known of a checkpoint from outside.

    Attributes:
        config: ``config.json`` of a model like it, or None.
        folder: Where that model lies, or None.
        num_heads: Attention heads, or None.
    """

    config: JsonObject | None = None
    folder: Path | None = None
    num_heads: int | None = None

    @property
    def tokenizer(self) -> Path | None:
        """The model's folder where it holds a tokenizer."""
        if self.folder is None or not any((self.folder / name).exists() for name in TOKENIZER_FILES):
            return None
        return self.folder

    @property
    def vocab_size(self) -> int | None:
        """Entries of its tokenizer, or None where it has none that says."""
        if self.folder is None or not (self.folder / "tokenizer.json").exists():
            return None
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(self.folder / "tokenizer.json")).get_vocab_size()


def read_like(ref: str | None, *, num_heads: int | None = None, offline: bool = False) -> Like:
    """Read configuration and tokenizer of a model folder or hub id, without its weights.

    Raises:
        SourceError: Not found.
    """
    if ref is None:
        return Like(num_heads=num_heads)
    folder = find_small_files(ref, offline=offline)
    return Like(read_json(folder / "config.json"), folder, num_heads)


def bloom_config(
    source: Path, like: Like, *, vocab_rows: int, hidden_size: int, num_layers: int, arguments: JsonObject
) -> BloomConfig:
    """Return the shape of a BLOOM checkpoint.

    All rows of the embedding are kept, padding included: cut to the tokenizer's size a model no longer loads into
    what was padded for tensor parallelism.

    Args:
        source: Named in errors.
        like: Configuration of a model like it, or its heads.
        vocab_rows: Found in the checkpoint.
        hidden_size: Found in the checkpoint.
        num_layers: Found in the checkpoint.
        arguments: Of Megatron, as far as they could be read.

    Raises:
        ConfigError: Nothing says how many heads it has.
        DataError: It is not like ``like``.
    """
    if like.config is None:
        num_heads = like.num_heads or arguments.get("num_attention_heads")
        if num_heads is None:
            raise ConfigError(
                f"{source}: the number of attention heads is not in its files; give --like MODEL (a folder or hub "
                "id with the config.json) or --heads N"
            )
        return BloomConfig(vocab_rows, hidden_size, num_layers, int(num_heads))
    config = BloomConfig.from_json(like.config)
    for label, found, wanted in (
        ("layers", num_layers, config.num_layers),
        ("units of hidden size", hidden_size, config.hidden_size),
    ):
        if found != wanted:
            raise DataError(f"{source}: has {found} {label}, but the model given by --like has {wanted}")
    if vocab_rows < (like.vocab_size or 1):
        raise DataError(f"{source}: has {vocab_rows} rows of embedding, too few for {like.vocab_size} tokens")
    return replace(config, vocab_size=vocab_rows, num_heads=like.num_heads or config.num_heads)


def parameter_shapes(config: BloomConfig | MT5Config) -> dict[str, torch.Size]:
    """Return the shape of every parameter of a model by our name; tied ones once."""
    with torch.device("meta"):
        model = Bloom(config) if isinstance(config, BloomConfig) else MT5(config)
    return {name: parameter.shape for name, parameter in model.named_parameters()}


def check_shape(name: str, tensor: Tensor, wanted: torch.Size, path: Path) -> None:
    """Refuse a tensor of another shape, or of numbers that are no weights, such as int8.

    Raises:
        DataError: Names the file and both shapes, or the kind of numbers.
    """
    if tensor.dtype not in (torch.float32, torch.bfloat16, torch.float16):
        kind = str(tensor.dtype).removeprefix("torch.")
        raise DataError(f"{path}: {name} has dtype {kind}; weights must be float32, bfloat16 or float16")
    if tensor.shape != wanted:
        raise DataError(f"{path}: {name} has shape {list(tensor.shape)}, the model has {list(wanted)}")
