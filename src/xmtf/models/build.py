"""A model of a given shape with random weights."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from xmtf.errors import ConfigError
from xmtf.models.bloom import Bloom, BloomConfig
from xmtf.models.interface import SpecialTokens
from xmtf.models.mt5 import MT5, MT5Config
from xmtf.recipe.schema import Model

__all__ = ["build_model", "padded_vocab_size", "random_weights"]

_VOCAB_MULTIPLE = 128


def padded_vocab_size(tokenizer_size: int, given: int | None = None) -> int:
    """Return the rows of the embedding: as given, or the tokenizer's size rounded up to a multiple of 128.

    >>> padded_vocab_size(250_680)
    250752

    Raises:
        ConfigError: Fewer rows given than the tokenizer has tokens.
    """
    if given is None:
        return -(-tokenizer_size // _VOCAB_MULTIPLE) * _VOCAB_MULTIPLE
    if given < tokenizer_size:
        raise ConfigError(
            f"model.vocab_size: {given} rows are too few for the tokenizer's {tokenizer_size} tokens; raise it, or "
            f"omit it"
        )
    return given


def build_model(
    config: Model,
    *,
    vocab_size: int,
    special: SpecialTokens,
    seed: int,
    device: str = "cpu",
) -> Bloom | MT5:
    """Make a model of the recipe's shape with random weights, fp32, in evaluation mode.

    Args:
        config: Section ``model`` of a recipe, without ``base``.
        vocab_size: Tokens of the tokenizer; the embedding is padded (see :func:`padded_vocab_size`).
        special: Ids written into the model's configuration.
        seed: The same seed gives the same weights.
        device: ``cpu``, or ``meta`` for the shape without weights.

    Raises:
        ConfigError: A shape that cannot be built; names the keys.
    """
    with torch.device("meta"):
        model = _shape(config, padded_vocab_size(vocab_size, config.vocab_size), special)
    if device == "meta":
        return model.eval()
    model = model.to_empty(device=device)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        model.draw(name, parameter, generator)
    return model.eval()


def random_weights(model: Bloom | MT5, seed: int) -> Iterator[tuple[str, Tensor]]:
    """Yield name and weights of each parameter, drawn one after the other: those of :func:`build_model`.

    Args:
        model: On the meta device.
        seed: As for :func:`build_model`.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        tensor = torch.empty(parameter.shape)
        model.draw(name, tensor, generator)
        yield name, tensor


def _shape(config: Model, vocab_size: int, special: SpecialTokens) -> Bloom | MT5:
    hidden_size, num_layers, num_heads = config.hidden_size, config.num_layers, config.num_heads
    if config.base is not None or hidden_size is None or num_layers is None or num_heads is None:
        raise ConfigError("model: random weights need a shape (hidden_size, num_layers, num_heads) and no `base`")
    if config.architecture == "bloom":
        if config.feedforward_size not in (None, 4 * hidden_size):
            raise ConfigError(f"model.feedforward_size: BLOOM's is 4 x hidden_size, {4 * hidden_size}; omit it")
        if config.head_size not in (None, hidden_size // num_heads):
            raise ConfigError("model.head_size: BLOOM's is hidden_size / num_heads; omit it")
        return Bloom(
            BloomConfig(vocab_size, hidden_size, num_layers, num_heads, special=special, dropout=config.dropout)
        )
    if config.head_size is None and hidden_size % num_heads:
        raise ConfigError(
            f"model: hidden_size {hidden_size} is not a multiple of num_heads {num_heads}; give head_size"
        )
    return MT5(
        MT5Config(
            vocab_size=vocab_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            num_decoder_layers=num_layers,
            num_heads=num_heads,
            head_size=config.head_size or hidden_size // num_heads,
            feedforward_size=config.feedforward_size or -(-5 * hidden_size // 128) * 64,
            special=special,
            decoder_start=special.pad,
            dropout=config.dropout,
        )
    )
