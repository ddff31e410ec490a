"""Prompts and choices scored as token trees (:mod:`xmtf.models.layers.trees`): one pass for all that begins alike.

Shapes: R trees, S positions of prompts, P positions whose logits are computed, H hidden size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from xmtf.evaluation.engine.batches import Ids, pad_right
from xmtf.evaluation.engine.forward import device_of
from xmtf.evaluation.ranking.totals import Asked, ChoiceScore, Totals
from xmtf.evaluation.ranking.trees import Tree, TreeGroup, build_tree, tree_batches
from xmtf.models.interface import CausalModel, EncoderDecoderModel
from xmtf.models.layers.trees import ForestReader, PromptForestReader, PromptRows, Trees

__all__ = ["score_trees"]

_CPU_NODES = 1024
"""Positions that go through the layers together: larger ones fall out of a processor's cache."""


@torch.inference_mode()
def score_trees(
    model: ForestReader | PromptForestReader, batch: Sequence[TreeGroup], *, pad: int, prefix_lm: bool
) -> list[list[ChoiceScore]]:
    """Return the scores of every choice of every group of every tree_group."""
    assert isinstance(model, CausalModel | EncoderDecoderModel)
    totals = Totals(model, [group for tree_group in batch for group in tree_group.groups])
    first_group = 0
    device = device_of(model)
    for part in [batch] if device != "cpu" else tree_batches(batch, _CPU_NODES):
        trees = []
        for tree_group in part:
            tree = build_tree(tree_group.groups, model.decoder_start if isinstance(model, PromptForestReader) else None)
            trees.append(_PlacedTree(tree, tree_group.groups[0].prompt, first_group))
            first_group += len(tree_group.groups)
        hidden_PH, queries = _read_trees(model, trees, pad, prefix_lm)
        totals.ask(hidden_PH, queries)
    return totals.scores


@dataclass(frozen=True, slots=True)
class _PlacedTree:
    """A tree, the prompt that an encoder reads for it, and the number of its first group."""

    tree: Tree
    prompt: Ids
    first_group: int


def _read_trees(
    model: ForestReader | PromptForestReader, trees: Sequence[_PlacedTree], pad: int, prefix_lm: bool
) -> tuple[Tensor, list[Asked]]:
    """Read trees; return hidden states ``[P, H]`` and the queries to them, as :class:`Totals` takes them."""
    device = device_of(model)  # type: ignore[arg-type]  # asserted by the caller
    blocks: list[Trees] = []
    prompts: list[PromptRows] = []
    nodes: list[Asked] = []
    start = 0
    for rows in _rows_of_blocks(model, trees, alike=device == "cpu"):
        block = _trees([placed.tree for placed in rows], pad, device)
        if prefix_lm:
            lengths_R = torch.tensor([len(placed.prompt) for placed in rows], device=device)
            block = Trees(block.tokens, block.depths, block.ends, lengths_R)
        if isinstance(model, PromptForestReader):
            tokens_RS, ids_RS = pad_right([placed.prompt for placed in rows], pad, device)
            even = len({len(placed.prompt) for placed in rows}) == 1
            prompts.append(PromptRows(tokens_RS, None if even else ids_RS))
        for row, placed in enumerate(rows):
            first = start + row * block.tokens.shape[1]
            nodes += [
                (first + query.node, query.token, placed.first_group + query.member, query.place)
                for query in placed.tree.queries
            ]
        blocks.append(block)
        start += block.tokens.numel()
    wanted = sorted({node for node, *_ in nodes})
    place_of = {node: place for place, node in enumerate(wanted)}
    wanted_P = torch.tensor(wanted, device=device)
    if isinstance(model, PromptForestReader):
        hidden_PH = model.read_prompt_forest(prompts, blocks, wanted_P)
    else:
        hidden_PH = model.read_forest(blocks, wanted_P)
    return hidden_PH, [(place_of[node], token, group, place) for node, token, group, place in nodes]


def _rows_of_blocks(
    model: ForestReader | PromptForestReader, trees: Sequence[_PlacedTree], *, alike: bool
) -> Iterator[list[_PlacedTree]]:
    """Yield trees block by block: those of one length, which need no padding, or all of them."""
    if not alike:
        yield list(trees)
        return

    def length(tree: _PlacedTree) -> int:
        return len(tree.prompt) if isinstance(model, PromptForestReader) else len(tree.tree)

    for _, rows in groupby(sorted(trees, key=length), key=length):
        yield list(rows)


def _trees(trees: Sequence[Tree], pad: int, device: str) -> Trees:
    width = max(map(len, trees))
    columns: list[list[list[int]]] = [[], [], []]
    for tree in trees:
        missing = range(len(tree), width)
        columns[0].append(tree.tokens + [pad] * len(missing))
        columns[1].append(tree.depths + [0] * len(missing))
        columns[2].append(tree.ends + [place + 1 for place in missing])
    return Trees(*(torch.tensor(column, device=device) for column in columns))
