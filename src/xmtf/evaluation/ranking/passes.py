"""Choices scored by passes through a model: as token trees or behind a cache, and sums over the vocabulary.

A prompt and all its choices are one tree of tokens: whatever begins alike is computed once. Prompts that begin alike,
as several templates of one row do, grow one tree together. Each token to be scored is a query at the node that
predicts it::

    prompts   p q r,  p q s        tree   p - q - r - a       queries  at r: a, b    at a: x
    choices   a x | b,  c                       `- s                   at s: c

so the last token of a choice is never read. The order of everything depends on the requests alone. A model that reads
no trees (:mod:`xmtf.models.layers.trees`) reads prompts into a cache in left-padded batches, and choices behind copies.

The logits of a whole vocabulary are never held: with 250,880 tokens those of one position are a megabyte, and taking
their exponentials costs more than the product that makes them when they have to come back from memory. So the
vocabulary is gone through in pieces that stay in the processor's cache, with a running maximum and sum::

    piece        logits        maximum   sum of exp(logit - maximum)
    first        1.0  3.0      3.0       1.135
    second       4.0  2.0      4.0       1.135 * exp(3 - 4) + 1.135

Where the vocabulary is spread over processes, each goes through its own tokens, and maximum, sum and the logits that
are asked for are exchanged.

Legend: R trees, S positions of prompts, P positions whose logits are computed, H hidden size, V vocabulary, C tokens of
a piece or positions of a continuation, Q queries, G prompts, K continuations that need a second pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import torch
from torch import Tensor

from xmtf.evaluation.engine.batches import Ids, PromptGroup, common_length, pad_right
from xmtf.evaluation.engine.forward import continue_state, device_of, read_prompts
from xmtf.models.interface import CausalModel, EncoderDecoderModel
from xmtf.models.layers.cut import OwnVocabulary, own_vocabulary
from xmtf.models.layers.trees import ForestReader, PromptForestReader, PromptRows, Trees

__all__ = ["ChoiceScore", "TreeGroup", "build_tree", "score_cached", "score_trees", "tree_batches", "tree_groups"]

_MIN_SHARED = 4
"""Shorter common beginnings are computed again; joining prompts over them makes trees without gain."""

_MOST_NODES = 512
"""Attention looks at every pair of nodes of a tree, so a tree_group holds no more than this besides what its prompts
share, or than they share, if that is more; a single prompt may be longer."""

_MOST_JOINED = 3072
"""Larger groups of trees hold no more than ``_MOST_NODES`` besides what they share: our BLOOM has a bias for every head
and pair of nodes, 0.6 GB at 16 heads in fp32."""


@dataclass(frozen=True, slots=True)
class Query:
    """The log-probability of ``token`` after ``node`` belongs to choice ``place`` of the tree_group's ``member``."""

    node: int
    token: int
    member: int
    place: int


@dataclass(slots=True)
class Tree:
    """Tokens in preorder; see :mod:`xmtf.models.layers.trees`.

    Attributes:
        tokens: Id of each node.
        depths: Its distance from the root.
        ends: Position behind its last descendant.
        queries: What is asked of the nodes.
    """

    tokens: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    queries: list[Query] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(slots=True)
class _Node:
    children: dict[int, _Node] = field(default_factory=dict)
    queries: list[tuple[int, int, int]] = field(default_factory=list)

    def walk(self, ids: Sequence[int]) -> _Node:
        node = self
        for token in ids:
            node = node.children.setdefault(token, _Node())
        return node


def build_tree(tree_group: Sequence[PromptGroup], start: int | None = None) -> Tree:
    """Return the tree of groups.

    Args:
        tree_group: Groups whose prompts begin alike.
        start: Token that stands for the prompt, which an encoder reads: the decoder's first.
    """
    root = _Node()
    for member, group in enumerate(tree_group):
        stem = root.walk(group.prompt if start is None else (start,))
        for choice, place in group.choices.items():
            node = stem
            for token in choice[:-1]:
                node.queries.append((token, member, place))
                node = node.children.setdefault(token, _Node())
            node.queries.append((choice[-1], member, place))
    return _preorder(root)


def _preorder(root: _Node) -> Tree:
    tree = Tree()
    # (token, node, depth) to be laid out, or the place of a node whose descendants are all laid out
    pending: list[tuple[int, _Node, int] | int] = [(token, node, 0) for token, node in reversed(root.children.items())]
    while pending:
        entry = pending.pop()
        if isinstance(entry, int):
            tree.ends[entry] = len(tree)
            continue
        token, node, depth = entry
        place = len(tree)
        tree.tokens.append(token)
        tree.depths.append(depth)
        tree.ends.append(place + 1)
        tree.queries += [Query(place, *query) for query in node.queries]
        pending.append(place)
        pending += [(child, below, depth + 1) for child, below in reversed(node.children.items())]
    return tree


