"""Parameter names of our mT5 and of transformers' ``MT5ForConditionalGeneration``."""

from __future__ import annotations

import re

__all__ = ["own_name", "transformers_name"]

_ENCODER = {"0.SelfAttention": "self_attention", "0.layer_norm": "self_attention_norm"} | {
    "1.DenseReluDense": "feed_forward",
    "1.layer_norm": "feed_forward_norm",
}
_DECODER = {
    "0.SelfAttention": "self_attention",
    "0.layer_norm": "self_attention_norm",
    "1.EncDecAttention": "cross_attention",
    "1.layer_norm": "cross_attention_norm",
    "2.DenseReluDense": "feed_forward",
    "2.layer_norm": "feed_forward_norm",
}
_PARTS = {"encoder": _ENCODER, "decoder": _DECODER}
_OWN_PARTS = {stack: {own: theirs for theirs, own in parts.items()} for stack, parts in _PARTS.items()}
_THEIR_BIAS = "block.0.layer.0.SelfAttention.relative_attention_bias.weight"
_THEIRS = re.compile(r"^(encoder|decoder)\.block\.(\d+)\.layer\.(\d+\.\w+)\.(.+)$")
_OWN = re.compile(r"^(encoder|decoder)\.blocks\.(\d+)\.(\w+)\.(.+)$")


def own_name(theirs: str) -> str | None:
    """Return our name of a parameter of transformers, or None where we hold no such parameter.

    >>> own_name("decoder.block.3.layer.1.EncDecAttention.q.weight")
    'decoder.blocks.3.cross_attention.q.weight'
    >>> own_name("encoder.embed_tokens.weight") is None      # the same as shared.weight
    True
    """
    if theirs in ("shared.weight", "lm_head.weight"):
        return theirs
    stack, _, rest = theirs.partition(".")
    if rest == _THEIR_BIAS:
        return f"{stack}.relative_bias.weight"
    if rest == "final_layer_norm.weight":
        return f"{stack}.final_norm.weight"
    match = _THEIRS.match(theirs)
    if match is None or match[3] not in _PARTS[match[1]] or "relative_attention_bias" in theirs:
        return None
    return f"{match[1]}.blocks.{match[2]}.{_PARTS[match[1]][match[3]]}.{match[4]}"


def transformers_name(own: str) -> str:
    """Return the name that transformers gives to one of our parameters.

    >>> transformers_name("encoder.blocks.0.feed_forward.wi_0.weight")
    'encoder.block.0.layer.1.DenseReluDense.wi_0.weight'
    """
    match = _OWN.match(own)
    if match is not None:
        return f"{match[1]}.block.{match[2]}.layer.{_OWN_PARTS[match[1]][match[3]]}.{match[4]}"
    stack, _, rest = own.partition(".")
    if rest == "relative_bias.weight":
        return f"{stack}.{_THEIR_BIAS}"
    if rest == "final_norm.weight":
        return f"{stack}.final_layer_norm.weight"
    return own
