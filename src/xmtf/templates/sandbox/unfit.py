"""What is not text, and what becomes of the row then.

A value that is not there never becomes text in fixed mode: a row whose template prints a null, or picks an answer
choice with a label that names none, is *unfit*, under one of the reasons here. What is not text at all (a function, a
generator, an object) is a fault of the template. Legacy mode prints what promptsource printed, except addresses of
objects, which would differ from build to build.
"""

from __future__ import annotations

import datetime
import math
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from jinja2.runtime import Undefined

__all__ = [
    "ADDRESS",
    "LABELS",
    "LABEL_NEGATIVE",
    "LABEL_RANGE",
    "LABEL_TYPE",
    "NULLS",
    "NULL_CHOICE",
    "NULL_INPUTS",
    "NULL_LABEL",
    "NULL_TARGET",
    "REMEDIES",
    "SEMANTICS",
    "Choices",
    "NotTextError",
    "Null",
    "NullPrintedError",
    "Nulls",
    "Unfit",
    "UnfitRowError",
    "describe_label",
    "holds_null",
    "is_null",
    "item_of",
    "printed",
    "textual",
]

Nulls = Literal["print", "drop", "empty"]
"""What a null becomes that a template prints: text as Python writes it (legacy), an unfit row, or nothing."""

NULL_INPUTS = "null in the inputs"
NULL_TARGET = "null target"
NULL_CHOICE = "null answer choice"
NULL_LABEL = "null label"
LABEL_NEGATIVE = "negative label"
LABEL_RANGE = "label out of range"
LABEL_TYPE = "label is no whole number"
ADDRESS = "address of an object in the text"

NULLS = (NULL_INPUTS, NULL_TARGET, NULL_CHOICE)
LABELS = (NULL_LABEL, LABEL_NEGATIVE, LABEL_RANGE, LABEL_TYPE)

_FILL = "fill the column, write {{ x or '' }}, test {% if x %}, or set nulls: empty for the task"
_MEND = "fix the column, or test for the label in the template ({% if label == 0 %})"
REMEDIES: dict[str, str] = {
    NULL_INPUTS: _FILL,
    NULL_TARGET: "remove the row from the data, or test {% if x %} in the template",
    NULL_CHOICE: _FILL,
    NULL_LABEL: _MEND,
    LABEL_NEGATIVE: "-1 marks hidden labels: use another split, remove the rows, or test {% if label >= 0 %}",
    LABEL_RANGE: "labels count from 0: write answer_choices[label - 1] for labels from 1, or add the missing choice",
    LABEL_TYPE: "write the label as a whole number from 0, or answer_choices[label | int]",
    ADDRESS: "call the method with (), or write | list | join after map, select, reject, batch and the like",
}
"""Reason of an unfit row -> what to do about it."""

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_PLAIN = (str, int, float, datetime.date, datetime.time, datetime.timedelta, Decimal)


class NotTextError(TypeError):
    """A template prints something that is not text: a function, a generator, an object."""


