"""In which number format a model is computed.

``fp32``; ``bf16``: matrix products in bf16 by autocast, master weights, gradients and optimizer in fp32, frozen
matrices (alongside adapters) in bf16; ``bf16_pure``: everything in bf16. fp16 is not offered: T5-family feed-forward
outputs exceed its largest number (66,246 against 65,504 was seen), which gives NaN, and bf16 costs the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Literal

import torch
from torch import nn

from xmtf.errors import ConfigError, require
from xmtf.models.bloom import Bloom
from xmtf.models.device import choose_device
from xmtf.models.dtype import has_bf16
from xmtf.models.hub.model import HubModel
from xmtf.models.lora import LoraLinear
from xmtf.models.mt5 import MT5
from xmtf.recipe import Recipe
from xmtf.training.numerics.bf16 import ProductsInFp32, numbers_are_fake

__all__ = [
    "Precision",
    "choose_attention",
    "compute_dtype",
    "computing",
    "prepare",
    "set_threads",
]

Precision = Literal["fp32", "bf16", "bf16_pure"]


def set_threads(threads: int | None) -> int:
    """Set torch's CPU threads: the number given, ``OMP_NUM_THREADS``, or the physical cores this process may use."""
    if threads is None and "OMP_NUM_THREADS" not in os.environ:
        psutil = require("psutil", "train")
        allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        threads = max(1, min(allowed, psutil.cpu_count(logical=False) or allowed))
    if threads is not None and threads != torch.get_num_threads():
        torch.set_num_threads(threads)
    return torch.get_num_threads()


def compute_dtype(precision: Precision) -> torch.dtype:
    """Return what matrix products are computed in."""
    return torch.float32 if precision == "fp32" else torch.bfloat16


@contextmanager
def computing(precision: Precision, device: torch.device) -> Iterator[None]:
    """Set what a step's micro-batches run in; inside it weights are cast once."""
    imitated = precision != "fp32" and device.type == "cpu" and not has_bf16(device) and not numbers_are_fake()
    with (
        ProductsInFp32() if imitated else nullcontext(),
        torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16"),
    ):
        yield


def choose_attention(wanted: Literal["auto", "sdpa", "flex"], device: torch.device) -> Literal["sdpa", "flex"]:
    """Return BLOOM's kernel; ``auto`` takes FlexAttention on GPUs, in every layout, the reference elsewhere.

    Where there is dropout, which FlexAttention has not, the model takes the reference itself.

    Raises:
        ConfigError: ``flex`` on a CPU, where torch has no backward pass for it.
    """
    if wanted == "flex" and device.type != "cuda":
        raise ConfigError("training.attention: `flex` has no backward pass on CPUs; use `auto` or `sdpa`")
    return "flex" if wanted == "flex" or (wanted == "auto" and device.type == "cuda") else "sdpa"


def prepare(model: Any, recipe: Recipe) -> None:
    """Give a model its number format and set the switches that training needs, in place; it stays where it is.

    Gradients of embeddings and heads are added in place to ``.grad`` (:mod:`xmtf.models.layers.tied`).
    """
    training = recipe.training
    model.to(dtype=torch.bfloat16 if training.precision == "bf16_pure" else torch.float32)
    if training.precision == "bf16":
        for parameter in _frozen_matrices(model):
            parameter.data = parameter.data.to(torch.bfloat16)
    model.train()
    model.dropout = recipe.model.dropout
    model.accumulate_in_place = True
    model.activation_checkpointing = training.activation_checkpointing
    if isinstance(model, Bloom):
        split = training.parallel.pp > 1 and training.parallel.schedule == "zero_bubble"
        wanted = "sdpa" if split and training.attention == "auto" else training.attention  # flex is compiled
        model.attention = choose_attention(wanted, choose_device(training.device, "training.device"))
    for parameter in model.parameters():
        parameter.grad = None


def _frozen_matrices(model: nn.Module) -> Iterator[torch.Tensor]:
    """Return what needs no fp32 master: frozen weights that autocast would cast before each product, and the embedding.

    Other tables, such as T5's position bias, and vectors stay in fp32: they are computed in it, and small.
    """
    table = _embedding(model)
    others = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    if table is not None:
        others.discard(id(table.weight))
        if not table.weight.requires_grad:
            yield table.weight
    linears = (module for module in model.modules() if isinstance(module, nn.Linear | LoraLinear))
    yield from (
        linear.weight
        for linear in linears
        if linear.weight is not None and not linear.weight.requires_grad and id(linear.weight) not in others
    )


def _embedding(model: nn.Module) -> Any:
    """Return the token embedding where its lookups are ours (:func:`xmtf.models.layers.tied.embed`), else None."""
    if isinstance(model, Bloom):
        return model.word_embeddings
    if isinstance(model, MT5):
        return model.shared
    if isinstance(model, HubModel):
        table = model.network.get_input_embeddings()
        return table if type(table) is nn.Embedding else None
    return None
