"""Low-rank adapters (LoRA, Hu et al. 2021), in memory and in the files of PEFT.

A linear layer ``W x`` becomes ``W x + scale * B A x``; W is frozen, A and B train. The same code serves our own
models and those of transformers. A folder holds ``adapter_config.json`` and ``adapter_model.safetensors`` with
the module names of transformers, so PEFT loads ours onto its models and we load PEFT's onto ours.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from xmtf.errors import ConfigError, DataError, UnknownNameError
from xmtf.files import read_json, write_json
from xmtf.models.bloom import Bloom
from xmtf.models.bloom.names import transformers_name as bloom_name
from xmtf.models.files.references import ADAPTER_CONFIG, Reference, adapter_base, parse_reference
from xmtf.models.files.weights import tensors_of, write_tensors
from xmtf.models.interface import Model
from xmtf.models.mt5 import MT5
from xmtf.models.mt5.names import transformers_name as mt5_name
from xmtf.models.quantise import QuantisedLinear, quantised_layer
from xmtf.recipe.schema import Lora, QuantizeKind

__all__ = ["LoraLinear", "adapters", "add_adapters", "load_adapters", "merge_adapters", "save_adapters"]

_WEIGHTS = "adapter_model.safetensors"
_PREFIX = "base_model.model."
_KEY = re.compile(r"^base_model\.model\.(?P<module>.+)\.lora_(?P<side>[AB])(?:\.default)?\.weight$")
_WITHOUT = {
    "bias": "none", "use_dora": False, "fan_in_fan_out": False, "modules_to_save": None, "lora_bias": False,
    "megatron_config": None, "target_parameters": None, "trainable_token_indices": None, "use_qalora": False,
}  # fmt: skip
"""Options of PEFT that change what an adapter computes, at the value that means nothing."""


class LoraLinear(nn.Module):
    """A linear layer with an adapter; parameters ``weight`` and ``bias`` keep their names.

    Args:
        linear: The layer that it takes the place of.
        rank: Rows of A.
        alpha: ``scale`` is ``alpha / rank``, or ``alpha / sqrt(rank)`` where ``rank_stabilised``.
        dropout: On the adapter's input, in training mode.
        rank_stabilised: See ``alpha`` (Kalajdzievski 2023).
        device: Of the adapter; default that of the layer.
    """

    def __init__(
        self,
        linear: nn.Linear | QuantisedLinear,
        rank: int,
        alpha: float,
        dropout: float = 0.0,
        *,
        rank_stabilised: bool = False,
        device: str | None = None,
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.rank, self.alpha, self.dropout, self.rank_stabilised = rank, alpha, dropout, rank_stabilised
        self.weight: Tensor | None
        self.bias: nn.Parameter | None
        self.quantised: QuantisedLinear | None = None
        if isinstance(linear, QuantisedLinear):
            like = torch.empty(0, device=next(linear.buffers()).device)
            self.register_parameter("weight", None)
            self.register_parameter("bias", None)
            self.quantised = linear
        else:
            like = linear.weight
            self.weight = linear.weight
            self.register_parameter("bias", linear.bias)
        self.lora_A = nn.Parameter(like.new_zeros(rank, linear.in_features, device=device))
        self.lora_B = nn.Parameter(like.new_zeros(linear.out_features, rank, device=device))
        self.train(linear.training)

    @property
    def scale(self) -> float:
        """Factor of the adapter's output."""
        return self.alpha / (math.sqrt(self.rank) if self.rank_stabilised else self.rank)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return the layer's output with the adapter's added."""
        return self.add_to(self._frozen(hidden), self.narrow(hidden, self.lora_A), self.lora_B)

    def narrow(self, hidden: Tensor, lora_A: Tensor) -> Tensor:
        """Return what the adapter's first matrix ``[rank, inputs]`` makes of inputs, scaled: ``[..., rank]``."""
        return functional.linear(functional.dropout(hidden, self.dropout, self.training), lora_A) * self.scale

    @staticmethod
    def add_to(frozen: Tensor, narrow: Tensor, lora_B: Tensor) -> Tensor:
        """Return the frozen layer's output ``[..., outputs]`` and what the second matrix ``[outputs, rank]`` adds.

        Scaled while it is narrow, and added by the product itself: a pass over the output costs as much as the rank.
        """
        rows = frozen.flatten(0, -2)
        return torch.addmm(rows, narrow.flatten(0, -2).to(rows.dtype), lora_B.T.to(rows.dtype)).view_as(frozen)

    def _frozen(self, hidden: Tensor) -> Tensor:
        if self.quantised is not None:
            return cast("Tensor", self.quantised(hidden))
        assert self.weight is not None
        return functional.linear(hidden, self.weight, self.bias)

    def quantise(self, kind: QuantizeKind) -> None:
        """Turn its frozen weight into small numbers, in place."""
        assert self.weight is not None
        linear = nn.Linear(self.in_features, self.out_features, bias=self.bias is not None, device="meta")
        linear.weight = self.weight
        if self.bias is not None:
            linear.bias = self.bias
        self.weight = self.bias = None
        self.quantised = quantised_layer(linear, kind)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """Return a plain layer whose weight holds the adapter, added in fp32; this layer's is changed with it.

        Raises:
            ConfigError: The weight is quantised.
        """
        if self.weight is None:
            raise ConfigError("adapters are not merged into quantised weights; load the base in full precision")
        linear = nn.Linear(self.in_features, self.out_features, bias=self.bias is not None, device="meta")
        self.weight.copy_(self.weight.float() + self.lora_B.float() @ self.lora_A.float() * self.scale)
        linear.weight = self.weight
        if self.bias is not None:
            linear.bias = self.bias
        return linear