@dataclass(slots=True)
class TreeGroup:
    """Groups that are read together.

    Attributes:
        groups: In order of their prompts.
        num_nodes: Most positions that the model computes for them.
    """

    groups: list[PromptGroup]
    num_nodes: int

    def divided(self) -> list[TreeGroup]:
        """Return its groups as separate groups of trees."""
        return [TreeGroup([group], group.num_positions) for group in self.groups]


def tree_groups(groups: Sequence[PromptGroup], *, join: bool) -> list[TreeGroup]:
    """Return groups in groups of trees, most positions first.

    Args:
        groups: In any order.
        join: Whether prompts that begin alike are read together; without, each group stands alone.
    """
    found: list[TreeGroup] = []
    for group in sorted(groups, key=lambda group: group.prompt):
        shared = common_length(found[-1].groups[-1].prompt, group.prompt) if join and found else 0
        more = group.num_positions - shared
        most = max(shared + _MOST_NODES, min(2 * shared, _MOST_JOINED))
        if shared >= _MIN_SHARED and found[-1].num_nodes + more <= most:
            found[-1].groups.append(group)
            found[-1].num_nodes += more
        else:
            found.append(TreeGroup([group], group.num_positions))
    return sorted(found, key=lambda tree_group: (-tree_group.num_nodes, tree_group.groups[0].prompt))


def tree_batches(found: Sequence[TreeGroup], batch_tokens: int) -> Iterator[list[TreeGroup]]:
    """Yield batches of groups of trees, in order: as many as have ``batch_tokens`` positions together, at least one."""
    batch: list[TreeGroup] = []
    size = 0
    for tree_group in found:
        if batch and size + tree_group.num_nodes > batch_tokens:
            yield batch
            batch, size = [], 0
        batch.append(tree_group)
        size += tree_group.num_nodes
    if batch:
        yield batch


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


@torch.inference_mode()
def score_cached(
    model: CausalModel | EncoderDecoderModel,
    groups: Sequence[PromptGroup],
    *,
    pad: int,
    prefix_lm: bool,
    batch_tokens: int,
) -> list[list[ChoiceScore]]:
    """Return the scores of every choice of every group, in the group's order."""
    state = read_prompts(model, [group.prompt for group in groups], pad=pad, prefix_lm=prefix_lm)
    totals = Totals(model, groups)
    device = str(state.last_GH.device)
    first: list[Asked] = []
    # choices that differ in their last token only share one row of the second pass
    longer: dict[tuple[int, Ids], list[Asked]] = {}
    for row, group in enumerate(groups):
        for choice, place in group.choices.items():
            first.append((row, choice[0], row, place))
            if len(choice) > 1:
                queries = longer.setdefault((row, choice[:-1]), [])
                queries += [(position, token, row, place) for position, token in enumerate(choice[1:])]
    totals.ask(state.last_GH, first)
    for keys in _second_passes(groups, list(longer), batch_tokens):
        rows_K = torch.tensor([row for row, _ in keys], dtype=torch.int64, device=device)
        tokens_KC, segments_KC = pad_right([prefix for _, prefix in keys], pad, device)
        hidden_KCH, _ = continue_state(model, state, rows_K, tokens_KC, segments_KC)
        width = tokens_KC.shape[1]
        asked: list[Asked] = [
            (index * width + position, token, row, place)
            for index, key in enumerate(keys)
            for position, token, row, place in longer[key]
        ]
        positions = sorted({query[0] for query in asked})
        place_of = {position: index for index, position in enumerate(positions)}
        chosen_PH = hidden_KCH.flatten(0, 1)[torch.tensor(positions, device=device)]
        totals.ask(chosen_PH, [(place_of[position], token, row, place) for position, token, row, place in asked])
    return totals.scores


