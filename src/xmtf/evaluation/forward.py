"""The passes through a model: log-probabilities of choices after prompts, and of the next token.

Kept apart from :mod:`xmtf.evaluation.rank` so that nothing imports torch before a model runs.

Shapes: G groups (prompts), T prompt positions, K choices that need a second pass, C their positions,
P positions whose logits are computed, H hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from xmtf.errors import ConfigError
from xmtf.evaluation.batches import Group, Ids, pad_left, pad_right
from xmtf.models.interface import Cache, CausalModel, EncoderDecoderModel

__all__ = ["PromptState", "continue_state", "in_halves", "read_prompts", "score_groups", "select_state"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_LOGIT_VALUES = 2**25
"""Logits held at once: 128 MiB in fp32."""


def in_halves(work: Callable[[Sequence[Item]], list[Result]], batch: Sequence[Item]) -> list[Result]:
    """Do the work of a batch; where the device's memory does not suffice, of its halves one after the other.

    Raises:
        ConfigError: A single item needs more memory than there is.
    """
    try:
        return work(batch)
    except torch.OutOfMemoryError:
        if len(batch) == 1:
            raise ConfigError(
                "one request alone needs more memory than the device has: lower evaluation.max_prompt_tokens"
            ) from None
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    middle = len(batch) // 2
    return in_halves(work, batch[:middle]) + in_halves(work, batch[middle:])


@dataclass(slots=True)
class PromptState:
    """What the model keeps of prompts that it has read.

    Attributes:
        cache: Keys and values of G rows.
        last_GH: Hidden states of the last position, which predict the next token (of rows without padding).
        encoded: Encoder states and segment ids of an encoder-decoder, else None.
    """

    cache: Cache
    last_GH: Tensor  # noqa: N815 - shape suffix
    encoded: tuple[Tensor, Tensor] | None


def device_of(model: CausalModel | EncoderDecoderModel) -> str:
    """Return the device that the model's weights are on."""
    return str(model.head_weight().device)


def read_prompts(
    model: CausalModel | EncoderDecoderModel, prompts: Sequence[Ids], *, pad: int, prefix_lm: bool = False
) -> PromptState:
    """Read prompts once: left-padded for a causal model, through the encoder otherwise."""
    device = device_of(model)
    cache = model.new_cache()
    if model.family == "causal":
        tokens_GT, segments_GT = pad_left(prompts, pad, device)
        hidden_GTH = model.hidden_states(
            tokens_GT,
            segment_ids_RT=segments_GT,
            is_input_RT=segments_GT > 0 if prefix_lm else None,
            cache=cache,
        )
        return PromptState(cache, hidden_GTH[:, -1], None)
    tokens_GT, segments_GT = pad_right(prompts, pad, device)
    encoded_GTH = model.encode(tokens_GT, segment_ids_RS=segments_GT)
    start_G1 = torch.full((len(prompts), 1), model.decoder_start, dtype=torch.int64, device=device)
    hidden_G1H = model.decode(
        start_G1,
        encoded_GTH,
        segment_ids_RT=torch.ones_like(start_G1),
        encoder_segment_ids_RS=segments_GT,
        cache=cache,
    )
    return PromptState(cache, hidden_G1H[:, -1], (encoded_GTH, segments_GT))


def continue_state(
    model: CausalModel | EncoderDecoderModel,
    state: PromptState,
    rows_K: Tensor | None,
    tokens_KC: Tensor,
    segments_KC: Tensor,
) -> tuple[Tensor, PromptState]:
    """Read on after prompts; return hidden states ``[K, C, H]`` and the state behind them.

    Args:
        model: The model.
        state: Of G prompts. With chosen rows it stays usable; without, its cache grows.
        rows_K: Which prompts, int64, one may be chosen often; None goes on with all of them in place.
        tokens_KC: Tokens that follow, right-padded.
        segments_KC: 1 for tokens, 0 for padding.
    """
    cache = state.cache if rows_K is None else state.cache.select(rows_K)
    if model.family == "causal":
        hidden_KCH = model.hidden_states(tokens_KC, segment_ids_RT=segments_KC, cache=cache)
        return hidden_KCH, PromptState(cache, hidden_KCH[:, -1], None)
    assert state.encoded is not None
    encoded = state.encoded if rows_K is None else (state.encoded[0][rows_K], state.encoded[1][rows_K])
    hidden_KCH = model.decode(
        tokens_KC, encoded[0], segment_ids_RT=segments_KC, encoder_segment_ids_RS=encoded[1], cache=cache
    )
    return hidden_KCH, PromptState(cache, hidden_KCH[:, -1], encoded)


