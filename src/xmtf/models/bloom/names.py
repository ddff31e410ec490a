"""Parameter names of our BLOOM and of transformers' ``BloomForCausalLM``."""

from __future__ import annotations

__all__ = ["own_name", "transformers_name"]

_PREFIX = "transformer."


def own_name(theirs: str) -> str | None:
    """Return our name of a parameter of transformers, or None where we hold no such parameter.

    The released BLOOM files were saved without the prefix, BLOOMZ's with or without.

    >>> own_name("transformer.h.0.mlp.dense_h_to_4h.bias"), own_name("ln_f.bias"), own_name("lm_head.weight")
    ('h.0.mlp.dense_h_to_4h.bias', 'ln_f.bias', None)
    """
    return None if theirs == "lm_head.weight" else theirs.removeprefix(_PREFIX)


def transformers_name(own: str) -> str:
    """Return the name that transformers gives to one of our parameters."""
    return _PREFIX + own