def _second_passes(
    groups: Sequence[PromptGroup], keys: list[tuple[int, Ids]], batch_tokens: int
) -> Iterator[list[tuple[int, Ids]]]:
    """Yield the continuations to read together: of similar length, their copied caches within bounds."""
    keys = sorted(keys, key=lambda key: (-len(key[1]), key))
    width = max((len(group.prompt) for group in groups), default=0)
    while keys:
        longest = len(keys[0][1])
        most = max(1, min(batch_tokens // longest, 4 * batch_tokens // (width + longest)))
        yield keys[:most]
        keys = keys[most:]


_CPU_PIECE = 4096
"""A piece of 64 positions is then 1 MiB of fp32."""

_DEVICE_LOGITS = 2**26
"""Logits held at once on an accelerator, where launching many small products costs more than memory."""

Asked = tuple[int, int, int, int]
"""A query: where its hidden state stands, the token, the group that it is asked for, the place of the choice."""


@dataclass(frozen=True, slots=True)
class ChoiceScore:
    """How likely a choice is.

    Attributes:
        score: Sum of the log-probabilities of its tokens, natural log.
        greedy: Whether each of its tokens is the most likely one.
    """

    score: float
    greedy: bool


class Totals:
    """Sums of log-probabilities: hidden states are collected, and go through the head together.

    Args:
        model: Whose head is used.
        groups: Whose choices are scored.
    """

    def __init__(self, model: CausalModel | EncoderDecoderModel, groups: Sequence[PromptGroup]) -> None:
        self.model = model
        self.groups = groups
        self.hidden: list[Tensor] = []
        self.asked: list[Asked] = []
        self.rows = 0

    def ask(self, hidden_PH: Tensor, queries: Iterable[Asked]) -> None:
        """Note queries: (place among ``hidden_PH``, token, group, place of the choice)."""
        self.asked += [(self.rows + row, token, group, place) for row, token, group, place in queries]
        self.hidden.append(hidden_PH)
        self.rows += len(hidden_PH)

    @property
    def scores(self) -> list[list[ChoiceScore]]:
        """Scores of every choice of every group."""
        sums = [[0.0] * len(group.choices) for group in self.groups]
        greedy = [[True] * len(group.choices) for group in self.groups]
        device = self.hidden[0].device
        rows_Q, tokens_Q = (torch.tensor(column, device=device) for column in list(zip(*self.asked, strict=True))[:2])
        scores_Q, greedy_Q = _token_scores(self.model, torch.cat(self.hidden), rows_Q, tokens_Q)
        for (_, _, group, place), score, best in zip(self.asked, scores_Q.tolist(), greedy_Q.tolist(), strict=True):
            sums[group][place] += score
            greedy[group][place] &= best
        return [list(map(ChoiceScore, *row)) for row in zip(sums, greedy, strict=True)]


def _token_scores(
    model: CausalModel | EncoderDecoderModel, hidden_PH: Tensor, positions_Q: Tensor, tokens_Q: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the log-probability of each queried token, and whether it is the most likely one.

    Args:
        model: Whose head is used.
        hidden_PH: Hidden states; each is multiplied with the head once, however many tokens are asked of it.
        positions_Q: int64, which hidden state predicts the token of each query.
        tokens_Q: int64, the tokens.

    Returns:
        fp32 ``[Q]``, natural log, and bool ``[Q]``. The numbers depend on the pieces only by rounding, and
        the pieces are the same whatever is asked together.
    """
    order_Q = tokens_Q.argsort(stable=True)
    rows_Q, sought_Q = positions_Q[order_Q], tokens_Q[order_Q]
    maximum_P = hidden_PH.new_full((len(hidden_PH),), -torch.inf, dtype=torch.float32)
    total_P = torch.zeros_like(maximum_P)
    found_Q = torch.zeros(len(sought_Q), dtype=torch.float32, device=hidden_PH.device)
    own = own_vocabulary(model)
    for start, logits_PC in _pieces(model, own, hidden_PH):
        end = start + logits_PC.shape[1]
        low, high = (int(torch.searchsorted(sought_Q, edge)) for edge in (start, end))
        found_Q[low:high] = logits_PC[rows_Q[low:high], sought_Q[low:high] - start]
        higher_P = torch.maximum(maximum_P, logits_PC.amax(dim=1))
        total_P = total_P * torch.exp(maximum_P - higher_P) + logits_PC.sub_(higher_P[:, None]).exp_().sum(dim=1)
        maximum_P = higher_P
    if own is not None:  # each process has the numbers of its tokens
        highest_P = own.most(maximum_P.clone())
        total_P = own.add(total_P * torch.exp(maximum_P - highest_P))
        found_Q, maximum_P = own.add(found_Q), highest_P
    normalizer_P = maximum_P + total_P.log()
    scores_Q, greedy_Q = torch.empty_like(found_Q), torch.empty_like(found_Q, dtype=torch.bool)
    scores_Q[order_Q] = found_Q - normalizer_P[rows_Q]
    greedy_Q[order_Q] = found_Q >= maximum_P[rows_Q]
    return scores_Q, greedy_Q


def _pieces(
    model: CausalModel | EncoderDecoderModel, own: OwnVocabulary | None, hidden_PH: Tensor
) -> Iterator[tuple[int, Tensor]]:
    """Yield the first token of each piece and its fp32 logits ``[P, C]``, which may be overwritten.

    Of a vocabulary that is spread over processes, the pieces of this one's tokens.
    """
    width = _CPU_PIECE
    if hidden_PH.device.type != "cpu":
        width = max(width, _DEVICE_LOGITS // len(hidden_PH))
    tokens, logits = (slice(0, model.vocab_size), model.logits) if own is None else (own.tokens, own.logits)
    for start in range(0, tokens.stop - tokens.start, width):
        yield tokens.start + start, logits(hidden_PH, slice(start, start + width)).float()