class UnfitRowError(Exception):
    """The row does not make an example under this template.

    Args:
        reason: One of :data:`REMEDIES`.
        detail: What exactly, with names and values.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class NullPrintedError(Exception):
    """An output expression is null; where it stands decides about the reason."""


@dataclass(frozen=True, slots=True)
class Unfit:
    """Rows that are unfit for one reason.

    Attributes:
        reason: One of :data:`REMEDIES`.
        rows: Their numbers, int64 ``[n]``, ascending.
        detail: What exactly is wrong with the first of them.
    """

    reason: str
    rows: npt.NDArray[np.int64]
    detail: str


class Semantics(threading.local):
    """How the running thread renders.

    Attributes:
        nulls: What a printed null becomes.
        notes: What was met that a person should know of; cleared by who reads it.
    """

    def __init__(self) -> None:
        self.nulls: Nulls = "drop"
        self.notes: set[str] = set()


SEMANTICS = Semantics()
"""Of the running thread."""


class Null(Undefined):
    """What filters and steps make of a null in fixed mode: false, empty, and null whatever is done with it."""

    __slots__ = ()

    def _self(self, *_: object, **__: object) -> Null:
        return self

    def _no(self, _: object) -> bool:
        return False

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    __getitem__ = __call__ = _self  # type: ignore[assignment]  # Jinja's raise an error
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _self  # type: ignore[assignment]
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = _self  # type: ignore[assignment]
    __mod__ = __rmod__ = __pow__ = __rpow__ = __neg__ = __pos__ = _self  # type: ignore[assignment]
    __lt__ = __le__ = __gt__ = __ge__ = _no  # type: ignore[assignment]


class Choices(list[str]):
    """The answer choices as a template sees them: a label picks one, or the row is unfit."""

    __slots__ = ()

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return Choices(found) if isinstance(index, slice) else found


def is_null(value: object) -> bool:
    """Return whether a value is null: None, undefined, or a number that is none."""
    if isinstance(value, float | Decimal):
        return not math.isfinite(value)
    return value is None or isinstance(value, Undefined)


def holds_null(value: object) -> bool:
    """Return whether a value is null, or a list or mapping that holds a null at any depth."""
    if isinstance(value, list | tuple | dict):
        return any(map(is_null, _leaves(value)))
    return is_null(value)


def printed(value: object, label: str) -> Any:
    """Return the value of an output expression, which Jinja writes as text.

    Args:
        value: The value.
        label: The fields that the expression reads, for messages.

    Raises:
        NullPrintedError: It is null, and nulls are not printed.
        NotTextError: It is not text.
        UnfitRowError: It would write the address of an object (legacy mode).
    """
    nulls = SEMANTICS.nulls
    if nulls != "print":
        if is_null(value):
            if nulls == "empty":
                return ""
            raise NullPrintedError(f"{label} is {_say_null(value)}")
        if isinstance(value, list | tuple | dict) and holds_null(value):
            raise NullPrintedError(f"{label} contains a null and is printed whole")
    return textual(value, label)


def textual(value: object, label: str = "a value") -> object:
    """Return a value that is about to become text.

    Raises:
        NotTextError: It is not text.
        UnfitRowError: It would write the address of an object (legacy mode).
    """
    if isinstance(value, _PLAIN) or value is None or isinstance(value, Undefined):
        return value
    fixed = SEMANTICS.nulls != "print"
    if fixed and isinstance(value, list | tuple | dict):
        SEMANTICS.notes.add(f"prints {label} whole, as a Python {type(value).__name__}; join or index it")
    for leaf in _leaves(value):
        if isinstance(leaf, _PLAIN) or leaf is None or isinstance(leaf, Undefined):
            continue
        if fixed:
            if isinstance(leaf, bytes):
                raise NotTextError(f"{label} is bytes, not text; write it as text, or remove it from the template")
            raise NotTextError(f"{label} is {_say_kind(leaf)}, not text; {REMEDIES[ADDRESS]}")
        if _ADDRESS.search(str(leaf)):
            raise UnfitRowError(ADDRESS, f"{label} is {_say_kind(leaf)}")
    return value


def _leaves(value: object) -> Iterator[Any]:
    """Yield what lists and mappings hold at any depth, or the value itself."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, list | tuple | set | frozenset):
            stack.extend(item)
        elif isinstance(item, dict):
            stack.extend(item)
            stack.extend(item.values())
        else:
            yield item


def _say_null(value: object) -> str:
    if isinstance(value, float):
        return str(value)
    return "null" if value is None or isinstance(value, Null) else "undefined"


def _say_kind(value: object) -> str:
    name = type(value).__name__.strip("_")
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def item_of(choices: list[Any], index: object) -> Any:
    """Return the answer choice that a label picks; numbers written as whole floats are read as integers.

    >>> item_of(["no", "yes"], 1.0)
    'yes'

    Raises:
        UnfitRowError: The label picks none.
    """
    if is_null(index):
        raise UnfitRowError(NULL_LABEL, f"the label is {_say_null(index)}")
    if isinstance(index, float) and index.is_integer():
        SEMANTICS.notes.add("a label is a whole float, such as 1.0; such labels are read as integers")
        index = int(index)
    if type(index) is not int:
        raise UnfitRowError(LABEL_TYPE, f"the label is {index!r}, {_say_kind(index)}")
    if index < 0:
        raise UnfitRowError(LABEL_NEGATIVE, describe_label(index, len(choices)))
    if index >= len(choices):
        raise UnfitRowError(LABEL_RANGE, describe_label(index, len(choices)))
    return choices[index]


def describe_label(index: int, number: int) -> str:
    """Describe which label is next to how many answer choices."""
    return f"the label is {index}, of {number} answer choices"
