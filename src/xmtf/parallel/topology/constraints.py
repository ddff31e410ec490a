"""Which layouts a model, its optimizer and its batch allow: one rule, which training and the planner both ask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from xmtf.errors import ConfigError
from xmtf.models.bloom import Bloom
from xmtf.models.hub.model import HubModel
from xmtf.models.hub.network import HubNetwork
from xmtf.models.layers.slicing import SLICED_ALONG, planned
from xmtf.models.lora import LoraLinear
from xmtf.models.mt5 import MT5
from xmtf.models.quantise import quantised_linears
from xmtf.parallel.topology.parallel_dims import ParallelDims
from xmtf.recipe.schema import Training

__all__ = ["check_constraints", "num_micro_batches", "reading_fault", "violated_constraint"]


def check_constraints(model: object, training: Training, shape: ParallelDims) -> None:
    """Refuse a layout that a model or its optimizer cannot take.

    Args:
        model: Whole, on any device, ``meta`` too.
        training: Section of the recipe.
        shape: The layout.

    Raises:
        ConfigError: Names the axis and what does not fit.
    """
    reason = violated_constraint(model, training, shape)
    if reason is not None:
        raise ConfigError(reason)


def violated_constraint(model: object, training: Training, shape: ParallelDims) -> str | None:
    """Return why a layout cannot be trained, or None where it can; arguments as for :func:`check_constraints`."""
    return next(_violations(model, training, shape), None)


def reading_fault(model: object, shape: ParallelDims) -> str | None:
    """Return why a model cannot be cut for forward passes alone, or None where it can.

    Args:
        model: Whole, on any device, ``meta`` too.
        shape: The layout, as ``evaluation.parallel`` gives it.
    """
    found = next(_cuts(model, shape, _READING), None)
    if found is None and isinstance(model, Bloom | HubModel) and shape.pp > 1:
        found = next(_too_many_stages(model.num_blocks, shape.pp, _READING), None)
    return found


@dataclass(frozen=True, slots=True)
class _Words:
    """What refusals call the keys of a layout, and what they advise."""

    key: str
    without_pp: str
    without_tp: str


_TRAINING = _Words("training.parallel", "set pp to 1 and raise dp_shard", "set tp to 1 and raise dp_shard")
_READING = _Words("evaluation.parallel", "set pp to 1 and raise tp", "set tp to 1")


def _cuts(model: Any, shape: ParallelDims, words: _Words) -> Iterator[str]:
    if shape.pp > 1 and not isinstance(model, Bloom | HubModel):
        kind = type(getattr(model, "network", model)).__name__
        yield f"{words.key}.pp: only causal models can be split into pipeline stages, not {kind}; {words.without_pp}"
    elif shape.pp > 1 and isinstance(model, HubModel) and model.stage_fault is not None:
        yield f"{words.key}.pp: {model.stage_fault}; {words.without_pp}"
    if shape.tp > 1:
        yield from _slices(model, shape.tp, words)


def _violations(model: Any, training: Training, shape: ParallelDims) -> Iterator[str]:
    yield from _cuts(model, shape, _TRAINING)
    frozen = not next(model.parameters()).requires_grad  # the embedding is, beside adapters; they take long to look for
    if shape.splits and frozen and any(quantised_linears(model)):
        yield (
            "training.parallel: quantised weights (model.quantize) cannot be sharded; set dp_shard, tp and pp to 1, "
            "or omit model.quantize"
        )
    yield from _rows(training, shape.data)
    if shape.pp > 1:
        yield from _stages(model.num_blocks, training, shape)
        if training.parallel.schedule == "zero_bubble":
            yield from _two_backward_passes(training, shape, adapted=frozen)
    if training.activation_checkpointing and isinstance(model, HubNetwork) and model.cannot_recompute:
        yield model.cannot_recompute


def _slices(model: Any, tp: int, words: _Words) -> Iterator[str]:
    if isinstance(model, HubNetwork):
        yield from _hub_slices(model, tp, words)
        return
    if model.config.num_heads % tp:
        yield f"{words.key}.tp: {model.config.num_heads} attention heads are not divisible among {tp} processes"
    if isinstance(model, MT5) and model.config.feedforward_size % tp:
        yield (
            f"{words.key}.tp: a feed-forward size of {model.config.feedforward_size} is not divisible among "
            f"{tp} processes"
        )


def _hub_slices(model: HubNetwork, tp: int, words: _Words) -> Iterator[str]:
    name = f"{words.key}.tp: {type(model.network).__name__}"
    plan = model.tp_plan if isinstance(model, HubModel) else {}
    if not plan:
        yield f"{name} has no plan of its own for slices (base_model_tp_plan); {words.without_tp}"
        return
    unknown = sorted(set(plan.values()) - SLICED_ALONG.keys())
    if unknown:
        styles = ", ".join(unknown)
        yield f"{name} asks for slices of a style that torch lacks ({styles}); {words.without_tp}"
        return
    assert isinstance(model, HubModel)
    if not (model.plain_table and model.head.is_product):
        yield f"{name} has more to its embedding or its head than a table, which is all that is sliced; set tp to 1"
    config = model.network.config.get_text_config(decoder=True)
    for kind in ("num_attention_heads", "num_key_value_heads"):
        heads = getattr(config, kind, None) or tp
        if heads % tp:
            yield f"{words.key}.tp: {heads} heads ({kind}) are not divisible among {tp} processes"
    for path, module, style in planned(model, plan):
        dimension = SLICED_ALONG[style]
        if dimension is None:
            continue
        if not isinstance(module, nn.Linear | LoraLinear):
            yield f"{name}: {path} is a {type(module).__name__}, and only plain matrices are sliced; set tp to 1"
        elif module.weight is not None and module.weight.shape[dimension] % tp:
            length = module.weight.shape[dimension]
            yield f"{words.key}.tp: {path} has {length} of {style}, not divisible among {tp} processes"


def _stages(num_layers: int, training: Training, shape: ParallelDims) -> Iterator[str]:
    rounds = training.parallel.schedule != "1f1b"
    stages = shape.pp * training.parallel.stages_each
    yield from _too_many_stages(num_layers, stages, _TRAINING)
    micro = num_micro_batches(training, shape.data) // shape.data
    if micro < shape.pp or (rounds and micro % (micro // shape.pp)):
        yield (
            f"training.parallel.pp: {micro} micro-batches do not fill {shape.pp} stages; set global_batch_rows and "
            f"micro_batch_rows such that each data-parallel process has a multiple of {shape.pp}"
        )


def _two_backward_passes(training: Training, shape: ParallelDims, *, adapted: bool) -> Iterator[str]:
    """Refuse what does not go with backward passes in two parts: first gradients of inputs, later those of weights."""
    found = {
        "training.activation_checkpointing": (
            "recomputes activations in both parts",
            training.activation_checkpointing,
        ),
        "training.parallel.dp_shard": ("has let go of a block's weights before the second part", shape.dp_shard > 1),
        "training.attention": ("is compiled for one part (`flex`)", training.attention == "flex"),
        "model.lora": ("has hardly any gradients of weights to move into the bubble", adapted),
    }
    for key, (reason, asked) in found.items():
        if asked:
            yield f"training.parallel.schedule: `zero_bubble` does not go with {key}, which {reason}; use `1f1b`"


def _too_many_stages(num_layers: int, stages: int, words: _Words) -> Iterator[str]:
    if stages > num_layers + 2:
        yield (
            f"{words.key}.pp: {stages} pipeline stages for {num_layers} blocks, an embedding and a head; set at "
            f"most {num_layers + 2}"
        )


def _rows(training: Training, num_data: int) -> Iterator[str]:
    rows = training.global_batch_rows
    if rows % num_data:
        yield f"training.global_batch_rows: {rows} rows are not divisible among {num_data} processes"
    each = rows // num_data
    micro = min(training.micro_batch_rows, each)
    if training.loss == "target_compat" and micro < min(training.micro_batch_rows, rows):
        yield (
            f"training.micro_batch_rows: the loss `target_compat` depends on the rows of a micro-batch, and each of "
            f"{num_data} processes has {each} rows, fewer than {training.micro_batch_rows}; set it to {each} or less"
        )
    if each % micro:
        whose = f" of each of {num_data} processes" if num_data > 1 else ""
        yield (
            f"training.global_batch_rows: {each} rows{whose} are not divisible into micro-batches of {micro}; change "
            f"one of them"
        )


def num_micro_batches(training: Training, num_data: int = 1) -> int:
    """Return how many micro-batches a global batch is cut into, over all data-parallel processes.

    Raises:
        ConfigError: The rows do not divide.
    """
    reason = next(_rows(training, num_data), None)
    if reason is not None:
        raise ConfigError(reason)
    return training.global_batch_rows // min(training.micro_batch_rows, training.global_batch_rows // num_data)
