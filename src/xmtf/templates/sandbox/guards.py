"""Checks before the few operations whose result can be far larger than what goes in.

Repeating, padding, joining, replacing and formatting are refused before they allocate. All other
operations make something about as large as their arguments and pay afterwards (:func:`limits.made`).
"""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable, Iterator, Sized
from typing import Any

from xmtf.templates.sandbox.limits import BUDGET, MAX_VALUE, LimitError, made, weigh
from xmtf.templates.sandbox.unfit import SEMANTICS, Null, holds_null, is_null, textual

__all__ = ["FILTER_CHECKS", "METHOD_CHECKS", "OPERATORS", "as_list", "check_size", "guard_filter", "pay_for"]

MAX_WIDTH = 10_000
"""Widest padding, indentation or number of parts that a template may ask for."""
MAX_BITS = 4_096
"""Largest whole number that a template may compute."""
_WIDTH = re.compile(r"\d{5,}")


def check_size(characters: int) -> None:
    """Refuse a result of more than ``MAX_VALUE`` characters.

    Raises:
        LimitError: It would be larger.
    """
    if characters > MAX_VALUE:
        raise LimitError(f"a text of {characters:,} characters; the limit is {MAX_VALUE:,}")


def pay_for(arguments: tuple[Any, ...]) -> int:
    """Pay for one call by the size of its arguments; return what was paid."""
    cost = 16
    for argument in arguments:
        if type(argument) is str:
            cost += len(argument) >> 8
        elif isinstance(argument, list | tuple | dict | range):
            cost += len(argument) >> 2
    BUDGET.spend(cost)
    return cost


