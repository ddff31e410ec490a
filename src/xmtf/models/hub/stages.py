"""Consecutive blocks of a causal model of transformers as a network of its own: a pipeline stage.

A stage runs the network's own code, given hidden states in the place of embedded tokens. Blocks of other stages, and
the norm in all but the last, hand on what they are given, so masks, rotary positions, kinds of layers and caches are
those of the whole::

    whole       embedding   block 0   block 1   block 2   block 3   norm   head
    stage 0     embedding   block 0   block 1   .         .         .
    stage 1                 .         .         block 2   block 3   norm   head
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from xmtf.models.hub.head import body
from xmtf.models.layers.staged import twin_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["Elsewhere", "find_stage_fault", "stage_of"]

_BLOCKS = (["hidden_states", "attention_mask"], ["hidden_states"])
"""What transformers' plan has to say of blocks: what they take and give."""


class Elsewhere(nn.Module):
    """Stands for a block that another process computes: gives back what it is given.

    Args:
        layer: Index of the block.
    """

    def __init__(self, layer: int) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, hidden_states: Tensor, *_: object, past_key_values: Any = None, **others: object) -> Tensor:
        """Return hidden states ``[R, T, H]`` as they are; a cache, which is as long as its first layer, hears of T."""
        if past_key_values is not None:
            nothing = hidden_states.new_zeros(len(hidden_states), 1, hidden_states.shape[1], 1)
            past_key_values.update(nothing, nothing, self.layer)
        return hidden_states


def stage_of(
    network: PreTrainedModel, inside: nn.Module, plan: Iterable[str], held: range, *, first: bool, last: bool
) -> Any:
    """Return a network that holds some blocks, under the names of the whole, with which it shares its parameters.

    Args:
        network: ``...ForCausalLM`` of transformers.
        inside: What of it gives hidden states.
        plan: Names of the embedding, the list of blocks and the norm in that.
        held: Which blocks.
        first: Whether it embeds tokens.
        last: Whether it ends with norm and head; it has the embedding too where that is the head.
    """
    own = next(name for name, module in network.named_modules() if module is inside)
    embedding, blocks, norm = (f"{own}.{name}" for name in plan)
    head = network.get_output_embeddings()
    tied = head is not None and head.weight is network.get_input_embeddings().weight
    stage = twin_of(network)
    layers = network.get_submodule(blocks)
    assert isinstance(layers, nn.ModuleList)
    own = [block if index in held else Elsewhere(index) for index, block in enumerate(layers)]
    changes: dict[str, nn.Module | None] = {blocks: nn.ModuleList(own).train(network.training)}
    if not (first or (last and tied)):
        changes[embedding] = None
    if not last:
        changes[norm] = nn.Identity()
        changes |= {name: None for name, module in network.named_children() if module is head}
    for path, module in changes.items():
        *way, name = path.split(".")
        parent, whole = stage, network
        for child in way:
            whole = whole.get_submodule(child)
            if parent._modules[child] is whole:
                parent._modules[child] = twin_of(whole)
            parent = parent._modules[child]
        parent._modules[name] = module
    return stage


@torch.no_grad()
def find_stage_fault(network: PreTrainedModel, inside: nn.Module, plan: dict[str, Any], hidden_size: int) -> str | None:
    """Return why a network cannot be split into stages, or None.

    Without its blocks and its norm it has to give what it is given, the same tensor: then nothing is scaled, dropped or
    added before, between or behind blocks, which each stage would do again. That takes no weights.

    Args:
        network: ``...ForCausalLM`` of transformers, on any device.
        inside: What of it gives hidden states.
        plan: Its own plan of stages.
        hidden_size: Of its hidden states.
    """
    name = type(network).__name__
    if not plan:
        return f"{name} has no plan of its own for stages (base_model_pp_plan)"
    if len(plan) != 3 or tuple(map(list, list(plan.values())[1])) != _BLOCKS:
        return f"{name} is more than an embedding, blocks and a norm (base_model_pp_plan)"
    if getattr(network, "_is_stateful", False) or not getattr(network, "_supports_attention_backend", False):
        return f"{name} has layers that are no attention of transformers' interface"
    if type(network.get_input_embeddings()) is not nn.Embedding:
        return f"{name} has more to its embedding than a table"
    blocks = getattr(inside, list(plan)[1], None)
    if not isinstance(blocks, nn.ModuleList):
        return f"{name} has no list of blocks by the name of its plan (base_model_pp_plan)"
    each = [parameter for block in blocks for parameter in block.parameters()]
    if len({id(parameter) for parameter in each}) < len(each):
        return f"{name} has blocks that share parameters"
    empty = stage_of(network, inside, plan, range(0), first=False, last=False)
    device = next((buffer.device for buffer in inside.buffers()), torch.device("cpu"))
    given = torch.zeros(1, 2, hidden_size, device=device)
    places = {
        "position_ids": torch.arange(2, device=device)[None],
        "attention_mask": torch.zeros(1, 1, 2, 2, device=device),
    }
    try:
        found = body(empty)(inputs_embeds=given, use_cache=False, **places).last_hidden_state
    except (ValueError, TypeError, RuntimeError, LookupError, AttributeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return f"{name} does not run without its blocks ({reason})"
    if found is not given or given._version:
        return f"{name} computes more than its blocks and its norm between embedding and head"
    return None
