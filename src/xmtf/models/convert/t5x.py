"""Checkpoints of T5X (mT5, and mT0 before its release): a msgpack file and a zarr array for each large tensor.

::

    checkpoint_1000000/
      checkpoint                                                  the tree; small arrays are in it
      target.encoder.layers_0.attention.query.kernel/{.zarray,0.0}
      target.decoder.logits_dense.kernel/...
      state.param_states.encoder.layers_0.attention.query.kernel.v_row/...      Adafactor's

Kernels are ``[inputs, outputs]``, torch has them the other way round; so has the table of relative positions.
T5X scales neither queries nor the head, as transformers' mT5 does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from xmtf.errors import DataError, SourceError, require
from xmtf.json_types import JsonObject
from xmtf.models.convert.integrity import Integrity
from xmtf.models.convert.shape import check_shape, parameter_shapes
from xmtf.models.convert.zarr import read_zarr
from xmtf.models.mt5 import MT5Config

__all__ = ["T5X", "find_t5x", "t5x_path"]

_MATRICES = {"q": "query", "k": "key", "v": "value", "o": "out"}
_PARTS = {
    "encoder": {
        "self_attention": "attention",
        "self_attention_norm": "pre_attention_layer_norm",
        "feed_forward": "mlp",
        "feed_forward_norm": "pre_mlp_layer_norm",
    },
    "decoder": {
        "self_attention": "self_attention",
        "self_attention_norm": "pre_self_attention_layer_norm",
        "cross_attention": "encoder_decoder_attention",
        "cross_attention_norm": "pre_cross_attention_layer_norm",
        "feed_forward": "mlp",
        "feed_forward_norm": "pre_mlp_layer_norm",
    },
}
_ENDS = {
    "shared.weight": "token_embedder.embedding",
    "lm_head.weight": "decoder.logits_dense.kernel",
    "encoder.relative_bias.weight": "encoder.relpos_bias.rel_embedding",
    "decoder.relative_bias.weight": "decoder.relpos_bias.rel_embedding",
    "encoder.final_norm.weight": "encoder.encoder_norm.scale",
    "decoder.final_norm.weight": "decoder.decoder_norm.scale",
}
_TURNED = (".kernel", ".rel_embedding")
_NDARRAY = 1
"""Code of an array in flax's msgpack: its shape, the name of its dtype and its bytes."""


