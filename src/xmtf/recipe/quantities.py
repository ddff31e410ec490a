"""Numbers with their unit: ``500 steps``, ``2.09e9 tokens``, ``80 GB``, ``90 min``.

A bare number is read in the field's own unit. A number with another kind of unit is an error, so a
schedule never confuses steps with tokens.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

__all__ = ["Bytes", "Seconds", "Steps", "Tokens", "parse_quantity"]

_UNITS: dict[str, dict[str, float]] = {
    "steps": {"step": 1, "steps": 1},
    "tokens": {"token": 1, "tokens": 1},
    "seconds": {"s": 1, "seconds": 1, "min": 60, "h": 3600},
    "bytes": {
        "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
        "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
    },
}  # fmt: skip
_NUMBER = re.compile(r"^\s*([-+]?[0-9][0-9_]*(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?)\s*([A-Za-z]*)\s*$")


def parse_quantity(text: str, kind: str) -> float:
    """Return ``text`` in the base unit of ``kind`` (steps, tokens, seconds, bytes).

    >>> parse_quantity("2.09e9 tokens", "tokens"), parse_quantity("90 min", "seconds")
    (2090000000.0, 5400.0)

    Raises:
        ValueError: Not a number, or a unit of another kind.
    """
    match = _NUMBER.match(text)
    if match is None:
        raise ValueError(f"{text!r} is not a number of {kind}")
    number, unit = match.groups()
    scale = _UNITS[kind].get(unit.lower()) if unit else 1.0
    if scale is None:
        raise ValueError(f"{text!r} is not a number of {kind}: valid units are {', '.join(_UNITS[kind])}")
    return float(number.replace("_", "")) * scale


def _whole(kind: str) -> BeforeValidator:
    def read(value: object) -> Any:
        if isinstance(value, str):
            value = parse_quantity(value, kind)
        if isinstance(value, float) and value.is_integer():
            return int(value)
        return value

    return BeforeValidator(read, json_schema_input_type=int | str)


def _real(kind: str) -> BeforeValidator:
    return BeforeValidator(
        lambda value: parse_quantity(value, kind) if isinstance(value, str) else value,
        json_schema_input_type=float | str,
    )


Steps = Annotated[int, _whole("steps"), Field(ge=0)]
"""Optimizer steps: ``500`` or ``500 steps``."""
Tokens = Annotated[int, _whole("tokens"), Field(ge=0)]
"""Tokens: ``2090000000`` or ``2.09e9 tokens``."""
Seconds = Annotated[float, _real("seconds"), Field(ge=0)]
"""Wall time: ``5400``, ``90 min`` or ``1.5 h``."""
Bytes = Annotated[int, _whole("bytes"), Field(ge=0)]
"""Memory or file size: ``80 GB`` (decimal) or ``80 GiB``."""
