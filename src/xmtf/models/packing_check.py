"""Find out whether a model keeps packed examples apart, by changing one and watching the other."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from xmtf.errors import ConfigError
from xmtf.models.interface import CausalModel, EncoderDecoderModel, Model

__all__ = ["check_packing"]

_LENGTHS = (7, 6)
_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-6}
_TOLERANCE_HALF = 5e-2
"""How far logits may move when the other example changes; rows of one shape are computed alike, so they do not."""
_ROUNDING_HALF = 0.5
"""How far they may be, in bf16, from those of rows of another shape: 30 layers of a trained model give 0.24."""


@torch.no_grad()
def check_packing(model: Model) -> float:
    """Return how far logits of packed examples are from what they should be, in standard deviations of the logits.

    Two examples of random tokens are packed into one row with padding. Their logits must be those of
    each example alone, and must not move when the other example changes::

        tokens        a a a a a a a b b b b b b P P
        segment_ids   1 1 1 1 1 1 1 2 2 2 2 2 2 0 0

    An encoder-decoder is checked in the same way with two inputs and two targets, a pipeline stage with
    random hidden states where it takes those, and by those that it gives.

    Args:
        model: Any model of ours or part of one, in any mode; it is checked in evaluation mode.

    Raises:
        ConfigError: The model leaks, or its code refuses packed rows; gives the reason and the choice.
    """
    assert isinstance(model, torch.nn.Module)
    training = model.training
    model.eval()
    try:
        moved, apart, dtype = _deviations(model)
    except (ValueError, TypeError, RuntimeError, IndexError, KeyError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(f"{_name(model)} does not take packed rows ({reason}); {_CHOICE}") from error
    finally:
        model.train(training)
    if not moved <= _TOLERANCE.get(dtype, _TOLERANCE_HALF):
        raise ConfigError(
            f"{_name(model)} leaks between packed examples: logits move by {moved:.2g} standard deviations when the "
            f"other example changes; {_CHOICE}"
        )
    if not apart <= _TOLERANCE.get(dtype, _ROUNDING_HALF):
        raise ConfigError(
            f"{_name(model)} does not keep packed examples apart: logits deviate by {apart:.2g} standard deviations "
            f"from those of separate examples; {_CHOICE}"
        )
    return max(moved, apart)


_CHOICE = "set tokens.packing.policy: pad (one example per row), or use another model"


def _name(model: torch.nn.Module) -> str:
    network = getattr(model, "network", model)
    return f"model {getattr(model, 'label', type(model).__name__)!r} ({type(network).__name__})"


def _deviations(model: Model) -> tuple[float, float, torch.dtype]:
    """Return how far logits move with the other example, how far packed ones are from separate ones, and their type."""
    generator = torch.Generator().manual_seed(0)
    assert isinstance(model, torch.nn.Module)
    like = next(model.parameters())

    def draw(length: int) -> Tensor:
        if getattr(model, "first", True):
            return torch.randint(0, model.vocab_size, (1, length), generator=generator).to(like.device)
        return torch.randn(1, length, model.hidden_size, generator=generator).to(like.device, like.dtype)

    first, second, other_first, other_second = (draw(length) for length in _LENGTHS * 2)

    def run(*examples: Tensor) -> list[Tensor]:
        if model.family == "causal":
            return _causal(model, examples)
        return _encoder_decoder(model, examples)

    alone = (run(first)[0], run(second)[0])
    packed = run(first, second)
    kept = (run(first, other_second)[0], run(other_first, second)[1])
    spread = torch.cat(alone).float().std().clamp(min=1e-6)

    def furthest(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> float:
        pairs = zip(ours, theirs, strict=True)
        return max(float((one.float() - other.float()).abs().max() / spread) for one, other in pairs)

    return furthest(kept, packed), furthest(packed, alone), alone[0].dtype


def _pack(examples: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return tokens and segment ids of one row; two positions of padding follow where there are several."""
    padding = [torch.zeros_like(examples[0][:, :2])] if len(examples) > 1 else []
    parts = [*examples, *padding]
    ids = [torch.full(part.shape[:2], index) for index, part in zip((1, 2, 0), parts, strict=False)]
    return torch.cat(parts, dim=1), torch.cat(ids, dim=1).to(parts[0].device)


def _parts(values_1TV: Tensor, examples: Sequence[Tensor]) -> list[Tensor]:
    lengths = [example.shape[1] for example in examples]
    return list(torch.split(values_1TV[0, : sum(lengths)], lengths))


def _causal(model: CausalModel, examples: Sequence[Tensor]) -> list[Tensor]:
    tokens, segment_ids = _pack(examples)
    hidden = model.hidden_states(tokens, segment_ids_RT=segment_ids)
    return _parts(model.logits(hidden) if getattr(model, "last", True) else hidden, examples)


def _encoder_decoder(model: EncoderDecoderModel, examples: Sequence[Tensor]) -> list[Tensor]:
    tokens, segment_ids = _pack(examples)
    targets = [example[:, :-2] for example in examples]
    target_tokens, target_ids = _pack(targets)
    encoded = model.encode(tokens, segment_ids_RS=segment_ids)
    hidden = model.decode(target_tokens, encoded, segment_ids_RT=target_ids, encoder_segment_ids_RS=segment_ids)
    return _parts(model.logits(hidden), targets)
