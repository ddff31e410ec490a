"""Models of the Llama kind from GGUF files: configuration and dequantised weights.

The header is read by :mod:`xmtf.gguf.header`; transformers takes ten seconds for a model of 135 M parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xmtf.errors import ConfigError, DataError
from xmtf.gguf.header import GgufFile
from xmtf.json_types import JsonObject

__all__ = ["ARCHITECTURES", "correct_sizes", "gguf_config", "gguf_tensors"]

ARCHITECTURES = ("llama", "qwen2", "qwen3")
"""Values of ``general.architecture`` that are read here; of others transformers reads what it knows."""

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
_UNREAD = {"gpt2": {"context_length": "n_positions", "feed_forward_length": "n_inner"}}
"""Sizes that transformers leaves at their defaults in the configuration of a GGUF file, by architecture."""


def gguf_config(file: GgufFile) -> dict[str, object]:
    """Return the configuration as transformers names it.

    Raises:
        ConfigError: Something about the model has no place in that configuration.
    """
    architecture = file.architecture
    prefix = f"{architecture}."
    config: JsonObject = {"model_type": architecture, "tie_word_embeddings": "output.weight" not in file.tensors}
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
        raise ConfigError(f"{file.path}: scaled rotary positions are not supported in GGUF; use the original folder")
    return {key: value for key, value in config.items() if value is not None}


def correct_sizes(config: Any, file: GgufFile) -> None:
    """Set the sizes that transformers leaves at its defaults, where a GGUF file gives them."""
    for key, name in _UNREAD.get(file.architecture, {}).items():
        if (size := file.number(f"{file.architecture}.{key}")) is not None:
            setattr(config, name, size)
    if "token_embd.weight" in file.tensors:
        config.vocab_size = file.tensors["token_embd.weight"][0][0]


def gguf_tensors(file: GgufFile, config: JsonObject, dtype: torch.dtype) -> Iterator[tuple[str, Tensor]]:
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
