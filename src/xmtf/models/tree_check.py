"""Find out whether a model of transformers reads token trees rightly, by reading one and its paths apart.

A tree asks three things of a model's code: that it obeys a mask of four dimensions, that positions are
those it is told, and that nothing else depends on where in a row a token stands. Models whose positions
are biases of attention (MPT), whose state is recurrent (Mamba) or whose windows count places in the row
do not; they keep reading prompts into a cache, which is slower and always right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from xmtf.errors import ConfigError
from xmtf.models.trees import Trees

if TYPE_CHECKING:
    from xmtf.models.hub.model import HubModel

__all__ = ["find_tree_fault"]

_TOLERANCE = {torch.float32: 3e-4, torch.float64: 1e-6}
_TOLERANCE_HALF = 5e-2

_PARENTS = (-1, 0, 1, 2, 3, 4, 5, 6, 7, 3, 9, 10, 10, 12, 3, 14)
"""A beginning of four nodes; of the three branches behind it one forks again."""


def find_tree_fault(model: HubModel) -> str | None:
    """Return why a model's trees would be wrong, or None.

    Random tokens fill a small tree; each node's logits must be those of its path read as a row alone,
    to 3e-4 standard deviations of the logits in fp32 and 0.05 in half precision.
    """
    if not getattr(model.network, "_supports_attention_backend", False):
        return f"{type(model.network).__name__} does not say that its attention takes any mask"
    training = model.training
    model.eval()
    try:
        deviation, dtype = _deviation(model)
    except (ConfigError, ValueError, TypeError, RuntimeError, IndexError, KeyError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return f"{type(model.network).__name__} does not take them ({reason})"
    finally:
        model.train(training)
    if not deviation <= _TOLERANCE.get(dtype, _TOLERANCE_HALF):
        return f"logits of a tree deviate by {deviation:.2g} standard deviations from those of its paths"
    return None


@torch.no_grad()
def _deviation(model: HubModel) -> tuple[float, torch.dtype]:
    device = model.head_weight().device
    generator = torch.Generator().manual_seed(0)
    tokens_T = torch.randint(0, model.vocab_size, (len(_PARENTS),), generator=generator).to(device)
    paths = [_path(node) for node in range(len(_PARENTS))]
    depths_T = torch.tensor([len(path) - 1 for path in paths], device=device)
    ends = [max(below for below, path in enumerate(paths) if node in path) + 1 for node in range(len(paths))]
    tree = Trees(tokens_T[None], depths_T[None], torch.tensor([ends], device=device))
    together_TV = model.logits(model.read_forest([tree], torch.arange(len(paths), device=device)))
    leaves = [path for node, path in enumerate(paths) if node not in _PARENTS]
    pairs = [(together_TV[path], model.logits(model.hidden_states(tokens_T[None, path])[0])) for path in leaves]
    spread = torch.cat([alone for _, alone in pairs]).float().std().clamp(min=1e-6)
    largest = max(float((ours.float() - alone.float()).abs().max() / spread) for ours, alone in pairs)
    return largest, together_TV.dtype


def _path(node: int) -> list[int]:
    """Return a node's ancestors and itself, root first."""
    return [] if node < 0 else [*_path(_PARENTS[node]), node]