def adapters(model: nn.Module) -> dict[str, LoraLinear]:
    """Return the layers with adapters by their name in the model; empty for a model without."""
    return {name: module for name, module in model.named_modules() if isinstance(module, LoraLinear)}


def add_adapters(model: Model, config: Lora, *, seed: int, device: str | None = None) -> None:
    """Add adapters that change nothing yet (B is zero), and freeze everything else; in place.

    Args:
        model: Our BLOOM or mT5, or a model of ``models/hub``.
        config: Rank, scale, dropout and which layers.
        seed: Of the random A, uniform within ``1 / sqrt(inputs)`` as in PEFT.
        device: Where the adapters are made; default where the model is. On the meta device nothing is drawn.

    Raises:
        UnknownNameError: A target names no linear layer.
        ConfigError: The model has no linear layers.
    """
    chosen = _targets(model, config)
    generator = torch.Generator().manual_seed(seed)
    for name, linear in chosen.items():
        layer = LoraLinear(
            linear,
            config.rank,
            config.alpha,
            config.dropout,
            rank_stabilised=config.rank_stabilised,
            device=device,
        )
        if not layer.lora_A.is_meta:
            bound = linear.in_features**-0.5
            drawn = torch.empty(layer.lora_A.shape).uniform_(-bound, bound, generator=generator)
            layer.lora_A.data.copy_(drawn)
        _replace(model, name, layer)
    freeze(_module(model))


def freeze(model: nn.Module) -> None:
    """Let adapters alone train."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.endswith((".lora_A", ".lora_B")))


def merge_adapters(model: nn.Module) -> None:
    """Add every adapter into its weight and put plain layers back; everything trains again. In place."""
    for name, layer in adapters(model).items():
        _replace(model, name, layer.merged())
    model.requires_grad_(True)


def save_adapters(model: Model, folder: Path, *, base: str) -> None:
    """Write a model's adapters as PEFT does; ``adapter_config.json`` comes last.

    Args:
        model: A model with adapters.
        folder: Made where it does not exist.
        base: Reference of the model that they were added to.
    """
    layers = {_their_module(model, name): layer for name, layer in adapters(_module(model)).items()}
    sides = {
        f"{_PREFIX}{name}.lora_{side}.weight": getattr(layer, f"lora_{side}")
        for name, layer in layers.items()
        for side in "AB"
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / _WEIGHTS, sides)
    write_json(folder / ADAPTER_CONFIG, _config_json(model, layers, base))


def load_adapters(model: Model, folder: Path) -> None:
    """Put the adapters of a folder of PEFT onto the model that they were made for, in place; they alone train.

    Raises:
        ConfigError: The folder uses something of PEFT that changes what is computed and is not known here.
        DataError: Its tensors do not fit the model.
    """
    config = _read_config(folder)
    linears = _linears(model)
    ours = {_their_module(model, name): name for name in linears}
    halves: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors_of(_weights_file(folder), "cpu"):
        match = _KEY.match(key)
        if match is None:
            raise ConfigError(f"{folder}: contains {key!r}; only plain LoRA (lora_A, lora_B) is supported")
        halves.setdefault(match["module"], {})[match["side"]] = tensor
    for module, pair in halves.items():
        if module not in ours or set(pair) != {"A", "B"}:
            raise DataError(f"{folder}: an adapter for {module!r}, which is not a linear layer of this model")
        _replace(model, ours[module], _layer(folder, config, module, linears[ours[module]], pair))
    freeze(_module(model))


def _layer(
    folder: Path, config: Mapping[str, Any], module: str, linear: nn.Linear, pair: Mapping[str, Tensor]
) -> LoraLinear:
    alpha = _of_pattern(config.get("alpha_pattern"), module, config["lora_alpha"])
    layer = LoraLinear(
        linear,
        len(pair["A"]),
        float(alpha),
        float(config.get("lora_dropout") or 0.0),
        rank_stabilised=bool(config.get("use_rslora")),
    )
    for side, tensor in pair.items():
        parameter: nn.Parameter = getattr(layer, f"lora_{side}")
        if parameter.shape != tensor.shape:
            shapes = f"{list(tensor.shape)}, the model expects {list(parameter.shape)}"
            raise DataError(f"{folder}: lora_{side} of {module!r} has shape {shapes}")
        parameter.data.copy_(tensor)
    return layer


def _of_pattern(pattern: Mapping[str, object] | None, module: str, default: object) -> Any:
    """Return the value of the first pattern that a module's name ends with, as PEFT matches them."""
    for key, value in (pattern or {}).items():
        if re.fullmatch(rf"(.*\.)?({key})", module):
            return value
    return default