def guard_filter(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter of Jinja that pays for what it does."""
    check = FILTER_CHECKS.get(name)
    skip = 1 if hasattr(function, "jinja_pass_arg") else 0
    each, listed = name in _ITEM_BY_ITEM, name == "join"
    texts, number = _TEXT_ARGUMENTS.get(name, 0), name in _NUMBERS

    @functools.wraps(function)
    def guarded(*args: object, **kwargs: object) -> object:
        cost = pay_for(args)
        if listed:
            args = (*args[:skip], *as_list(args[skip:]))
        if (texts and _lacks_text(args[skip : skip + texts], listed)) or (
            number and SEMANTICS.nulls != "print" and is_null(args[skip])
        ):
            return args[skip + 1] if number and len(args) > skip + 1 else kwargs.get("default", Null())
        if check is not None:
            check(*args[skip:], **kwargs)
        if each and len(args) > skip and args[skip]:  # of nothing, Jinja's own makes nothing or an error
            args = (*args[:skip], _each(args[skip], cost), *args[skip + 1 :])
        if name in _PARSED and len(args) == skip + 1 and not kwargs and SEMANTICS.nulls != "print":
            args = (*args, Null())  # what is no number is null, not 0
        return made(function(*args, **kwargs))

    return guarded


def _lacks_text(arguments: tuple[object, ...], listed: bool) -> bool:
    """Return whether a text filter is given a null (fixed mode only).

    Raises:
        NotTextError: It is given a function, a generator or an object.
    """
    fixed = SEMANTICS.nulls != "print"
    for argument in arguments:
        if type(argument) is str:
            continue
        if fixed and (is_null(argument) if listed else holds_null(argument)):
            return True
        if listed:
            return isinstance(argument, list | tuple) and _lacks_text(tuple(argument), listed=False)
        textual(argument)
    return False


def as_list(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the arguments with an iterator in first place read into a list, so that its size is known."""
    if arguments and isinstance(arguments[0], Iterator):
        return (list(arguments[0]), *arguments[1:])
    return arguments


def _each(items: Any, cost: int) -> Iterator[Any]:
    for item in items:
        BUDGET.spend(cost)
        yield item


def _width(width: object) -> int:
    if isinstance(width, int) and abs(width) > MAX_WIDTH:
        raise LimitError(f"a width of {width:,}; the limit is {MAX_WIDTH:,}")
    return abs(width) if isinstance(width, int) else 0


def _padded(value: object, width: object = 80, *_: object, **__: object) -> None:
    _width(width)


def _batched(value: object, linecount: object, *_: object, **__: object) -> None:
    _width(linecount)


def _sliced(value: object, slices: object, *_: object, **__: object) -> None:
    _width(slices)


def _indented(s: object, width: object = 4, *_: object, **__: object) -> None:
    wide = len(width) if isinstance(width, str) else _width(width)
    check_size((str(s).count("\n") + 1) * wide)


def _wrapped(
    s: object, width: object = 79, break_long_words: object = True, wrapstring: object = "\n", *_: object, **__: object
) -> None:
    wide = len(wrapstring) if isinstance(wrapstring, str) else 1
    check_size((weigh(s) // max(1, _width(width)) + 1) * wide)


def _rounded(value: object, precision: object = 0, *_: object, **__: object) -> None:
    if isinstance(precision, int) and abs(precision) > 300:
        raise LimitError(f"rounding to {precision:,} places; the limit is 300")


def _replaced(s: object, old: object, new: object, *_: object, **__: object) -> None:
    text, old, new = str(s), str(old), str(new)
    check_size(len(text) + text.count(old) * max(0, len(new) - len(old)))


def _joined(value: object, d: object = "", *_: object, **__: object) -> None:
    if isinstance(value, Sized):
        check_size(weigh(value) + len(value) * len(str(d)))


def _summed(iterable: object, attribute: object = None, start: object = 0) -> None:
    if not isinstance(start, int | float):
        raise LimitError("sum adds numbers only")


def _printed(value: object, *args: object, **kwargs: object) -> None:
    text = str(value)
    starred = "*" in text
    wide = any(isinstance(argument, int) and abs(argument) > MAX_WIDTH for argument in args)
    if _WIDTH.search(text) or (starred and wide):
        raise LimitError(f"a format with a width of more than {MAX_WIDTH:,}")
    largest = max((weigh(argument) for argument in (*args, *kwargs.values())), default=0)
    check_size(len(text) + text.count("%") * max(largest, MAX_WIDTH))


FILTER_CHECKS: dict[str, Callable[..., None]] = {
    "batch": _batched,
    "center": _padded,
    "format": _printed,
    "indent": _indented,
    "join": _joined,
    "replace": _replaced,
    "round": _rounded,
    "slice": _sliced,
    "sum": _summed,
    "wordwrap": _wrapped,
}
_TEXT_ARGUMENTS = dict.fromkeys(
    (
        "capitalize",
        "center",
        "e",
        "escape",
        "indent",
        "join",
        "lower",
        "string",
        "title",
        "trim",
        "truncate",
        "upper",
        "wordcount",
        "wordwrap",
    ),
    1,
) | {"replace": 3, "format": 1_000}
"""Filter -> how many of its first arguments it writes as text."""
_NUMBERS = {"abs", "float", "int", "round"}
_PARSED = {"float", "int"}
_ITEM_BY_ITEM = {"groupby", "map", "reject", "rejectattr", "select", "selectattr", "sort", "sum", "unique"}


def _method_joined(separator: object, items: object = (), *_: object) -> None:
    _joined(items, separator)


def _expanded(text: str, tabsize: object = 8) -> None:
    check_size(text.count("\t") * _width(tabsize))


METHOD_CHECKS: dict[str, Callable[..., None]] = {
    "center": _padded,
    "expandtabs": _expanded,
    "join": _method_joined,
    "ljust": _padded,
    "replace": _replaced,
    "rjust": _padded,
    "zfill": _padded,
}
"""Checks by name of a method; called with the object and its arguments."""


def _add(left: Any, right: Any) -> Any:
    if isinstance(left, Sized) and isinstance(right, Sized):
        check_size(len(left) + len(right))
    return made(left + right)


def _multiply(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int):
        _check_bits(left.bit_length() + right.bit_length())
    elif isinstance(left, int) and isinstance(right, Sized):
        check_size(weigh(right) * max(0, left))
    elif isinstance(right, int) and isinstance(left, Sized):
        check_size(weigh(left) * max(0, right))
    return made(left * right)


def _power(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int):
        _check_bits(left.bit_length() * abs(right))
    return left**right


def _modulo(left: Any, right: Any) -> Any:
    if isinstance(left, str):
        values = right if isinstance(right, tuple) else tuple(right.values()) if isinstance(right, dict) else (right,)
        if _lacks_text(values, listed=False):
            return Null()
        _printed(left, *values)
    return made(left % right)


def _check_bits(bits: int) -> None:
    if bits > MAX_BITS:
        raise LimitError(f"a number of {bits:,} bits; the limit is {MAX_BITS:,}")


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": _add,
    "-": operator.sub,
    "*": _multiply,
    "/": operator.truediv,
    "//": operator.floordiv,
    "**": _power,
    "%": _modulo,
}
"""Binary operators; those that can make something large are checked before they are computed."""
