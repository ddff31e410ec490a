"""Log-probabilities of choices after prompts, batch by batch, whichever way a model can be read.

A model that reads token trees computes a prompt and all its choices in one pass, prompts that begin alike
together (:mod:`xmtf.evaluation.ranking.tree_passes`). Any other model, and a very long prompt, is read into a
cache, and the choices behind copies of it (:mod:`xmtf.evaluation.ranking.cache_passes`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from xmtf.evaluation.engine.answer import Known, nothing_known, unanswered
from xmtf.evaluation.engine.batches import Ids, PromptGroup, batches, group_prompts, members_of
from xmtf.evaluation.engine.forward import in_halves
from xmtf.evaluation.engine.processes import ALONE, Processes
from xmtf.evaluation.ranking.cache_passes import score_cached
from xmtf.evaluation.ranking.totals import ChoiceScore
from xmtf.evaluation.ranking.tree_passes import score_trees
from xmtf.evaluation.ranking.trees import TreeGroup, tree_batches, tree_groups
from xmtf.models.interface import CausalModel, EncoderDecoderModel
from xmtf.models.layers.trees import ForestReader, PromptForestReader, tree_fault

__all__ = ["ChoiceScore", "score_batches", "way_of_scoring"]

_LARGEST_TREE = 8192
"""A mask holds every pair of nodes, 0.3 GB at this size; longer prompts are read into a cache, which needs none."""


def way_of_scoring(model: CausalModel | EncoderDecoderModel) -> str:
    """Return, for people, how a model reads prompts and choices, and why it takes no trees where it does not."""
    if (fault := tree_fault(model)) is None:
        return "token trees"
    worse = getattr(model, "cache_fault", None)
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
    known: Known = nothing_known,
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
        known: Answers that are known already; a batch of which all are is left out.
    """
    groups = group_prompts(prompts, choices, members)
    if tree_fault(model) is None:
        assert isinstance(model, ForestReader | PromptForestReader)
        join = model.family == "causal" and not prefix_lm
        read = partial(score_trees, model, pad=pad, prefix_lm=prefix_lm)
        grown = tree_groups([group for group in groups if group.num_positions <= _LARGEST_TREE], join=join)
        for tree_batch in unanswered(processes.own(tree_batches(grown, batch_tokens)), _members_of_trees, known):
            found = in_halves(read, tree_batch, TreeGroup.divided)
            yield _told(_groups_of_trees(tree_batch), found, choices)
        groups = [group for group in groups if group.num_positions > _LARGEST_TREE]
    score = partial(score_cached, model, pad=pad, prefix_lm=prefix_lm, batch_tokens=batch_tokens)
    for batch in unanswered(processes.own(batches(groups, batch_tokens)), members_of, known):
        yield _told(batch, in_halves(score, batch), choices)


def _groups_of_trees(batch: Sequence[TreeGroup]) -> list[PromptGroup]:
    return [group for tree_group in batch for group in tree_group.groups]


def _members_of_trees(batch: Sequence[TreeGroup]) -> list[int]:
    return members_of(_groups_of_trees(batch))


def _told(
    groups: Sequence[PromptGroup], found: Sequence[list[ChoiceScore]], choices: Sequence[Sequence[Ids]]
) -> list[tuple[int, tuple[ChoiceScore, ...]]]:
    """Hand the scores of groups to the requests that are in them."""
    return [
        (member, tuple(scores[group.choices[choice]] for choice in choices[member]))
        for group, scores in zip(groups, found, strict=True)
        for member in group.members
    ]