@dataclass(frozen=True, slots=True)
class T5X:
    """A checkpoint of T5X.

    Attributes:
        folder: Of the step.
        leaves: Path of each weight in the tree, with dots -> an array that is in it, or None for one of zarr.
        step: Updates done.
        states: The same as ``leaves`` of what Adafactor remembers.
        layout: Nothing: arrays are whole.
    """

    folder: Path
    leaves: dict[str, Tensor | None]
    step: int
    states: dict[str, Tensor | None] = field(default_factory=dict)
    layout: dict[str, int] = field(default_factory=dict)

    def read(self, path: str) -> Tensor:
        """Return one weight as T5X has it.

        Raises:
            DataError: Missing or torn.
        """
        return self._array(self.leaves, f"target.{path}", path)

    def _array(self, leaves: dict[str, Tensor | None], name: str, path: str) -> Tensor:
        inline = leaves.get(path)
        if inline is not None:
            return inline
        if path not in leaves or not (self.folder / name / ".zarray").exists():
            raise DataError(f"{self.folder}: {name} is missing: copy the checkpoint again")
        return read_zarr(self.folder / name)

    def second_moments(self, name: str, shape: torch.Size) -> dict[str, Tensor]:
        """Return what Adafactor remembers of a parameter: ``square``, or of a factored matrix ``row`` and ``column``.

        Of what it does not keep T5X writes one zero. ``v_row`` are means over the longer side of T5X's array, so it has
        the length of the shorter; of a square array it belongs to the first side::

            query.kernel [in 128, out 384]    v_row [128]  v_col [384]    row = v_col   column = v_row
            out.kernel   [in 384, out 128]    v_row [128]  v_col [384]    row = v_row   column = v_col
            square       [in 128, out 128]    v_row [128]  v_col [128]    row = v_col   column = v_row

        Args:
            name: Ours, of the parameter.
            shape: Of the parameter.

        Raises:
            DataError: Missing, torn, of another shape, or of an optimizer with momentum.
        """
        path = t5x_path(name)
        turned = path.endswith(_TURNED)
        theirs = tuple(reversed(shape)) if turned else tuple(shape)
        where = f"state.param_states.{path}"
        momentum, whole, first, second = (
            self._array(self.states, f"{where}.{part}", f"{path}.{part}") for part in ("m", "v", "v_row", "v_col")
        )
        if momentum.numel() > 1:
            raise DataError(f"{self.folder}: {where}.m: trained with momentum, which xmtf's Adafactor does not support")
        if tuple(whole.shape) == theirs:
            return {"square": whole.T.contiguous() if turned else whole}
        lengths = (*first.shape, *second.shape)
        if lengths not in (theirs, theirs[::-1]):
            raise DataError(f"{self.folder}: {where} has rows and columns of {lengths}, the array has {theirs}")
        sides = (first, second) if lengths == theirs else (second, first)
        row, column = reversed(sides) if turned else sides
        return {"row": row, "column": column}

    def config(self, values: JsonObject | None) -> MT5Config:
        """Return the shape; everything but names of special tokens is in the arrays.

        Args:
            values: ``config.json`` of a model like it, or None.

        Raises:
            DataError: Not an mT5 (no gated feed-forward), or stacked layers, or unlike ``values``.
        """
        if any(path.startswith("encoder.layers.") or ".encoder.layers." in path for path in self.leaves):
            raise DataError(
                f"{self.folder}: its layers are stacked (scan_layers); only checkpoints with separate layers are "
                f"supported"
            )
        vocab_size, hidden_size = self.read("token_embedder.embedding").shape
        num_heads, num_buckets = self.read("encoder.relpos_bias.rel_embedding").shape
        width = self.read("encoder.layers_0.attention.query.kernel").shape[1]
        found = {
            "vocab_size": vocab_size,
            "d_model": hidden_size,
            "num_layers": self._num_layers("encoder"),
            "num_decoder_layers": self._num_layers("decoder"),
            "num_heads": num_heads,
            "d_kv": width // num_heads,
            "d_ff": self.read("encoder.layers_0.mlp.wi_0.kernel").shape[1],
            "relative_attention_num_buckets": num_buckets,
        }
        for key in () if values is None else ("d_model", "num_layers", "num_heads", "d_kv", "d_ff"):
            if values is not None and values.get(key, found[key]) != found[key]:
                raise DataError(
                    f"{self.folder}: {key} is {found[key]}, but the model given by --like has {values[key]}"
                )
        tied = "decoder.logits_dense.kernel" not in self.leaves
        return MT5Config.from_json((values or {}) | found, tied=tied)

    def _num_layers(self, stack: str) -> int:
        names = {path.split(".")[1] for path in self.leaves if path.startswith(f"{stack}.layers_")}
        return len(names)

    def tensors(self, config: MT5Config, report: Integrity) -> Iterator[tuple[str, Tensor]]:
        """Yield the weights under our names; see :meth:`xmtf.models.convert.megatron.LayerFiles.tensors`."""
        wanted = parameter_shapes(config)
        paths = {name: t5x_path(name) for name in wanted}
        report.unexpected.extend(sorted(set(self.leaves) - set(paths.values())))
        report.missing.extend(name for name, path in paths.items() if path not in self.leaves)
        for name, path in paths.items():
            if path in self.leaves:
                tensor = self.read(path)
                tensor = tensor.T.contiguous() if path.endswith(_TURNED) else tensor
                check_shape(name, tensor, wanted[name], self.folder / f"target.{path}")
                report.saw(name, tensor)
                yield name, tensor


