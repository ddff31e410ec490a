"""Find out what a model of transformers does rightly, by doing it with a few random tokens and comparing.

What is right is a whole row: the tokens from the first to the last, alone, without a cache. A token tree
and a cache save work, but not every model's code bears them:

- A tree asks that a mask of four dimensions is obeyed, that positions are those that are told, and that
  nothing else depends on the token's place in its row. Position biases inside attention (MPT), recurrent states
  (Mamba) and windows that count places in the row do not bear it.
- Rows without padding ask that attention is that of transformers' interface, once a layer, that positions are
  those that are told, and that nothing else looks at other positions.
- A cache asks that rows of it can be chosen, and that several tokens can be read on after padded prompts.
  Recurrent states do not bear it, and some of them say nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from xmtf.errors import ConfigError
from xmtf.models.hub.caches import HubCache
from xmtf.models.interface import CausalModel
from xmtf.models.layers.ragged import RaggedReader, read_rows, read_texts
from xmtf.models.layers.trees import ForestReader, Trees

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["TriedModel", "find_cache_fault", "find_ragged_fault", "find_tree_fault"]


class TriedModel(CausalModel, ForestReader, RaggedReader, Protocol):
    """What is tried of a :class:`xmtf.models.hub.model.HubModel`."""

    network: PreTrainedModel
    training: bool

    def train(self, mode: bool = True) -> Any:
        """As of ``torch.nn.Module``."""

    def network_cache(self) -> HubCache:
        """Return an empty cache of the network's own kind."""
        ...


_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-6}
_TOLERANCE_HALF = 0.2
"""Rounding in bf16 gives 0.05 after 30 layers of a trained model, Mamba-2's cache 0.8."""

LogitPair = tuple[Tensor, Tensor]
"""Logits of the same tokens, ``[T, V]``: as they are tried, and of the whole row."""


def find_tree_fault(model: TriedModel) -> str | None:
    """Return why token trees would be read wrongly, or None."""
    if not getattr(model.network, "_supports_attention_backend", False):
        return f"{type(model.network).__name__} does not declare that its attention accepts any mask"
    return _fault(model, "a token tree", _tree_and_paths)


def find_cache_fault(model: TriedModel) -> str | None:
    """Return why reading on from the network's own cache would be wrong, or None."""
    return _fault(model, "its cache", _cache_and_rows)


def find_ragged_fault(model: TriedModel) -> str | None:
    """Return why rows of different lengths would be read wrongly without padding, or None."""
    name, config = type(model.network).__name__, model.network.config.get_text_config(decoder=True)
    if not getattr(model.network, "_supports_attention_backend", False):
        return f"{name} does not declare that its attention can be replaced"
    if any(kind in str(getattr(config, "rope_parameters", None)) for kind in ("dynamic", "longrope")):
        return f"{name} has rotary positions that depend on the longest row of a batch"
    return _fault(model, "rows without padding", _pieces_and_rows)


