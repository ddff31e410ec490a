"""Which matrices of a model tensor parallelism slices: its ``tp_plan``, in the form that transformers gives such plans.

::

    layers.*.self_attn.q_proj  colwise      output rows: those of this process's heads
    layers.*.self_attn.o_proj  rowwise      input columns; what comes out is added up
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from torch import nn

__all__ = ["SLICED_ALONG", "planned"]

SLICED_ALONG = {
    "colwise": 0,
    "colwise_entered": 0,
    "colwise_gather_output": 0,
    "rowwise": 1,
    "rowwise_split_input": 1,
    "replicated_with_grad_allreduce": None,
}
"""Styles that training has -> the dimension of the weight that is sliced, or None where it is whole.

``colwise_entered`` is ours: it reads what another stack gave, put together already (``asked`` of the model's shares).
"""


def planned(model: nn.Module, plan: Mapping[str, str]) -> Iterator[tuple[str, nn.Module, str]]:
    """Yield name, module and style of what a plan names; ``*`` stands for a number.

    Args:
        model: What the names begin in.
        plan: Pattern -> style.
    """
    for name, module in model.named_modules():
        style = plan.get(re.sub(r"\.\d+(?=\.|$)", ".*", name))
        if style is not None:
            yield name, module, style
