"""What a forward pass keeps for its backward pass, in bytes, from shapes alone.

Counted tensor by tensor as autograd saves them; a test compares the sums with autograd's own record.
A block of BLOOM keeps, for each position::

    inputs of both norms            2 H      in the number format of the residual stream
    inputs of both projections      2 H      in that of computation, like all that follows
    queries, keys, values           3 H
    attention's output              1 H      and a log-sum-exp of each head, fp32
    feed-forward, before GELU       4 H
    feed-forward, after GELU        4 H
    dropout's noise                 2 H      where there is dropout

Documents of packed rows whose lengths differ are copied for attention, padded by a quarter at most, and its outputs
are put together again: 5 H more where all are copied.

With tensor parallelism all of them are divided; of models that do not share positions, all but the first two lines and
the last. Attention in one kernel keeps no scores.
On a CPU torch has no such kernel for dropout, nor for a bias that learns (mT5's): there queries, keys and
values are kept in fp32, with one matrix of scores for each head, and two more for dropout.

Legend: H hidden size, F feed-forward size, N heads, S encoder positions, T (decoder) positions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from xmtf.models.bloom import Bloom
from xmtf.models.hub.encoder_decoder import HubEncoderDecoder
from xmtf.models.mt5 import MT5
from xmtf.models.parameters import num_layers
from xmtf.recipe import Recipe

__all__ = ["Activations", "NumberFormats", "count_activations"]


@dataclass(frozen=True, slots=True)
class NumberFormats:
    """How the numbers of a pass are kept.

    Attributes:
        compute: Bytes of a number that matrices are multiplied in.
        residual: Bytes of a number of the residual stream: 4 under autocast, whose norms are fp32.
        noise: Bytes of dropout's noise for each number, 0 without dropout.
        gpu: Whether attention runs in one kernel whatever its bias and dropout.
        slices: Tensor-parallel processes.
        shared: Those that share the positions between sliced matrices; 1 where each has all of them.
        documents: Whether rows hold documents of several lengths, rather than one document each.
        attended: Share of a row's square of scores that its documents' own squares take; 1 is safe for any rows.
    """

    compute: int
    residual: int
    noise: int
    gpu: bool = False
    slices: int = 1
    shared: int = 1
    documents: bool = True
    attended: float = 1.0

    @classmethod
    def of(
        cls, recipe: Recipe, *, gpu: bool = False, slices: int = 1, shared: int = 1, attended: float = 1.0
    ) -> NumberFormats:
        """Read precision and dropout of a recipe."""
        precision = recipe.training.precision
        compute = 4 if precision == "fp32" else 2
        noise = 0 if recipe.model.dropout == 0 else (1 if gpu else compute)
        return cls(compute, 2 if precision == "bf16_pure" else 4, noise, gpu, slices, shared, attended=attended)

    @property
    def recasts(self) -> bool:
        """Whether each projection casts what it reads; sliced ones that read the same cast it once."""
        return self.compute < self.residual and self.slices == 1

    @property
    def joined(self) -> float:
        """Bytes a number of what a backward pass puts together of shared positions.

        The gradient that a second matrix is given; or, when that and its inner units are gone, what the first has read
        and its gradient.
        """
        return max(1.0, 2 - 4 / self.shared) * self.compute if self.shared > 1 else 0.0

    def attention(self, queries: int, keys: int, width: int, heads: int, *, bias_learns: bool = False) -> float:
        """Return what one attention of one row keeps; ``width`` is heads times head size."""
        width, heads = width // self.slices, heads // self.slices
        copies = 1.25 * (2 * queries + 2 * keys) * width * self.compute if self.documents else 0
        if self.gpu or not (self.noise or bias_learns):
            return copies + 2 * (queries + keys) * width * self.compute + 4 * heads * queries
        matrices = 3 if self.noise else 1
        scores = self.attended * 4 * heads * queries * keys * matrices
        return copies + 4 * width * (queries + 2 * keys) + scores + queries * width * self.compute


@dataclass(frozen=True, slots=True)
class Activations:
    """Bytes that one micro-batch keeps.

    Attributes:
        layers: All layers together.
        largest: The layer that keeps most.
        boundaries: The inputs of all layers: what stays of them with activation checkpointing.
        bias: Positions and masks, one matrix per head and row, shared by all layers.
        ends: Around the layers: embedded tokens, the last norm.
        passing: Gradients of activations that exist at one time in the backward pass.
        bias_recomputed: ``bias`` with activation checkpointing, which keeps it for each layer's second pass.
        passing_recomputed: ``passing`` with activation checkpointing: of the longest rows, which then decide.
    """

    layers: float
    largest: float
    boundaries: float
    bias: float
    ends: float
    passing: float
    bias_recomputed: float
    passing_recomputed: float


def count_activations(model: object, recipe: Recipe, rows: int, formats: NumberFormats) -> Activations:
    """Return what a micro-batch of packed rows keeps.

    Args:
        model: Any model of ours; may be on the meta device.
        recipe: Lengths of rows count.
        rows: Rows of the micro-batch.
        formats: Number formats and kernels.
    """
    packing = recipe.tokens.packing
    if isinstance(model, Bloom):
        return _bloom(model, rows, packing.sequence_length, formats)
    if isinstance(model, MT5):
        targets = packing.target_length or packing.sequence_length
        return _mt5(model, rows, packing.sequence_length, targets, formats)
    if isinstance(model, HubEncoderDecoder):
        targets = packing.target_length or packing.sequence_length
        return _hub_pair(model, rows, packing.sequence_length, targets, formats)
    return _hub(model, rows, packing.sequence_length, formats)


def _bloom(model: Bloom, rows: int, length: int, formats: NumberFormats) -> Activations:
    shape = model.config
    positions, hidden = rows * length, shape.hidden_size
    own = positions / formats.shared
    inner = 8 * hidden // formats.slices * formats.compute
    attention = formats.attention(length, length, hidden, shape.num_heads)
    between = 2 * hidden * (formats.residual + formats.compute + formats.noise)
    layer = rows * attention + own * between + positions * inner
    boundary = own * hidden * formats.residual
    scores = formats.attended * (rows * shape.num_heads // formats.slices) * length**2
    fused = formats.gpu or not formats.noise
    gradients = positions * hidden * (4 * formats.compute // formats.slices + formats.joined)
    gradients += 2 * boundary
    passing = gradients if fused else max(gradients, 2 * 4 * scores)
    return Activations(
        layers=shape.num_layers * layer,
        largest=layer,
        boundaries=shape.num_layers * boundary,
        bias=scores * formats.compute if fused else 0,
        ends=2 * boundary + own * hidden * formats.noise,
        passing=passing,
        bias_recomputed=scores * formats.compute,
        passing_recomputed=passing,
    )


def _mt5(model: MT5, rows: int, inputs: int, targets: int, formats: NumberFormats) -> Activations:
    shape = model.config
    hidden, inner = shape.hidden_size, shape.feedforward_size // formats.slices
    width, heads = shape.num_heads * shape.head_size, shape.num_heads
    learns = model.encoder.relative_bias.weight.requires_grad  # beside adapters neither bias nor norms do
    norm = hidden / formats.shared * (4 * learns + formats.residual + formats.compute)
    noise = hidden / formats.shared * formats.noise
    feed_forward = inner * (4 * formats.compute + formats.noise)

    def own(length: int) -> float:
        return formats.attention(length, length, width, heads, bias_learns=learns)

    # under autocast every projection keeps a cast of its input of its own: 3 + 2 of a block's two, 2 of the encoder's
    recast = hidden * formats.compute if formats.recasts else 0
    feed_forward += 3 * recast
    encoder = own(inputs) + inputs * (2 * (norm + noise) + feed_forward)
    cross = formats.attention(targets, inputs, width, heads) + 2 * recast * inputs
    decoder = own(targets) + cross + targets * (3 * (norm + noise) + feed_forward)
    boundary = hidden / formats.shared * formats.residual
    boundaries = (shape.num_layers * inputs + shape.num_decoder_layers * targets) * boundary
    asked = rows * inputs * hidden * formats.compute if formats.shared > 1 else 0  # by all blocks of the decoder
    by_head = heads // formats.slices
    all_biases = formats.attended * (inputs * targets + (inputs**2 + targets**2) * by_head)

    def passing(length: int, keys: int) -> float:
        gradients = length * (2 * inner * formats.compute + hidden * formats.joined + 2 * boundary)
        fused = not learns and (
            formats.gpu or not formats.noise
        )  # a bias that learns has a gradient as large as scores
        return rows * (gradients if fused else max(gradients, formats.attended * 8 * length * keys * by_head))

    return Activations(
        layers=rows * (shape.num_layers * encoder + shape.num_decoder_layers * decoder),
        largest=rows * max(encoder, decoder),
        boundaries=rows * boundaries,
        bias=rows * (all_biases if formats.gpu or not learns else inputs * targets) * formats.compute,
        ends=rows * (inputs + targets) * (norm + boundary + 2 * noise) + asked,
        # the backward pass begins in the decoder, when everything is kept; the encoder's turn comes when that is gone
        passing=passing(targets, inputs if formats.noise else targets),
        bias_recomputed=rows * all_biases * formats.compute,
        passing_recomputed=passing(max(inputs, targets), max(inputs, targets)),
    )


def _hub(model: Any, rows: int, length: int, formats: NumberFormats) -> Activations:
    """Estimate for a model of transformers, whose blocks we do not know: gated feed-forward, norms in fp32."""
    shape = model.network.config.get_text_config(decoder=True)
    positions, hidden = rows * length, shape.hidden_size
    attention = _masked(formats).attention(length, length, hidden, shape.num_attention_heads)
    layer = rows * attention + positions * _hub_position(model, formats)
    boundary = positions / formats.shared * hidden * formats.residual
    layers, _ = num_layers(model)
    passing = positions * (2 * _inner(shape) // formats.slices * formats.compute + hidden * formats.joined)
    passing += 2 * boundary
    bias = rows * length**2 * formats.compute
    return Activations(layers * layer, layer, layers * boundary, bias, 2 * boundary, passing, bias, passing)


def _hub_pair(model: HubEncoderDecoder, rows: int, inputs: int, targets: int, formats: NumberFormats) -> Activations:
    """Estimate for an encoder-decoder of transformers likewise; relative positions learn, as in T5."""
    shape: Any = model.network.config.get_text_config(decoder=True)
    hidden, heads, each = shape.hidden_size, shape.num_attention_heads, _hub_position(model, formats)
    formats = _masked(formats)
    width = heads * (getattr(shape, "head_dim", None) or getattr(shape, "d_kv", None) or hidden // heads)
    learns = hasattr(shape, "relative_attention_num_buckets")
    encoder = formats.attention(inputs, inputs, width, heads, bias_learns=learns) + inputs * each
    own = formats.attention(targets, targets, width, heads, bias_learns=learns) + targets * each
    decoder = own + formats.attention(targets, inputs, width, heads) + targets * 2 * hidden * formats.residual
    num_decoder, num_encoder = num_layers(model)
    boundary = hidden * formats.residual
    bias = rows * (inputs**2 + targets**2 + inputs * targets) * formats.compute
    longest = max(inputs, targets)
    gradients = rows * longest * (2 * _inner(shape) * formats.compute + 2 * boundary)
    passing = max(gradients, rows * 2 * 4 * longest**2 * heads) if learns else gradients
    return Activations(
        layers=rows * (num_encoder * encoder + num_decoder * decoder),
        largest=rows * max(encoder, decoder),
        boundaries=rows * boundary * (num_encoder * inputs + num_decoder * targets),
        bias=bias,
        ends=2 * rows * boundary * (inputs + targets),
        passing=passing,
        bias_recomputed=bias,
        passing_recomputed=passing,
    )


def _masked(formats: NumberFormats) -> NumberFormats:
    """Return formats of attention over whole rows: these models take a mask, and documents are not taken apart."""
    return replace(formats, documents=False)


def _hub_position(model: Any, formats: NumberFormats) -> float:
    """Return what a block keeps of a position besides attention.

    A norm keeps its input, what it scales where the scale trains, and its output, under autocast once for each of the
    five projections that cast it.
    """
    shape = model.network.config.get_text_config(decoder=True)
    norms_train = any(parameter.requires_grad for parameter in model.parameters() if parameter.ndim == 1)
    kept = 2 * (1 + norms_train) * formats.residual + 2 * formats.noise
    kept += (5 if formats.recasts else 2) * formats.compute
    return float(shape.hidden_size / formats.shared * kept + 4 * _inner(shape) // formats.slices * formats.compute)


def _inner(shape: Any) -> int:
    names = ("intermediate_size", "d_ff", "decoder_ffn_dim", "ffn_dim")
    return next((int(getattr(shape, name)) for name in names if getattr(shape, name, None)), 4 * shape.hidden_size)
