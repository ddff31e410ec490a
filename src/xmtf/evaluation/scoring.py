"""Log-probabilities of choices after prompts, batch by batch, whichever way a model can be read.

A model that reads token trees (:mod:`xmtf.models.trees`) computes a prompt and all its choices in one
pass, prompts that begin alike together. Any other model reads a left-padded batch of prompts into its
cache and the choices behind copies of it.

Shapes: G prompts, K choices that need a second pass, C their positions, F nodes, P positions whose logits
are computed, Q queries, H hidden size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import torch
from torch import Tensor

from xmtf.evaluation.batches import Group, Ids, batches, group_prompts, pad_right
from xmtf.evaluation.forest import Bunch, Tree, bunch_batches, bunches, grow
from xmtf.evaluation.forward import continue_state, device_of, in_halves, read_prompts
from xmtf.evaluation.head import token_scores
from xmtf.evaluation.processes import ALONE, Processes
from xmtf.models.interface import CausalModel, EncoderDecoderModel
from xmtf.models.trees import ForestReader, PromptForestReader, PromptRows, Trees, tree_fault

__all__ = ["ChoiceScore", "score_batches", "way_of_scoring"]

_LARGEST_TREE = 8192
"""A mask holds every pair of nodes, 0.3 GB at this size; longer prompts are read into a cache, which needs none."""

_CPU_NODES = 1024
"""Positions that go through the layers together: larger ones fall out of a processor's cache."""


_Asked = tuple[int, int, int, int]
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


def way_of_scoring(model: CausalModel | EncoderDecoderModel) -> str:
    """Return, for people, how a model reads prompts and choices, and why it takes no trees where it does not."""
    fault, worse = tree_fault(model), getattr(model, "cache_fault", None)
    if fault is None:
        return "token trees"
    return f"a cache of each prompt: {fault}" if worse is None else f"whole rows: {worse}"


def score_batches(
    model: CausalModel | EncoderDecoderModel,
    prompts: Sequence[Ids],
    choices: Sequence[Sequence[Ids]],
    members: Iterable[int],
    *,
    pad: int,
    prefix_lm: bool = False,
    batch_tokens: int = 8192,
    processes: Processes = ALONE,
) -> Iterator[list[tuple[int, tuple[ChoiceScore, ...]]]]:
    """Yield, after each batch, the (index of a request, scores of its choices) that it answered.

    Args:
        model: The model.
        prompts: Ids of the prompt of every request, at least one.
        choices: Ids of the choices of every request, at least one each.
        members: Requests to score, as indexes into both.
        pad: Id of padding.
        prefix_lm: Bidirectional attention over prompts (causal models).
        batch_tokens: Positions computed together.
        processes: Of whose batches this one's are computed.
    """
    groups = group_prompts(prompts, choices, members)
    if tree_fault(model) is None:
        assert isinstance(model, ForestReader | PromptForestReader)
        join = model.family == "causal" and not prefix_lm
        read = partial(_score_trees, model, pad=pad, prefix_lm=prefix_lm)
        planted = bunches([group for group in groups if group.num_positions <= _LARGEST_TREE], join=join)
        for bunch_batch in processes.own(bunch_batches(planted, batch_tokens)):
            found = in_halves(read, bunch_batch, Bunch.divided)
            yield _told([group for bunch in bunch_batch for group in bunch.groups], found, choices)
        groups = [group for group in groups if group.num_positions > _LARGEST_TREE]
    score = partial(_score_cached, model, pad=pad, prefix_lm=prefix_lm, batch_tokens=batch_tokens)
    for batch in processes.own(batches(groups, batch_tokens)):
        yield _told(batch, in_halves(score, batch), choices)


def _told(
    groups: Sequence[Group], found: Sequence[list[ChoiceScore]], choices: Sequence[Sequence[Ids]]
) -> list[tuple[int, tuple[ChoiceScore, ...]]]:
    """Hand the scores of groups to the requests that are in them."""
    return [
        (member, tuple(scores[group.choices[choice]] for choice in choices[member]))
        for group, scores in zip(groups, found, strict=True)
        for member in group.members
    ]


class _Totals:
    """Sums of log-probabilities: hidden states are collected, and go through the head together.

    Args:
        model: Whose head is used.
        groups: Whose choices are scored.
    """

    def __init__(self, model: CausalModel | EncoderDecoderModel, groups: Sequence[Group]) -> None:
        self.model = model
        self.groups = groups
        self.hidden: list[Tensor] = []
        self.asked: list[_Asked] = []
        self.rows = 0

    def ask(self, hidden_PH: Tensor, queries: Iterable[_Asked]) -> None:
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
        scores_Q, greedy_Q = token_scores(self.model, torch.cat(self.hidden), rows_Q, tokens_Q)
        for (_, _, group, place), score, best in zip(self.asked, scores_Q.tolist(), greedy_Q.tolist(), strict=True):
            sums[group][place] += score
            greedy[group][place] &= best
        return [list(map(ChoiceScore, *row)) for row in zip(sums, greedy, strict=True)]


