"""An encoder-decoder of transformers (T5, BART, mBART, M2M100, ...) as a :class:`xmtf.models.EncoderDecoderModel`.

Legend: R rows, S encoder positions, T decoder positions, H hidden size.

For evaluation: rows may be padded, not packed, since most of these models take no mask between the
segments of a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
from torch import Tensor

from xmtf.errors import ConfigError
from xmtf.models.hub.head import HubHead
from xmtf.models.hub.network import HubNetwork, fitting
from xmtf.models.interface import Cache
from xmtf.models.layers.cache import joined

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
        start = getattr(config, "decoder_start_token_id", None)
        if start is None:
            start = getattr(network.generation_config, "decoder_start_token_id", None)
        if start is None:
            raise ConfigError(f"model {label!r}: its config.json has no decoder_start_token_id")
        self.decoder_start = int(start)
        self.max_positions: int | None = getattr(config, "max_position_embeddings", None)

    def encode(self, tokens_RS: Tensor, *, segment_ids_RS: Tensor | None = None) -> Tensor:
        """Return encoder states ``[R, S, H]``; see :class:`xmtf.models.EncoderDecoderModel`."""
        mask_RS = self._mask(tokens_RS, segment_ids_RS)
        with fitting(self, tokens_RS.shape[1]):
            output = self.network.get_encoder()(input_ids=tokens_RS, attention_mask=mask_RS)
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
        if cache is not None:
            length = cache.past.get_seq_length()
            if length:
                encoder_segment_ids_RS = cache.encoder_segment_ids
            cache.encoder_segment_ids = encoder_segment_ids_RS
            cache.segment_ids = joined(cache.segment_ids, segment_ids_RT, tokens_RT, length, 1)
            segment_ids_RT = cache.segment_ids
        with fitting(self, tokens_RT.shape[1]):
            output = self.network.get_decoder()(
                input_ids=tokens_RT,
                attention_mask=self._mask(tokens_RT, segment_ids_RT),
                encoder_hidden_states=encoded_RSH,
                encoder_attention_mask=self._mask(encoded_RSH[..., 0], encoder_segment_ids_RS),
                past_key_values=None if cache is None else cache.past,
                use_cache=cache is not None,
            )
        hidden_RTH: Tensor = output.last_hidden_state
        return hidden_RTH

    def _mask(self, like_RS: Tensor, segment_ids_RS: Tensor | None) -> Tensor:
        if segment_ids_RS is None:
            return torch.ones_like(like_RS, dtype=torch.long)
        if int(segment_ids_RS.max()) > 1:
            raise ConfigError(
                f"model {self.label!r}: {type(self.network).__name__} does not take packed rows; "
                "set tokens.packing.policy: pad"
            )
        return (segment_ids_RS != 0).long()

    def new_cache(self) -> HubPairCache:
        """Return an empty cache (keys and values of decoder positions and of the encoder)."""
        from transformers import DynamicCache, EncoderDecoderCache

        return HubPairCache(EncoderDecoderCache(DynamicCache(), DynamicCache()))