def t5x_path(name: str) -> str:
    """Return the path in T5X's tree of one of our parameters of mT5.

    >>> t5x_path("decoder.blocks.3.cross_attention.q.weight")
    'decoder.layers_3.encoder_decoder_attention.query.kernel'
    >>> t5x_path("encoder.blocks.0.feed_forward_norm.weight")
    'encoder.layers_0.pre_mlp_layer_norm.scale'
    """
    if name in _ENDS:
        return _ENDS[name]
    stack, _, index, part, *rest = name.split(".")
    theirs = f"{stack}.layers_{index}.{_PARTS[stack][part]}"
    if rest == ["weight"]:
        return f"{theirs}.scale"
    return f"{theirs}.{_MATRICES.get(rest[0], rest[0])}.kernel"


def find_t5x(folder: Path) -> T5X:
    """Read the tree of a checkpoint, without its large arrays.

    Args:
        folder: Of one step (``checkpoint_1000000``), or above it: the newest step is taken.

    Raises:
        SourceError: There is none.
        MissingExtraError: msgpack is not installed.
        DataError: The tree is torn, or of TensorFlow's format.
    """
    if not (folder / "checkpoint").is_file():
        steps = sorted(folder.glob("checkpoint_*/checkpoint"), key=lambda path: _step_of(path.parent))
        if not steps:
            raise SourceError(f"{folder}: contains no T5X checkpoint (checkpoint_<step>/checkpoint)")
        folder = steps[-1].parent
    tree = _read_tree(folder / "checkpoint")
    target = tree.get("target")
    if not isinstance(target, dict):
        raise DataError(f"{folder / 'checkpoint'}: has no `target`; this is not a T5X training state")
    state = tree.get("state", {})
    states = dict(_leaves(state.get("param_states", {}), ""))
    return T5X(folder, dict(_leaves(target, "")), int(state.get("step", _step_of(folder))), states)


def _step_of(folder: Path) -> int:
    number = folder.name.rpartition("_")[2]
    return int(number) if number.isdecimal() else 0


def _read_tree(path: Path) -> JsonObject:
    msgpack = require("msgpack", "t5x")
    data = path.read_bytes()
    if data.startswith(b"model_checkpoint_path"):
        raise DataError(f"{path}: a TensorFlow checkpoint; only T5X's own format is supported")
    try:
        content = msgpack.unpackb(data, raw=False, ext_hook=_array)
    except (ValueError, TypeError, RuntimeError, LookupError, MemoryError, msgpack.exceptions.UnpackException) as error:
        raise DataError(f"{path}: not msgpack, or cut short ({error or type(error).__name__})") from None
    tree = content.get("optimizer") if isinstance(content, dict) else None
    if not isinstance(tree, dict):
        raise DataError(f"{path}: has no `optimizer`; this is not a T5X training state")
    return tree


def _array(code: int, data: bytes) -> Tensor:
    import msgpack

    if code != _NDARRAY:
        raise ValueError(f"an extension of type {code}")
    shape, dtype, numbers = msgpack.unpackb(data, raw=False)
    if dtype == "bfloat16":
        return torch.from_numpy(np.frombuffer(numbers, np.int16).copy()).view(torch.bfloat16).reshape(tuple(shape))
    if dtype not in ("float32", "float16", "int32", "int64"):
        raise ValueError(f"an array of {dtype}")
    return torch.from_numpy(np.frombuffer(numbers, np.dtype(dtype)).copy()).reshape(tuple(shape))


def _leaves(tree: JsonObject, prefix: str) -> Iterator[tuple[str, Tensor | None]]:
    for key, value in tree.items():
        path = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, Tensor):
            yield path, value
        elif isinstance(value, dict) and {"driver", "kvstore"} <= value.keys():
            yield path, None
        elif isinstance(value, dict):
            yield from _leaves(value, path)