def select_state(state: PromptState, rows_K: Tensor) -> PromptState:
    """Return the state of chosen prompts, int64 ``[K]``; one may be chosen often."""
    encoded = state.encoded and (state.encoded[0][rows_K], state.encoded[1][rows_K])
    return PromptState(state.cache.select(rows_K), state.last_GH[rows_K], encoded)


@torch.inference_mode()
def score_groups(
    model: CausalModel | EncoderDecoderModel,
    groups: Sequence[Group],
    *,
    pad: int,
    prefix_lm: bool = False,
    batch_tokens: int = 8192,
) -> list[list[float]]:
    """Return the sum of log-probabilities of every choice of every group, in the group's order."""
    state = read_prompts(model, [group.prompt for group in groups], pad=pad, prefix_lm=prefix_lm)
    totals = [[0.0] * len(group.choices) for group in groups]

    first: list[_Query] = []
    longer: dict[tuple[int, Ids], list[_Query]] = {}
    for row, group in enumerate(groups):
        for choice, place in group.choices.items():
            first.append(_Query(row, choice[0], row, place))
            if len(choice) > 1:
                # Choices that differ in their last token only share one row of the second pass.
                queries = longer.setdefault((row, choice[:-1]), [])
                queries.extend(_Query(position, token, row, place) for position, token in enumerate(choice[1:]))
    _add(totals, model, state.last_GH, first)
    for keys in _second_passes(groups, list(longer), batch_tokens):
        rows_K = torch.tensor([row for row, _ in keys], dtype=torch.int64, device=state.last_GH.device)
        tokens_KC, segments_KC = pad_right([prefix for _, prefix in keys], pad, str(state.last_GH.device))
        hidden_KCH, _ = continue_state(model, state, rows_K, tokens_KC, segments_KC)
        width = tokens_KC.shape[1]
        queries = [
            _Query(index * width + query.position, query.token, query.row, query.place)
            for index, key in enumerate(keys)
            for query in longer[key]
        ]
        _add(totals, model, hidden_KCH.flatten(0, 1), queries)
    return totals


@dataclass(frozen=True, slots=True)
class _Query:
    """The log-probability of ``token`` at ``position`` belongs to choice ``place`` of group ``row``."""

    position: int
    token: int
    row: int
    place: int


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


def _add(
    totals: list[list[float]],
    model: CausalModel | EncoderDecoderModel,
    hidden_NH: Tensor,
    queries: list[_Query],
) -> None:
    """Add the log-probability of each query to its total; logits at the queried positions only."""
    positions = sorted({query.position for query in queries})
    place_of = {position: index for index, position in enumerate(positions)}
    queries = sorted(queries, key=lambda query: query.position)
    chosen_PH = hidden_NH[torch.tensor(positions, dtype=torch.int64, device=hidden_NH.device)]
    at_once = max(1, _LOGIT_VALUES // model.vocab_size)
    done = 0
    for start in range(0, len(positions), at_once):
        logits_PV = model.logits(chosen_PH[start : start + at_once]).float()
        stop = done
        while stop < len(queries) and place_of[queries[stop].position] < start + at_once:
            stop += 1
        here = queries[done:stop]
        rows = torch.tensor([place_of[query.position] - start for query in here], device=hidden_NH.device)
        tokens = torch.tensor([query.token for query in here], device=hidden_NH.device)
        normalizer_P = torch.logsumexp(logits_PV, dim=-1)
        values = (logits_PV[rows, tokens] - normalizer_P[rows]).tolist()
        for query, value in zip(here, values, strict=True):
            totals[query.row][query.place] += value
        done = stop
