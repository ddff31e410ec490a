"""How many positions a model can compute together on its device.

An estimate from the model's shape and the device's memory, so that nobody has to set it; a batch that does
not fit after all is halved (:func:`xmtf.evaluation.engine.forward.in_halves`). It depends on total, not on free
memory, so that equal machines form equal batches.
"""

from __future__ import annotations

import os

import torch

from xmtf.models.interface import CausalModel, EncoderDecoderModel
from xmtf.models.layers.cut import cut_fault, held_numbers
from xmtf.models.layers.staged import StagedModel

__all__ = ["fitting_positions", "positions_of"]

_CPU_MOST = 8192
"""More positions do not make a processor faster."""

_MOST = 65_536
_LEAST = 512


def fitting_positions(model: CausalModel | EncoderDecoderModel) -> int:
    """Return how many positions of prompts and choices to compute together.

    Of a model that is cut only what this process holds counts: its layers, its heads' keys and values, its rows of the
    embedding; and processes of one machine share its memory.
    """
    weight = model.head_weight()
    assert isinstance(model, torch.nn.Module | StagedModel)
    parameters = held_numbers(model.parameters())
    if weight.device.type == "cuda":
        memory = torch.cuda.get_device_properties(weight.device).total_memory
    else:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2  # others work here too
        if cut_fault(model) is not None:
            memory //= int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    free = memory - parameters * weight.element_size()
    embedding = held_numbers([weight]) if weight.ndim == 2 else 0
    found = positions_of(free, parameters, embedding, model.hidden_size, weight.element_size())
    return min(found, _CPU_MOST) if weight.device.type == "cpu" else found


def positions_of(free: int, parameters: int, embedding: int, hidden_size: int, item: int) -> int:
    """Return how many positions fit into ``free`` bytes, between 512 and 65,536.

    A layer has about ``12 * hidden_size ** 2`` parameters. A position keeps keys and values in every layer,
    up to five times over (its own, and copies for choices), and some twenty vectors of one layer's work::

        a 560M BLOOM in fp32, 8 GB free:  24 layers of 1,024  ->  (10 * 24 + 20) * 1,024 * 4 bytes  ->  4,507

    Args:
        free: Bytes that the weights leave.
        parameters: Of the model.
        embedding: Of its embedding or head.
        hidden_size: Of a position.
        item: Bytes of a number.
    """
    layers = max(1, round((parameters - embedding) / (12 * hidden_size**2)))
    each = (10 * layers + 20) * hidden_size * item
    return int(min(_MOST, max(_LEAST, 0.6 * free / each)))
