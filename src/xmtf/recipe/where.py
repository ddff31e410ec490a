"""Conditions on the columns of rows, as a mapping; they are compared, and nothing of them is evaluated as code.

::

    where:
      score: {ge: 0.8, lt: 1}          every comparison holds
      language: [fr, sw]               one of these
      source: wiki                     equal
      removed: null                    has no value
      not: {source: forum}             the others
      any: [{votes: {ge: 3}}, {gold: true}]
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator

from xmtf.errors import nearest

__all__ = ["COMPARISONS", "ORDERED", "PATTERNS", "Scalar", "Where"]

Scalar = str | int | float | bool | None

ORDERED = ("lt", "le", "gt", "ge")
PATTERNS = ("starts", "ends", "matches")
COMPARISONS = ("eq", "ne", "in", *ORDERED, "contains", *PATTERNS, "length")
_ALSO_CALLED = {
    ">=": "ge", "gte": "ge", "<=": "le", "lte": "le", ">": "gt", "<": "lt", "==": "eq", "!=": "ne", "neq": "ne",
    "equals": "eq", "min": "ge", "max": "le", "regex": "matches", "startswith": "starts", "endswith": "ends",
}  # fmt: skip


def _checked(value: Mapping[str, object]) -> dict[str, object]:
    """Return a condition as plain JSON values.

    Raises:
        ValueError: It is none; says what is wrong and what there is.
    """
    if not value:
        raise ValueError("where: has no condition; name a column, or omit the key")
    return {name: _entry(name, wanted) for name, wanted in value.items()}


def _entry(name: str, wanted: object) -> object:
    if name == "not":
        if not isinstance(wanted, Mapping):
            raise ValueError("where.not: give a mapping of columns to conditions")
        return _checked(wanted)
    if name == "any":
        if not isinstance(wanted, list | tuple) or not wanted or not all(isinstance(each, Mapping) for each in wanted):
            raise ValueError("where.any: give a list of mappings of columns to conditions")
        return [_checked(each) for each in wanted]
    if isinstance(wanted, Mapping):
        if not wanted:
            raise ValueError(f"where.{name}: has no comparison; use {', '.join(COMPARISONS)}")
        return {each: _comparison(f"where.{name}", each, given) for each, given in wanted.items()}
    return _among(f"where.{name}", wanted) if isinstance(wanted, list | tuple) else _scalar(f"where.{name}", wanted)


def _comparison(where: str, name: str, given: object) -> object:
    if name not in COMPARISONS:
        near = [_ALSO_CALLED[name]] if name in _ALSO_CALLED else nearest(str(name), COMPARISONS)
        raise ValueError(
            f"{where}: unknown comparison {name!r}; "
            + (f"did you mean {near[0]!r}?" if near else f"use {', '.join(COMPARISONS)}")
        )
    where = f"{where}.{name}"
    if name == "in":
        if not isinstance(given, list | tuple):
            raise ValueError(f"{where}: give a list of values")
        return _among(where, given)
    if name == "length":
        wanted = given if isinstance(given, Mapping) else {"eq": given}
        for each, number in wanted.items():
            if each not in ("eq", "ne", *ORDERED) or isinstance(number, bool) or not isinstance(number, int):
                raise ValueError(f"{where}: give a whole number, or eq, ne, lt, le, gt or ge with one")
        return dict(wanted)
    scalar = _scalar(where, given)
    if name in ORDERED and (scalar is None or isinstance(scalar, bool)):
        raise ValueError(f"{where}: give a number or a text")
    if name in PATTERNS and not isinstance(scalar, str):
        raise ValueError(f"{where}: give a text")
    if name == "contains" and scalar is None:
        raise ValueError(f"{where}: give what it contains")
    return scalar


def _among(where: str, values: list[object] | tuple[object, ...]) -> list[Scalar]:
    if not values:
        raise ValueError(f"{where}: the list is empty, so no row would be selected")
    return [_scalar(where, value) for value in values]


def _scalar(where: str, value: object) -> Scalar:
    if isinstance(value, datetime.date):
        return value.isoformat()
    if value is None or isinstance(value, str | int | float):
        return value
    raise ValueError(f"{where}: give a text, a number, true, false, null, a list of them, or a mapping of comparisons")


Where = Annotated[dict[str, object], AfterValidator(_checked)]
"""A condition on the columns of a row."""
