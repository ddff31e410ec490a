"""An encoder-decoder of transformers (umT5, T5Gemma, mBART, ...) as a :class:`xmtf.models.EncoderDecoderModel`.

Legend: R rows, S encoder positions, T decoder positions, H hidden size.

Packed rows get masks of four dimensions, and positions that begin again in every segment where a stack takes positions.
Where positions are rows of a table that the stack counts itself (BART, mBART), packed examples come out wrong:
:func:`xmtf.models.check_packing` finds out which.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
from torch import Tensor

from xmtf.errors import ConfigError
from xmtf.models.hub.head import HubHead
from xmtf.models.hub.network import HubNetwork, fitting
from xmtf.models.hub.positions import index_distances, segment_positions
from xmtf.models.interface import Cache
from xmtf.models.layers.attention import additive_bias, compute_dtype, same_segment, self_attention_mask
from xmtf.models.layers.cache import joined
from xmtf.models.layers.host_copies import on_host

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["HubEncoderDecoder", "HubPairCache"]


@dataclass(slots=True)
class HubPairCache:
    """Transformers' cache of both attentions of a decoder, and which positions are padding.

    Attributes:
        past: ``EncoderDecoderCache``.
        segment_ids: ``[R, S]`` of the decoder positions remembered, or None without padding.
        encoder_segment_ids: Of the encoder's, or None.
    """

    past: Any
    segment_ids: Tensor | None = None
    encoder_segment_ids: Tensor | None = None

    def select(self, rows: Tensor) -> Self:
        """Return the cache of the chosen rows, int64 ``[R2]``; a row may be chosen often."""
        parts = [
            type(part)(
                [(layer.keys.index_select(0, rows), layer.values.index_select(0, rows)) for layer in part.layers]
            )
            for part in (self.past.self_attention_cache, self.past.cross_attention_cache)
        ]
        own, encoder = (
            None if ids is None else ids.index_select(0, rows) for ids in (self.segment_ids, self.encoder_segment_ids)
        )
        return type(self)(type(self.past)(*parts), own, encoder)


class HubEncoderDecoder(HubNetwork):
    """An encoder-decoder of transformers.

    Args:
        network: ``...ForConditionalGeneration`` of transformers.
        head: Its head.
        label: For messages.

    Raises:
        ConfigError: The configuration does not say what decoding starts with.
    """

    family: Literal["encoder-decoder"] = "encoder-decoder"

    def __init__(self, network: PreTrainedModel, head: HubHead, label: str) -> None:
        super().__init__(network, head, label)
        config = network.config
        start = _decoder_start(network)
        if start is None:
            raise ConfigError(f"model {label!r}: its config.json has no decoder_start_token_id")
        self.decoder_start = start
        self.max_positions: int | None = getattr(config, "max_position_embeddings", None)

    def encode(self, tokens_RS: Tensor, *, segment_ids_RS: Tensor | None = None) -> Tensor:
        """Return encoder states ``[R, S, H]``; see :class:`xmtf.models.EncoderDecoderModel`."""
        stack = self.network.get_encoder()
        if _is_packed(segment_ids_RS):
            assert segment_ids_RS is not None
            allowed = same_segment(segment_ids_RS, segment_ids_RS)
            arguments = self._packed(stack, segment_ids_RS, allowed, lambda away, width: away.abs() <= width)
        else:
            arguments = {"attention_mask": _mask(tokens_RS, segment_ids_RS)}
        with fitting(self, tokens_RS.shape[1]):
            output = stack(input_ids=tokens_RS, **arguments)
        encoded_RSH: Tensor = output.last_hidden_state
        return encoded_RSH

    def decode(
        self,
        tokens_RT: Tensor,
        encoded_RSH: Tensor,
        *,
        segment_ids_RT: Tensor | None = None,
        encoder_segment_ids_RS: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """Return decoder hidden states ``[R, T, H]``; see :class:`xmtf.models.EncoderDecoderModel`."""
        assert cache is None or isinstance(cache, HubPairCache)
        length = 0
        if cache is not None:
            length = cache.past.get_seq_length()
            if length:
                encoder_segment_ids_RS = cache.encoder_segment_ids
            cache.encoder_segment_ids = encoder_segment_ids_RS
            cache.segment_ids = joined(cache.segment_ids, segment_ids_RT, tokens_RT, length, 1)
            segment_ids_RT = cache.segment_ids
        if segment_ids_RT is None:  # a mask of the new positions alone would hide those remembered
            segment_ids_RT = tokens_RT.new_ones(len(tokens_RT), length + tokens_RT.shape[1])
        with fitting(self, tokens_RT.shape[1]):
            output = self.network.get_decoder()(
                input_ids=tokens_RT,
                **self._decoder_masks(encoded_RSH, segment_ids_RT, encoder_segment_ids_RS),
                encoder_hidden_states=encoded_RSH,
                past_key_values=None if cache is None else cache.past,
                use_cache=cache is not None,
            )
        hidden_RTH: Tensor = output.last_hidden_state
        return hidden_RTH

    def _decoder_masks(self, encoded_RSH: Tensor, ids_RT: Tensor, encoder_ids_RS: Tensor | None) -> dict[str, Any]:
        if encoder_ids_RS is None or not (_is_packed(ids_RT) or _is_packed(encoder_ids_RS)):
            return {
                "attention_mask": _mask(ids_RT, ids_RT),
                "encoder_attention_mask": _mask(encoded_RSH[..., 0], encoder_ids_RS),
            }
        length = ids_RT.shape[1]
        allowed_RTT = self_attention_mask(length, ids_RT, None, length, ids_RT.device)
        arguments = self._packed(self.network.get_decoder(), ids_RT, allowed_RTT, lambda away, width: away > -width)
        cross = additive_bias(same_segment(ids_RT, encoder_ids_RS), None, self._dtype())
        return arguments | {"encoder_attention_mask": cross}

    def _packed(
        self, stack: Any, ids_RT: Tensor, allowed_RTT: Tensor, sees: Callable[[Tensor, int], Tensor]
    ) -> dict[str, Any]:
        """Return positions and masks of packed rows, as one of the two stacks takes them.

        Args:
            stack: Encoder or decoder.
            ids_RT: Segment ids.
            allowed_RTT: Where attention is allowed.
            sees: Tells of how far keys are behind their queries, and of a window, which are inside of it.
        """
        mask: object = additive_bias(allowed_RTT, None, self._dtype())
        kinds = set(getattr(stack.config, "layer_types", None) or ())
        if kinds:
            width, length = stack.config.sliding_window, ids_RT.shape[1]
            near = sees(index_distances(length, length, ids_RT.device), width) if width else True
            sliding = additive_bias(allowed_RTT & near, None, self._dtype())
            mask = {"full_attention": mask, "sliding_attention": sliding}
        takes_positions = "position_ids" in inspect.signature(stack.forward).parameters
        return {"attention_mask": mask} | ({"position_ids": segment_positions(ids_RT)} if takes_positions else {})

    def _dtype(self) -> torch.dtype:
        return compute_dtype(self.head.linear.weight)

    def new_cache(self) -> HubPairCache:
        """Return an empty cache (keys and values of decoder positions and of the encoder)."""
        from transformers import DynamicCache, EncoderDecoderCache

        return HubPairCache(EncoderDecoderCache(DynamicCache(), DynamicCache()))


def _decoder_start(network: PreTrainedModel) -> int | None:
    """Return what decoding starts with: as in transformers, T5Gemma's begin of text where nothing else is named."""
    configs = (network.config, network.generation_config)
    named = [(config, "decoder_start_token_id") for config in configs]
    named += [(config, "bos_token_id") for config in (getattr(network.config, "decoder", None), *configs)]
    return next((int(found) for config, name in named if (found := getattr(config, name, None)) is not None), None)


def _is_packed(segment_ids_RS: Tensor | None) -> bool:
    return segment_ids_RS is not None and int(on_host(segment_ids_RS).max()) > 1


def _mask(like_RS: Tensor, segment_ids_RS: Tensor | None) -> Tensor:
    """Return the mask of padding that every model of transformers understands."""
    if segment_ids_RS is None:
        return torch.ones_like(like_RS, dtype=torch.long)
    return (segment_ids_RS != 0).long()
