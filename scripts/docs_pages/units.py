"""The unit of every key of a recipe that is a number: from its type, or from this table."""

from __future__ import annotations

from typing import Any, get_args, get_origin

from xmtf.recipe.quantities import Bytes, Seconds, Steps, Tokens

__all__ = ["UNITS", "unit_of"]

_QUANTITIES = {
    Steps.__metadata__[0]: "optimizer steps (`500` or `500 steps`)",
    Tokens.__metadata__[0]: "tokens (`2.09e9 tokens`)",
    Seconds.__metadata__[0]: "seconds (`5400`, `90 min`, `1.5 h`)",
    Bytes.__metadata__[0]: "bytes (`80 GB`, `80 GiB`)",
}
_NONE = "none"
_SHARE = "a share, 0 to 1"
UNITS = {
    "seed": _NONE,
    "workers": "processes",
    "cap_examples": "examples",
    "limit_rows": "rows",
    "rate": "a factor",
    "min_letters": _SHARE,
    "max_repeated": _SHARE,
    "max_run": "characters",
    "confidence": _SHARE,
    "overlap_words": "words",
    "max_examples": "examples",
    "temperature": _NONE,
    "size_cap": "examples",
    "mixture.rates.tasks": "parts",
    "languages": "examples",
    "similarity": _SHARE,
    "min_input_characters": "characters",
    "max_characters": "characters",
    "validation_fraction": _SHARE,
    "shard_rows": "rows",
    "failing_rows": _SHARE,
    "train_vocab_size": "tokens of the vocabulary",
    "train_examples": "examples",
    "sequence_length": "tokens",
    "target_length": "tokens",
    "window": "examples",
    "weights": "parts of the rows",
    "multipliers": "a factor",
    "hidden_size": "numbers of a hidden state",
    "num_layers": "layers",
    "num_heads": "heads",
    "head_size": "numbers of a head's state",
    "feedforward_size": "numbers of a hidden state",
    "vocab_size": "rows of the embedding",
    "dropout": _SHARE,
    "rank": "rows of an adapter",
    "alpha": _NONE,
    "global_batch_rows": "packed rows",
    "micro_batch_rows": "packed rows",
    "z_loss": "a factor",
    "learning_rate": _NONE,
    "weight_decay": "a factor",
    "beta1": _SHARE,
    "beta2": _SHARE,
    "epsilon": _NONE,
    "decay_rate": "an exponent",
    "clip_norm": "the norm of the gradient",
    "final_fraction": "a share of the peak, 0 to 1",
    "dp_replicate": "processes",
    "dp_shard": "processes",
    "tp": "processes",
    "pp": "processes",
    "stages_per_rank": "stages",
    "keep_checkpoints": "checkpoints",
    "validation_rows": "packed rows",
    "training.validation_texts[].rows": "packed rows",
    "validation_examples": "examples",
    "max_skipped_steps": "optimizer steps",
    "threads": "threads",
    "number": "examples",
    "pool": "rows",
    "max_new_tokens": "tokens",
    "min_new_tokens": "tokens",
    "top_k": "tokens",
    "top_p": "a probability",
    "beams": "continuations",
    "length_penalty": "an exponent",
    "max_prompt_tokens": "tokens",
    "batch_tokens": "tokens",
    "concurrency": "requests",
    "timeout_s": "seconds",
    "retries": "requests",
    "max_requests": "requests",
    "max_cost": "the currency of `price`",
    "price": "cost of a million tokens",
    "samples": "texts",
    "items": "items",
}
"""Dotted name, or last part of it -> unit."""


def unit_of(name: str, hint: Any) -> str:
    """Return the unit of a key, or ``""`` of one that is no number.

    Raises:
        LookupError: It is a number, and neither its type nor the table has a unit.
    """
    for part in _metadata(hint):
        try:
            return _QUANTITIES[part]
        except (KeyError, TypeError):
            continue
    if not _is_number(hint):
        return ""
    unit = UNITS.get(name) or UNITS.get(name.rpartition(".")[2])
    if unit is None:
        raise LookupError(f"{name} is a number: give its unit in scripts/docs_pages/units.py")
    return unit


def _metadata(hint: Any) -> list[Any]:
    inner = [found for part in get_args(hint) for found in _metadata(part)]
    return [*getattr(hint, "__metadata__", ()), *inner]


def _is_number(hint: Any) -> bool:
    """Tell whether a value, or what a mapping or a list holds, is a number."""
    if hint in (int, float):
        return True
    if hasattr(hint, "__metadata__"):
        return _is_number(hint.__origin__)
    arguments = get_args(hint)
    if get_origin(hint) is dict:
        return _is_number(arguments[1])
    return any(_is_number(part) for part in arguments if isinstance(part, type) or get_args(part))
