"""The model that training starts from: loaded, and changed as the recipe's section ``model`` says."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xmtf.errors import ConfigError, require
from xmtf.execution import say, warn
from xmtf.models import check_packing
from xmtf.models.bloom import Bloom
from xmtf.models.device import choose_device
from xmtf.models.dtype import bf16_gain, has_bf16
from xmtf.models.finite import require_finite
from xmtf.models.hub.encoder_decoder import HubEncoderDecoder
from xmtf.models.hub.model import HubModel
from xmtf.models.hub.network import HubNetwork
from xmtf.models.interface import Family
from xmtf.models.load import load_model, open_model
from xmtf.models.lora import adapters, add_adapters, freeze, merge_adapters
from xmtf.models.quantise import quantise_model
from xmtf.recipe.schema import Lora, Model, QuantizeKind, Recipe, Training
from xmtf.training.numerics.precision import choose_attention

if TYPE_CHECKING:
    from xmtf.models.files.stored import StoredTensors

__all__ = ["Start", "adapt_model", "check_machine", "check_model", "packed_or_padded", "start_model"]


def check_machine(training: Training, quantize: QuantizeKind | None = None) -> None:
    """Refuse what this machine cannot do, and name what it does slowly, before anything is loaded.

    Args:
        training: Section of the recipe.
        quantize: Of its section ``model``.

    Raises:
        ConfigError: A GPU, or a kernel for GPUs, is asked for and there is none.
        MissingExtraError: ``adamw_8bit`` or quantised weights without bitsandbytes.
    """
    device = choose_device(training.device, "training.device")
    choose_attention(training.attention, device)
    if device.type == "mps" and training.precision != "fp32":
        raise ConfigError(
            f"training.precision: {training.precision} is not supported on mps; set training.precision=fp32"
        )
    if training.precision != "fp32" and not has_bf16(device):
        say(f"training.precision: this {device.type.upper()} has no bf16 instructions; fp32 is faster")
    if training.precision == "fp32" and device.type == "cpu" and has_bf16(device) and bf16_gain() >= _WORTH_IT:
        say(f"training.precision: this CPU multiplies {bf16_gain():.1f} times as fast in bf16; try `bf16`")
    if training.optimizer.name == "adamw_8bit" or quantize == "nf4":
        require("bitsandbytes", "gpu")


_WORTH_IT = 1.3
"""Times as fast, from which on bf16 is advised: casts take part of what products gain."""


@dataclass(frozen=True, slots=True)
class Start:
    """The model that training starts from.

    Attributes:
        model: Adapted, fp32, in evaluation mode; on the CPU, or its stored parameters on the meta device.
        family: Of the model.
        stored: What parameters on the meta device are read from; None where the model is whole.
    """

    model: Any
    family: Family
    stored: StoredTensors | None = None


def start_model(reference: str, config: Model, *, seed: int, offline: bool = False, in_pieces: bool = False) -> Start:
    """Load a model and adapt it.

    Args:
        reference: Folder, GGUF file or hub id.
        config: Section ``model`` of the recipe.
        seed: Of what is drawn.
        offline: Look in the hub's cache only.
        in_pieces: Leave the weights in their files, for :func:`xmtf.training.parallel.layout.cut_model` to read this
            process's            part; where the files do not allow it the model is loaded whole.

    Raises:
        SourceError: Not found.
        ConfigError: A switch that this model does not have.
    """
    opened = open_model(reference, offline=offline) if in_pieces else None
    if opened is not None:
        adapt_model(opened.model, config, seed=seed, device="cpu")
        return Start(opened.model, opened.family, opened.stored)
    loaded = load_model(reference, offline=offline)
    adapt_model(loaded.model, config, seed=seed)
    return Start(loaded.model, loaded.family)


def check_model(model: Any, recipe: Recipe) -> None:
    """Check a model with its weights: the head of a model of transformers, and that packed examples stay apart.

    Args:
        model: Whole, or this process's part of it; then every process checks its own.
        recipe: Says whether rows are packed.

    Raises:
        ConfigError: It computes logits in a way that is not known, or leaks between examples.
    """
    require_finite(model, recipe.model.base or "the model that training starts from")
    if isinstance(model, HubNetwork):
        packing = recipe.tokens.packing
        longest = max(packing.sequence_length, packing.target_length or 0)
        _check_positions(model, packing.sequence_length if model.family == "causal" else longest)
    if isinstance(model, HubModel):
        model.check_head()
    if recipe.tokens.packing.policy != "pad":
        if isinstance(model, HubModel):
            parallel = recipe.training.parallel
            model.by_document = parallel.tp == parallel.pp == 1 and model.ragged_fault is None
        check_packing(model)


def packed_or_padded(model: Any, recipe: Recipe, *, first: bool = True) -> Recipe:
    """Return the recipe with one example per row where an encoder-decoder of transformers would mix packed ones.

    Args:
        model: With its weights.
        recipe: Its packing counts.
        first: Whether this process says so.
    """
    if not isinstance(model, HubEncoderDecoder) or recipe.tokens.packing.policy == "pad":
        return recipe
    try:
        check_packing(model)
    except ConfigError as error:
        reason = str(error).partition(";")[0]
        if first:
            warn(f"{reason}; it trains with one example per row, as with tokens.packing.policy: pad")
        return _with_padded_rows(recipe)
    return recipe


def _with_padded_rows(recipe: Recipe) -> Recipe:
    """Return a recipe with one example per row."""
    packing = recipe.tokens.packing.model_copy(update={"policy": "pad"})
    return recipe.model_copy(update={"tokens": recipe.tokens.model_copy(update={"packing": packing})})


def _check_positions(model: HubNetwork, length: int) -> None:
    """Refuse rows that are longer than a table of positions; elsewhere only say so."""
    positions: int | None = getattr(model, "max_positions", None)
    if positions is None or length <= positions:
        return
    text = f"tokens.packing.sequence_length: {length:,} is more than the {positions:,} positions of the model"
    if model.has_position_table:
        raise ConfigError(f"{text}; lower it")
    warn(text)


def adapt_model(model: Any, config: Model, *, seed: int, device: str | None = None) -> None:
    """Set what the recipe requires of a model beyond its weights, in place.

    Args:
        model: Any model of ours.
        config: Section ``model`` of the recipe.
        seed: Of what is drawn.
        device: Where adapters are made; default where the model is.

    Raises:
        ConfigError: A switch that this model does not have.
    """
    if config.absolute_alibi:
        if not isinstance(model, Bloom):
            raise ConfigError("model.absolute_alibi: only BLOOM has ALiBi; omit it")
        model.config = dataclasses.replace(model.config, absolute_alibi=True)
    if config.quantize is not None:
        _quantise(model, config.quantize)
    _adapt_layers(model, config.lora, seed, device)


def _quantise(model: Any, kind: QuantizeKind) -> None:
    """Quantise what stays frozen, also beneath adapters that the model came with."""
    model.requires_grad_(False)
    for layer in adapters(model).values():
        layer.quantise(kind)
    quantise_model(model, kind, "weights")


def _adapt_layers(model: Any, config: Lora | None, seed: int, device: str | None) -> None:
    """Add adapters, or continue with those that the model came with; without a wish for any, merge them."""
    found = list(adapters(model).values())
    if config is None and found:
        merge_adapters(model)
    if config is None:
        return
    if not found:
        add_adapters(model, config, seed=seed, device=device)
    elif any((layer.rank, layer.alpha, layer.rank_stabilised) != _shape(config) for layer in found):
        layer = found[0]
        raise ConfigError(
            f"model.lora: the adapters that training starts from have rank {layer.rank} and alpha {layer.alpha:g}; "
            f"give the same, or omit `lora` to merge them and train all weights"
        )
    freeze(model)
    for layer in found:
        layer.dropout = config.dropout


def _shape(config: Lora) -> tuple[int, float, bool]:
    return config.rank, config.alpha, config.rank_stabilised