@torch.inference_mode()
def _score_trees(
    model: ForestReader | PromptForestReader, batch: Sequence[Bunch], *, pad: int, prefix_lm: bool
) -> list[list[ChoiceScore]]:
    """Return the scores of every choice of every group of every bunch."""
    assert isinstance(model, CausalModel | EncoderDecoderModel)
    totals = _Totals(model, [group for bunch in batch for group in bunch.groups])
    first_group = 0
    device = device_of(model)
    for part in [batch] if device != "cpu" else bunch_batches(batch, _CPU_NODES):
        plots = []
        for bunch in part:
            tree = grow(bunch.groups, model.decoder_start if isinstance(model, PromptForestReader) else None)
            plots.append(_Plot(tree, bunch.groups[0].prompt, first_group))
            first_group += len(bunch.groups)
        hidden_PH, queries = _read_plots(model, plots, pad, prefix_lm)
        totals.ask(hidden_PH, queries)
    return totals.scores


@dataclass(frozen=True, slots=True)
class _Plot:
    """A tree, the prompt that an encoder reads for it, and the number of its first group."""

    tree: Tree
    prompt: Ids
    first_group: int


def _read_plots(
    model: ForestReader | PromptForestReader, plots: Sequence[_Plot], pad: int, prefix_lm: bool
) -> tuple[Tensor, list[_Asked]]:
    """Read trees; return hidden states ``[P, H]`` and the queries to them, as :class:`_Totals` takes them."""
    device = device_of(model)  # type: ignore[arg-type]  # asserted by the caller
    blocks: list[Trees] = []
    prompts: list[PromptRows] = []
    nodes: list[_Asked] = []
    start = 0
    for rows in _rows_of_blocks(model, plots, alike=device == "cpu"):
        block = _trees([plot.tree for plot in rows], pad, device)
        if prefix_lm:
            lengths_R = torch.tensor([len(plot.prompt) for plot in rows], device=device)
            block = Trees(block.tokens, block.depths, block.ends, lengths_R)
        if isinstance(model, PromptForestReader):
            tokens_RS, ids_RS = pad_right([plot.prompt for plot in rows], pad, device)
            even = len({len(plot.prompt) for plot in rows}) == 1
            prompts.append(PromptRows(tokens_RS, None if even else ids_RS))
        for row, plot in enumerate(rows):
            first = start + row * block.tokens.shape[1]
            nodes += [
                (first + query.node, query.token, plot.first_group + query.member, query.place)
                for query in plot.tree.queries
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
    model: ForestReader | PromptForestReader, plots: Sequence[_Plot], *, alike: bool
) -> Iterator[list[_Plot]]:
    """Yield trees block by block: those of one length, which need no padding, or all of them."""
    if not alike:
        yield list(plots)
        return

    def length(plot: _Plot) -> int:
        return len(plot.prompt) if isinstance(model, PromptForestReader) else len(plot.tree)

    for _, rows in groupby(sorted(plots, key=length), key=length):
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
def _score_cached(
    model: CausalModel | EncoderDecoderModel,
    groups: Sequence[Group],
    *,
    pad: int,
    prefix_lm: bool,
    batch_tokens: int,
) -> list[list[ChoiceScore]]:
    """Return the scores of every choice of every group, in the group's order."""
    state = read_prompts(model, [group.prompt for group in groups], pad=pad, prefix_lm=prefix_lm)
    totals = _Totals(model, groups)
    device = str(state.last_GH.device)
    first: list[_Asked] = []
    # choices that differ in their last token only share one row of the second pass
    longer: dict[tuple[int, Ids], list[_Asked]] = {}
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
        asked: list[_Asked] = [
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
    groups: Sequence[Group], keys: list[tuple[int, Ids]], batch_tokens: int
) -> Iterator[list[tuple[int, Ids]]]:
    """Yield the continuations to read together: of similar length, their copied caches within bounds."""
    keys = sorted(keys, key=lambda key: (-len(key[1]), key))
    width = max((len(group.prompt) for group in groups), default=0)
    while keys:
        longest = len(keys[0][1])
        most = max(1, min(batch_tokens // longest, 4 * batch_tokens // (width + longest)))
        yield keys[:most]
        keys = keys[most:]
