"""Read GGUF files of the Llama kind directly: configuration and dequantised weights.

The package gguf makes a numpy view of every string of the vocabulary; transformers does that twice and
takes ten seconds for a model of 135 M parameters. Here a file is one pass over its header. The format
is that of ggml's ``gguf.md``, version 2 and 3, little-endian: header, key-value pairs, tensor table,
then the tensors' data at aligned offsets.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xmtf.errors import ConfigError, DataError

__all__ = ["ARCHITECTURES", "GgufFile", "gguf_config", "gguf_tensors", "read_gguf"]

ARCHITECTURES = ("llama", "qwen2", "qwen3")
"""Values of ``general.architecture`` that are read here; of others transformers reads what it knows."""

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_CONFIG = {
    "context_length": "max_position_embeddings",
    "block_count": "num_hidden_layers",
    "feed_forward_length": "intermediate_size",
    "embedding_length": "hidden_size",
    "rope.freq_base": "rope_theta",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
}
_SPECIAL = {
    "bos_token_id": "bos_token_id",
    "eos_token_id": "eos_token_id",
    "unknown_token_id": "unk_token_id",
    "padding_token_id": "pad_token_id",
}
_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


@dataclass(frozen=True, slots=True)
class GgufFile:
    """The header of a GGUF file.

    Attributes:
        path: The file.
        fields: Key -> value; of an array of strings only its length.
        tensors: Name -> (shape as numpy has it, quantisation type, offset in the file).
    """

    path: Path
    fields: dict[str, Any]
    tensors: dict[str, tuple[tuple[int, ...], int, int]]

    @property
    def architecture(self) -> str:
        """Such as ``llama``."""
        return str(self.fields.get("general.architecture"))


class _Header:
    def __init__(self, path: Path) -> None:
        self.data = np.memmap(path, mode="r")
        self.view = self.data.data
        self.at = 0

    def take(self, code: str) -> Any:
        (value,) = struct.unpack_from("<" + code, self.view, self.at)
        self.at += struct.calcsize("<" + code)
        return value

    def text(self) -> str:
        length = self.take("Q")
        self.at += length
        return bytes(self.view[self.at - length : self.at]).decode("utf-8", errors="replace")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.text()
        if kind != _ARRAY:
            return self.take(_SCALARS[kind])
        item, length = self.take("I"), self.take("Q")
        if item == _STRING:
            for _ in range(length):
                self.at += 8 + struct.unpack_from("<Q", self.view, self.at)[0]
            return length
        return [self.value(item) for _ in range(length)] if item == _ARRAY else self.numbers(_SCALARS[item], length)

    def numbers(self, code: str, length: int) -> list[Any]:
        values = struct.unpack_from(f"<{length}{code}", self.view, self.at)
        self.at += struct.calcsize(f"<{length}{code}")
        return list(values)


def read_gguf(path: Path) -> GgufFile:
    """Read the header of a GGUF file.

    Raises:
        DataError: Not a GGUF file of version 2 or 3, or cut short.
    """
    try:
        header = _Header(path)
        if bytes(header.view[:4]) != b"GGUF":
            raise DataError(f"{path}: not a GGUF file")
        header.at = 4
        version = header.take("I")
        if version not in (2, 3):
            raise DataError(f"{path}: GGUF version {version} is not known (2 and 3 are)")
        return _read_tables(path, header)
    except (struct.error, KeyError, ValueError) as error:
        raise DataError(f"{path}: not a whole GGUF file ({error})") from None


def _read_tables(path: Path, header: _Header) -> GgufFile:
    num_tensors, num_fields = header.take("Q"), header.take("Q")
    fields = {}
    for _ in range(num_fields):
        key = header.text()
        fields[key] = header.value(header.take("I"))
    table = []
    for _ in range(num_tensors):
        name = header.text()
        shape = tuple(reversed(header.numbers("Q", header.take("I"))))
        table.append((name, shape, header.take("I"), header.take("Q")))
    alignment = fields.get("general.alignment", 32)
    start = -(-header.at // alignment) * alignment
    return GgufFile(path, fields, {name: (shape, kind, start + offset) for name, shape, kind, offset in table})


def gguf_config(file: GgufFile) -> dict[str, Any]:
    """Return the configuration as transformers names it.

    Raises:
        ConfigError: Something about the model has no place in that configuration.
    """
    architecture = file.architecture
    prefix = f"{architecture}."
    config: dict[str, Any] = {"model_type": architecture, "tie_word_embeddings": "output.weight" not in file.tensors}
    for key, name in _CONFIG.items():
        if prefix + key in file.fields:
            config[name] = file.fields[prefix + key]
    for key, name in _SPECIAL.items():
        if f"tokenizer.ggml.{key}" in file.fields:
            config[name] = file.fields[f"tokenizer.ggml.{key}"]
    if architecture == "llama":
        config["head_dim"] = file.fields.get(prefix + "rope.dimension_count", config.get("head_dim"))
    config["vocab_size"] = file.tensors["token_embd.weight"][0][0] if "token_embd.weight" in file.tensors else 0
    scaling = file.fields.get(prefix + "rope.scaling.type", "none")
    if scaling != "none" or "rope_freqs.weight" in file.tensors:
        raise ConfigError(f"{file.path}: scaled rotary positions cannot be read from GGUF; use the original folder")
    return {key: value for key, value in config.items() if value is not None}


def gguf_tensors(file: GgufFile, config: dict[str, Any], dtype: torch.dtype) -> Iterator[tuple[str, Tensor]]:
    """Yield (name in transformers, dequantised tensor) of all tensors.

    Raises:
        DataError: A tensor of an unknown name, or one that reaches beyond the end of the file.
    """
    from gguf import GGMLQuantizationType, quant_shape_to_byte_shape
    from gguf.quants import dequantize

    data = np.memmap(file.path, mode="r")
    for name, (shape, kind, offset) in file.tensors.items():
        quantisation = GGMLQuantizationType(kind)
        byte_shape = quant_shape_to_byte_shape(shape, quantisation)
        end = offset + int(np.prod(byte_shape))
        if end > len(data):
            raise DataError(f"{file.path}: cut short (tensor {name!r})")
        raw = data[offset:end].reshape(byte_shape)
        if quantisation in (GGMLQuantizationType.F32, GGMLQuantizationType.F16):
            raw = raw.view(np.float32 if quantisation is GGMLQuantizationType.F32 else np.float16)
        values = dequantize(raw, quantisation).reshape(shape)
        if file.architecture == "llama" and (".attn_q." in name or ".attn_k." in name):
            heads = config["num_attention_heads" if ".attn_q." in name else "num_key_value_heads"]
            values = _rotary_order(values, heads)
        yield _transformers_name(file, name), torch.from_numpy(np.array(values, np.float32)).to(dtype)


def _rotary_order(values: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """Undo the order of rows that llama.cpp keeps Llama's queries and keys in: pairs apart, not in halves."""
    half = values.shape[0] // heads // 2
    return values.reshape(heads, half, 2, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)


def _transformers_name(file: GgufFile, name: str) -> str:
    *block, part, kind = name.split(".")
    if part not in _NAMES or len(block) not in (0, 2):
        raise DataError(f"{file.path}: unknown tensor {name!r} for architecture {file.architecture!r}")
    layer = f"model.layers.{block[1]}." if block else ""
    return f"{layer}{_NAMES[part]}.{kind}"