def _fault(model: TriedModel, what: str, tried: Callable[[TriedModel], list[LogitPair]]) -> str | None:
    """Return why logits are not those of whole rows, or None.

    They may differ by a root mean square of 1e-4 standard deviations of the logits in fp32, 0.2 in half precision.
    """
    name = type(model.network).__name__
    training = model.training
    model.train(False)
    try:
        with torch.no_grad():
            pairs = tried(model)
    except (ConfigError, ValueError, TypeError, RuntimeError, LookupError, AttributeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return f"{name} does not take {what} ({reason})"
    finally:
        model.train(training)
    spread = float(torch.cat([alone for _, alone in pairs]).float().std().clamp(min=1e-6))
    largest = max(float((ours.float() - alone.float()).square().mean().sqrt()) for ours, alone in pairs) / spread
    if not largest <= _TOLERANCE.get(pairs[0][0].dtype, _TOLERANCE_HALF):
        return f"{name} with {what} deviates by {largest:.2g} standard deviations of logits from whole rows"
    return None


def _draw(model: TriedModel, number: int) -> Tensor:
    tokens_T = torch.randint(0, model.vocab_size, (number,), generator=torch.Generator().manual_seed(0))
    return tokens_T.to(model.head_weight().device)


def _whole(model: TriedModel, tokens_T: Tensor) -> Tensor:
    return model.logits(model.hidden_states(tokens_T[None])[0])


_PARENTS = (-1, 0, 1, 2, 3, 4, 5, 6, 7, 3, 9, 10, 10, 12, 3, 14)
"""A beginning of four nodes; of the three branches behind it one forks again."""


def _tree_and_paths(model: TriedModel) -> list[LogitPair]:
    tokens_T = _draw(model, len(_PARENTS))
    nodes_T = torch.arange(len(_PARENTS), device=tokens_T.device)
    paths = [_path(node) for node in range(len(_PARENTS))]
    depths_T = torch.tensor([len(path) - 1 for path in paths], device=tokens_T.device)
    ends = [max(below for below, path in enumerate(paths) if node in path) + 1 for node in range(len(paths))]
    tree = Trees(tokens_T[None], depths_T[None], torch.tensor([ends], device=tokens_T.device))
    together_TV = model.logits(model.read_forest([tree], nodes_T))
    leaves = [path for node, path in enumerate(paths) if node not in _PARENTS]
    return [(together_TV[path], _whole(model, tokens_T[path])) for path in leaves]


def _path(node: int) -> list[int]:
    """Return a node's ancestors and itself, root first."""
    return [] if node < 0 else [*_path(_PARENTS[node]), node]


def _cache_and_rows(model: TriedModel) -> list[LogitPair]:
    """Read two prompts, the second left-padded, and three continuations of two tokens and one.

    ::

        prompts   a b c d e   rows chosen  0   then  u v  w
                  0 0 f g h                1         x y  z
                                           1         v u  x
    """
    tokens = _draw(model, 14)
    prompts_RT = torch.stack([tokens[:5], torch.cat([torch.zeros_like(tokens[:2]), tokens[5:8]])])
    segment_ids_RT = torch.ones_like(prompts_RT)
    segment_ids_RT[1, :2] = 0
    rows_K = torch.tensor([0, 1, 1], device=tokens.device)
    more_KC = tokens[torch.tensor([[8, 9, 10], [11, 12, 13], [9, 8, 11]], device=tokens.device)]
    read = model.network_cache()
    model.hidden_states(prompts_RT, segment_ids_RT=segment_ids_RT, cache=read)
    chosen = read.select(rows_K)
    parts = [
        model.logits(model.hidden_states(part, segment_ids_RT=torch.ones_like(part), cache=chosen))
        for part in (more_KC[:, :2], more_KC[:, 2:])
    ]
    prompts = [tokens[:5], tokens[5:8], tokens[5:8]]
    whole = [_whole(model, torch.cat(row))[-3:] for row in zip(prompts, more_KC, strict=True)]
    return list(zip(torch.cat(parts, dim=1), whole, strict=True))


def _pieces_and_rows(model: TriedModel) -> list[LogitPair]:
    """Read three rows of which two share 17 tokens, one token after each, and after the first two some more.

    ::

        row 0   17 tokens, a b | c | d e
        row 1   17 tokens, f   | g | h
        row 2   i              | j
    """
    tokens = _draw(model, 27)
    shared, others = tokens[:17], tokens[17:]
    rows = [torch.cat([shared, others[:5]]), torch.cat([shared, others[5:8]]), others[8:10]]
    begun = [tuple(row[:end].tolist()) for row, end in zip(rows, (19, 18, 1), strict=True)]
    cache, last_RH = read_texts(model, begun, tokens.device)
    found = [[hidden_H[None]] for hidden_H in last_RH]
    each_R1 = torch.stack([row[len(text)] for row, text in zip(rows, begun, strict=True)])[:, None]
    for states, hidden_1H in zip(found, read_rows(model, each_R1, None, cache), strict=True):
        states.append(hidden_1H)
    swapped = cache.select(torch.tensor([2, 1], device=tokens.device))
    swapped = swapped.joined(cache.select(torch.tensor([0], device=tokens.device)))
    more_RT = torch.stack([tokens[:2], torch.stack([rows[1][19], tokens[0]]), rows[0][20:]])
    real_RT = torch.tensor([[False, False], [True, False], [True, True]], device=tokens.device)
    hidden_RTH = read_rows(model, more_RT, real_RT, swapped)
    found[1].append(hidden_RTH[1, :1])
    found[0].append(hidden_RTH[2])
    return [
        (model.logits(torch.cat(states)), _whole(model, row)[len(text) - 1 :])
        for states, row, text in zip(found, rows, begun, strict=True)
    ]
