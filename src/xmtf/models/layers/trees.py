"""Token trees: many continuations of one beginning, read in one pass.

A tree is laid out in preorder, so a node's descendants are the positions behind it up to its end, and
whether one node may attend to another is two comparisons. A prompt ``p q`` with the answers ``a b`` and
``a c``, each node seeing its ancestors and itself::

    node      0 1 2 3 4          attends   0  1 . . . .
    token     p q a b c                    1  1 1 . . .
    depth     0 1 2 3 3                    2  1 1 1 . .
    end       5 5 5 4 5                    3  1 1 1 1 .
                                           4  1 1 1 . 1

Depths are positions: ``b`` and ``c`` both are at 3. A single sequence is the tree whose ends are all its length.
Padding is a node that ends at once, and sees itself alone.

Legend: R trees, T nodes of the largest, S positions of prompts, P chosen nodes, H hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional

from xmtf.models.interface import Model
from xmtf.models.layers.cut import cut_fault

__all__ = ["ForestReader", "PromptForestReader", "PromptRows", "Trees", "padded_together", "tree_fault"]


@dataclass(frozen=True, slots=True)
class Trees:
    """Trees that are computed as one block.

    Attributes:
        tokens: int64 token ids in preorder, ``[R, T]``.
        depths: int64 distance of each node from the root, ``[R, T]``.
        ends: int64 position behind each node's last descendant, ``[R, T]``.
        inputs: Prefix LM: so many first nodes of a tree see each other in both directions, int64 ``[R]``; else None.
    """

    tokens: Tensor
    depths: Tensor
    ends: Tensor
    inputs: Tensor | None = None

    def allowed(self) -> Tensor:
        """Return which node (second axis) attends to which (third), bool ``[R, T, T]``."""
        nodes_T = torch.arange(self.tokens.shape[1], device=self.tokens.device)
        allowed_RTT = (nodes_T <= nodes_T[:, None]) & (nodes_T[:, None] < self.ends[:, None, :])
        if self.inputs is not None:
            is_input_RT = nodes_T < self.inputs[:, None]
            allowed_RTT = allowed_RTT | (is_input_RT[:, :, None] & is_input_RT[:, None, :])
        return allowed_RTT

    def distances(self) -> Tensor:
        """Return how much deeper the key (third axis) stands than the query, int64 ``[R, T, T]``."""
        return self.depths[:, None, :] - self.depths[:, :, None]


def padded_together(blocks: Sequence[Trees]) -> Trees:
    """Return all trees of blocks as one block, as wide as the largest; token 0 is where one ends before."""
    width = max(block.tokens.shape[1] for block in blocks)
    places_T = torch.arange(width, device=blocks[0].tokens.device)
    tokens, depths, ends, inputs = [], [], [], []
    for block in blocks:
        rows, length = block.tokens.shape
        tokens.append(functional.pad(block.tokens, (0, width - length)))
        depths.append(functional.pad(block.depths, (0, width - length)))
        ends.append(torch.cat([block.ends, (places_T[length:] + 1).expand(rows, -1)], dim=1))
        if block.inputs is not None:
            inputs.append(block.inputs)
    assert len(inputs) in (0, len(blocks)), "a prefix LM reads either all trees so, or none"
    return Trees(torch.cat(tokens), torch.cat(depths), torch.cat(ends), torch.cat(inputs) if inputs else None)


@dataclass(frozen=True, slots=True)
class PromptRows:
    """Prompts that an encoder reads as one block.

    Attributes:
        tokens: int64 token ids, ``[R, S]``.
        segment_ids: 1 for tokens, 0 for padding, ``[R, S]``; None where nothing is padded.
    """

    tokens: Tensor
    segment_ids: Tensor | None = None


@runtime_checkable
class ForestReader(Protocol):
    """A causal model that reads trees."""

    @property
    def tree_fault(self) -> str | None:
        """Why its trees would be wrong, or None: our own models read trees, others are tried."""

    def read_forest(self, blocks: Sequence[Trees], wanted_P: Tensor) -> Tensor:
        """Return hidden states after the last norm, ``[P, H]``, of chosen nodes.

        Args:
            blocks: Trees; products with weights run over the nodes of all blocks together, so blocks may be
                as small as one tree, and need no padding.
            wanted_P: int64 places among all nodes, block after block, row after row.
        """
        ...


@runtime_checkable
class PromptForestReader(Protocol):
    """An encoder-decoder model whose decoder reads trees."""

    decoder_start: int
    """Token that decoding starts with: the root of every tree."""

    @property
    def tree_fault(self) -> str | None:
        """As of :class:`ForestReader`."""

    def read_prompt_forest(self, prompts: Sequence[PromptRows], blocks: Sequence[Trees], wanted_P: Tensor) -> Tensor:
        """Return the decoder's hidden states, ``[P, H]``; each block answers the prompts of the block at its place."""
        ...


def tree_fault(model: Model) -> str | None:
    """Return why a model is not to be asked for trees, or None: then it is a reader of one of the two kinds."""
    if not isinstance(model, ForestReader | PromptForestReader):
        return "its code does not support token trees"
    return cut_fault(model) or model.tree_fault
