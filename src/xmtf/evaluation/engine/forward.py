"""The passes through a model with a cache: a prompt is read once, and read on from as often as needed.

Kept apart from :mod:`xmtf.evaluation.ranking.rank` so that nothing imports torch before a model runs.

Shapes: G prompts, T their positions, K rows that continue, C their new positions, H hidden size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from xmtf.errors import ConfigError
from xmtf.evaluation.engine.batches import Ids, pad_left, pad_right
from xmtf.models.interface import Cache, CausalModel, EncoderDecoderModel
from xmtf.models.layers.cut import cut_fault
from xmtf.models.layers.ragged import RaggedCache, ragged_reader, read_texts

__all__ = [
    "PromptState",
    "computes_alone",
    "continue_state",
    "device_of",
    "in_halves",
    "joined",
    "read_prompts",
    "select_state",
]

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_halves(
    work: Callable[[Sequence[Item]], list[Result]],
    batch: Sequence[Item],
    parts: Callable[[Item], Sequence[Item]] = lambda item: [item],
    *,
    alone: bool = True,
) -> list[Result]:
    """Do the work of a batch; where the device's memory does not suffice, of its halves one after the other.

    Args:
        work: Results of all items, in order.
        batch: The items.
        parts: What a single item that does not fit is made of, in order.
        alone: Whether this process computes without others: those would not know of the halves.

    Raises:
        ConfigError: What cannot be divided needs more memory than there is.
    """
    try:
        return work(batch)
    except torch.OutOfMemoryError:
        if not alone:
            raise ConfigError(
                "a batch needs more memory than the device has: lower evaluation.batch_tokens, or raise "
                "evaluation.parallel.tp"
            ) from None
        smaller = parts(batch[0]) if len(batch) == 1 else batch
        if len(smaller) == 1:
            raise ConfigError(
                "a single request needs more memory than the device has: lower evaluation.max_prompt_tokens"
            ) from None
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    middle = len(smaller) // 2
    return in_halves(work, smaller[:middle], parts) + in_halves(work, smaller[middle:], parts)


def computes_alone(model: CausalModel | EncoderDecoderModel) -> bool:
    """Return whether a model's passes need no other process."""
    return cut_fault(model) is None


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
    """Read prompts once: through the encoder of an encoder-decoder; by a causal model left-padded.

    One that reads rows without padding reads what prompts begin with alike once.
    """
    device = device_of(model)
    if (reader := ragged_reader(model)) is not None:
        ragged, last_GH = read_texts(reader, prompts, torch.device(device), both_ways=prefix_lm)
        return PromptState(ragged, last_GH, None)
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
        rows_K: Which prompts, int64, one may be chosen often; None continues with all of them in place.
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


def joined(first: PromptState, second: PromptState) -> PromptState:
    """Return the state of the prompts of both, those of the second behind; of rows without padding only."""
    assert isinstance(first.cache, RaggedCache)
    assert isinstance(second.cache, RaggedCache)
    return PromptState(first.cache.joined(second.cache), torch.cat([first.last_GH, second.last_GH]), None)