def _read_config(folder: Path) -> dict[str, object]:
    path = folder / ADAPTER_CONFIG
    config = read_json(path)
    if not isinstance(config, dict) or config.get("peft_type") != "LORA" or "lora_alpha" not in config:
        kind = config.get("peft_type") if isinstance(config, dict) else None
        raise ConfigError(f"{path}: an adapter of type {kind!r}; only LORA is supported")
    other = [key for key, none in _WITHOUT.items() if config.get(key, none) not in (none, None, [], {})]
    if other:
        raise ConfigError(f"{path}: `{other[0]}` is set, which is not supported; merge the adapter with PEFT first")
    return config


def _weights_file(folder: Path) -> Path:
    path = folder / _WEIGHTS
    pickled = folder / "adapter_model.bin"
    return pickled if pickled.exists() and not path.exists() else path


def _config_json(model: Model, layers: Mapping[str, LoraLinear], base: str) -> dict[str, object]:
    first = next(iter(layers.values()))
    reference = _base(base)
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM" if model.family == "causal" else "SEQ_2_SEQ_LM",
        "base_model_name_or_path": reference.hub_id or str(Path(str(reference.path)).absolute()),
        "revision": reference.revision,
        "r": first.rank,
        "lora_alpha": first.alpha,
        "lora_dropout": first.dropout,
        "use_rslora": first.rank_stabilised,
        "rank_pattern": {name: layer.rank for name, layer in layers.items() if layer.rank != first.rank},
        "alpha_pattern": {name: layer.alpha for name, layer in layers.items() if layer.alpha != first.alpha},
        "target_modules": _short_names(model, layers),
        "inference_mode": True,
        "init_lora_weights": True,
        **_WITHOUT,
    }


def _base(reference: str) -> Reference:
    """Return the model that adapters are for: where ``reference`` is itself a folder of adapters, what they name."""
    parsed = parse_reference(reference)
    inner = None if parsed.path is None else adapter_base(parsed.path)
    return parsed if inner is None else _base(inner)


def _short_names(model: Model, layers: Mapping[str, LoraLinear]) -> list[str]:
    """Return last parts of names where they say exactly which layers have adapters, else whole names."""
    short = {name.rpartition(".")[2] for name in layers}
    plain = {_their_module(model, name) for name in _linears(model)}
    said = {name for name in plain if name.rpartition(".")[2] in short}
    return sorted(short if said <= set(layers) else layers)


def _targets(model: Model, config: Lora) -> dict[str, nn.Linear]:
    found = _linears(model)
    if not found:
        raise ConfigError("model.lora: this model has no linear layers to adapt")
    if config.targets == "all-linear":
        return found
    theirs = {name: _their_module(model, name) for name in found}
    for target in config.targets:
        if not any(_named(name, target) for name in theirs.values()):
            known = {name.rpartition(".")[2] for name in theirs.values()}
            raise UnknownNameError("layer", target, known, "model.lora.targets")
    return {name: found[name] for name in found if any(_named(theirs[name], target) for target in config.targets)}


def _named(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")


def _linears(model: Model) -> dict[str, nn.Linear]:
    """Return the plain linear layers of a model but its head, and those inside adapters, by their name in the model."""
    module = _module(model)
    head = model.head_weight()
    return {
        name: part  # type: ignore[misc]  # a layer with an adapter has what is asked of the layer here: its sizes
        for name, part in module.named_modules()
        if isinstance(part, nn.Linear | LoraLinear | QuantisedLinear)
        and part.weight is not head
        and not name.endswith(".quantised")  # it stands in a layer with an adapter
    }


def _their_module(model: Model, name: str) -> str:
    """Return what transformers calls a module of a model."""
    if isinstance(model, Bloom):
        return bloom_name(name)
    if isinstance(model, MT5):
        return mt5_name(f"{name}.weight").removesuffix(".weight")
    return name.removeprefix("network.")


def _replace(model: Any, name: str, layer: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, layer)


def _module(model: Model) -> nn.Module:
    assert isinstance(model, nn.Module)
    return model
