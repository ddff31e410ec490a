"""How many parameters a model has and how many operations a token costs.

For MFU (share of the device's peak that useful work takes) and for planning. A multiplication and an
addition are two operations; the backward pass costs twice the forward pass; recomputed activations
are not counted as useful.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from torch import Tensor, nn

from xmtf.models.bloom import Bloom
from xmtf.models.hub.encoder_decoder import HubEncoderDecoder
from xmtf.models.hub.network import HubNetwork
from xmtf.models.interface import Model
from xmtf.models.mt5 import MT5
from xmtf.models.quantise import QuantisedLinear

__all__ = ["ModelSize", "model_size", "num_layers"]


@dataclass(frozen=True, slots=True)
class ModelSize:
    """Parameters, and operations by kind of position.

    Attributes:
        embedding: Parameters of the token embedding.
        head: Parameters of the head where it is not the embedding, else 0.
        body: All other parameters.
        matmul_decoder: Parameters that each position of the decoder is multiplied with (head not counted).
        matmul_encoder: The same of an encoder's positions; 0 for causal models.
        attention_decoder: Operations per position and per position attended to (forward), all layers.
        attention_encoder: The same of an encoder.
        head_size: Parameters that a scored position is multiplied with.
        frozen: Parameters that do not train.
        quantised: Those of them that are kept in 4 or 8 bits.
        quantised_bytes: Bytes that these take.
        largest_quantised: Of the largest matrix among them.
    """

    embedding: int
    head: int
    body: int
    matmul_decoder: int
    matmul_encoder: int
    attention_decoder: int
    attention_encoder: int
    head_size: int
    frozen: int = 0
    quantised: int = 0
    quantised_bytes: int = 0
    largest_quantised: int = 0

    @property
    def trained(self) -> int:
        """Parameters that train."""
        return self.total - self.frozen

    @property
    def total(self) -> int:
        """All parameters; shared ones count once."""
        return self.embedding + self.head + self.body

    def training_flops(
        self,
        positions: int,
        *,
        scored: int,
        attended: float = 0.0,
        encoder_positions: int = 0,
        encoder_attended: float = 0.0,
    ) -> float:
        """Return the operations of one forward and backward pass; frozen weights need no gradient of their own.

        Args:
            positions: Decoder positions computed.
            scored: Positions that the head is computed at.
            attended: Mean number of positions that a decoder position attends to (of an encoder-decoder: the mean of
                what it attends to in the decoder and in the encoder).
            encoder_positions: Encoder positions computed.
            encoder_attended: Mean number of positions that an encoder position attends to.
        """
        products = positions * self.matmul_decoder + encoder_positions * self.matmul_encoder + scored * self.head_size
        attention = positions * self.attention_decoder * attended
        attention += encoder_positions * self.attention_encoder * encoder_attended
        return (2.0 if self.frozen else 3.0) * 2.0 * products + 3.0 * attention


def model_size(model: Model) -> ModelSize:
    """Count a model's parameters; works on the meta device."""
    assert isinstance(model, Bloom | MT5 | HubNetwork)
    head, embedding = _table(model, "head"), _table(model, "embedding")
    tables = {id(head), id(embedding)}
    body = {name: parameter for name, parameter in model.named_parameters() if id(parameter) not in tables}
    matrices = {name: p.numel() for name, p in body.items() if p.dim() == 2 and "relative_" not in name}
    layers_of = {name: part for name, part in model.named_modules() if isinstance(part, QuantisedLinear)}
    small = {f"{name}.": part.num_weights for name, part in layers_of.items()}
    matrices |= small
    of_encoder = sum(count for name, count in matrices.items() if _reads_encoder(name))
    layers, encoder_layers, width = _attention_shape(model)
    return ModelSize(
        embedding=embedding.numel(),
        head=0 if head is embedding else head.numel(),
        body=sum(parameter.numel() for parameter in body.values()) + sum(small.values()),
        matmul_decoder=sum(matrices.values()) - of_encoder,
        matmul_encoder=of_encoder,
        attention_decoder=4 * layers * width,
        attention_encoder=4 * encoder_layers * width,
        head_size=head.numel(),
        frozen=sum(p.numel() for p in model.parameters() if not p.requires_grad) + sum(small.values()),
        quantised=sum(small.values()),
        quantised_bytes=sum(part.num_bytes for part in layers_of.values()),
        largest_quantised=max(small.values(), default=0),
    )


def _table(model: Bloom | MT5 | HubNetwork, which: str) -> Tensor:
    if isinstance(model, Bloom):
        table = model.word_embeddings.weight
    elif isinstance(model, MT5):
        table = model.shared.weight if which == "embedding" else model.lm_head.weight
    else:
        embedding: Tensor = model.network.get_input_embeddings().weight
        table = embedding if which == "embedding" else model.head.linear.weight
    return table


def _reads_encoder(name: str) -> bool:
    """Return whether a parameter is multiplied with encoder positions: the encoder's, and cross keys and values."""
    return name.startswith("encoder.") or ".encoder." in name or _CROSS.search(name) is not None


_CROSS = re.compile(r"\.cross_attention\.[kv]\.|\.EncDecAttention\.[kv]\.|\.(encoder_attn|cross_attn)\.[kv]_proj\.")
"""Keys and values of cross attention: ours, T5's, BART's and T5Gemma's."""


def _attention_shape(model: Bloom | MT5 | HubNetwork) -> tuple[int, int, int]:
    """Return layers of the decoder and of the encoder, and heads times head size."""
    if isinstance(model, Bloom):
        return model.config.num_layers, 0, model.config.hidden_size
    if isinstance(model, MT5):
        shape = model.config
        return 2 * shape.num_decoder_layers, shape.num_layers, shape.num_heads * shape.head_size
    config = model.network.config.get_text_config(decoder=True)
    heads = config.num_attention_heads
    head_size = getattr(config, "head_dim", None) or getattr(config, "d_kv", None) or config.hidden_size // heads
    decoder, encoder = num_layers(model)
    return decoder + (decoder if encoder else 0), encoder, heads * head_size


def num_layers(model: HubNetwork) -> tuple[int, int]:
    """Return the blocks of the decoder and of the encoder of a model of transformers; a causal one has no encoder."""
    if not isinstance(model, HubEncoderDecoder):
        return int(model.network.config.get_text_config(decoder=True).num_hidden_layers), 0
    stacks = (model.network.get_decoder(), model.network.get_encoder())
    decoder, encoder = (_longest_list(stack) for stack in stacks)
    return decoder, encoder


def _longest_list(stack: nn.Module) -> int:
    return max((len(module) for module in stack.modules() if isinstance(module, nn.ModuleList)), default=0)
