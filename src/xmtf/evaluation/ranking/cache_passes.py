"""Prompts read into a cache in left-padded batches, and their choices behind copies of it.

Shapes: G prompts, K choices that need a second pass, C their positions, P positions whose logits are
computed, H hidden size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from xmtf.evaluation.engine.batches import Ids, PromptGroup, pad_right
from xmtf.evaluation.engine.forward import continue_state, read_prompts
from xmtf.evaluation.ranking.totals import Asked, ChoiceScore, Totals
from xmtf.models.interface import CausalModel, EncoderDecoderModel

__all__ = ["score_cached"]


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
