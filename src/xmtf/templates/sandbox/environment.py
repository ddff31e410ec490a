"""The Jinja environment that templates run in: a small closed world.

Templates are code from strangers. What they can name is listed here: plain data, its harmless methods,
the filters that promptsource templates use, ``range``, ``zip`` and ``namespace``. Everything else
(attributes of Python objects, ``format`` methods, imports, other templates) is refused, and whatever
grows or repeats pays (:mod:`xmtf.templates.sandbox.limits`).
"""

from __future__ import annotations

import datetime
import types
from collections import Counter
from collections.abc import Iterable
from typing import Any

from jinja2 import filters
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context, LoopContext, Macro, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace, pass_context, pass_environment
from markupsafe import escape

from xmtf.templates.sandbox.draws import DRAWS
from xmtf.templates.sandbox.guards import METHOD_CHECKS, OPERATORS, as_list, check_size, guard_filter, pay_for
from xmtf.templates.sandbox.limits import BUDGET, LimitError, made, weigh
from xmtf.templates.sandbox.plurals import choose_plural
from xmtf.templates.sandbox.unfit import SEMANTICS, Choices, Null, holds_null, is_null, item_of, printed, textual

__all__ = ["CALLED", "DICT_METHODS", "FILTERS", "GLOBALS", "MUTATORS", "TemplateEnvironment"]

MAX_RANGE = 100_000
GLOBALS = frozenset(("range", "zip", "namespace"))
"""Functions that templates may call."""
CALLED = "_called_"
"""Begins the name under which a function is called where a column may have its own name."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FILTERS = _words(
    "abs batch capitalize center count d default dictsort first float format groupby indent int items "
    "join last length list lower map max min reject rejectattr replace reverse round select selectattr "
    "slice sort string sum title trim truncate unique upper wordcount wordwrap"
)
"""Jinja's own filters that templates may use; ``choice``, ``random``, ``most_frequent``, ``escape`` come on top."""

MUTATORS = _words("append clear extend insert pop remove setdefault update")
"""Methods that change a list or a dict in place; the row is copied for templates that call them."""

_TEXT = _words(
    "capitalize casefold center count endswith expandtabs find index isalnum isalpha isascii isdecimal "
    "isdigit islower isnumeric isspace istitle isupper join ljust lower lstrip partition removeprefix "
    "removesuffix replace rfind rindex rjust rpartition rsplit rstrip split splitlines startswith strip "
    "swapcase title upper zfill"
)
_DATE = _words("year month day hour minute second microsecond isoformat weekday isoweekday date time days")
DICT_METHODS = _words("clear get items keys pop setdefault update values")
"""Names that mean a method of a struct, not its field, when written with a dot."""

_METHODS: dict[type, frozenset[str]] = {
    str: _TEXT,
    list: _words("append clear count extend index insert pop remove"),
    dict: DICT_METHODS,
    tuple: frozenset(("count", "index")),
    float: frozenset(("is_integer",)),
    datetime.datetime: _DATE,
    datetime.date: _DATE,
    datetime.time: _DATE,
    datetime.timedelta: _DATE,
    LoopContext: _words(
        "changed cycle depth depth0 first index index0 last length nextitem previtem revindex revindex0"
    ),
}


class TemplateEnvironment(ImmutableSandboxedEnvironment):
    """Jinja as templates see it; see the module's docstring for what is there."""

    intercepted_binops = frozenset(OPERATORS)

    def __init__(self) -> None:
        super().__init__(cache_size=0, optimized=False)  # what a constant becomes depends on the mode
        functions: dict[str, Any] = {"range": _range, "zip": _zip, "namespace": _namespace}
        self.globals = functions | {CALLED + name: function for name, function in functions.items()}
        own = {"choice": _choice, "random": _random, "most_frequent": _most_frequent, "escape": _escape, "e": _escape}
        own["plural"] = choose_plural
        chosen = {name: filters.FILTERS[name] for name in FILTERS} | own
        self.filters = {name: guard_filter(name, function) for name, function in chosen.items()}
        self.filters |= {" step": _step, " made": _made, " weigh": _weighed, " concat": _concat, " value": _member}
        self.filters |= {" printed": _printed, " key": _key, " item": _item, " label": _label, " sliced": _sliced}
        self.concat = _join_output  # type: ignore[method-assign]  # a plain attribute of the class

    def call_binop(self, context: Context, operator: str, left: object, right: object) -> object:
        """Compute ``+ * ** %`` after checking how large the result would be; of a null, a null (fixed mode)."""
        try:
            return OPERATORS[operator](left, right)
        except TypeError:
            if SEMANTICS.nulls != "print" and (left is None or right is None):
                return Null()
            raise

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return a harmless method, a field of a row, or an undefined value."""
        if isinstance(obj, Undefined | Namespace) and not attribute.startswith("_"):
            return self._of_object(obj, attribute)
        if attribute in _known_methods(obj):
            return getattr(obj, attribute)
        try:
            return obj[attribute]
        except (TypeError, LookupError):
            return self._missing(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return an item or slice of plain data, or an undefined value."""
        try:
            value = obj[argument]
        except (TypeError, LookupError):
            if isinstance(argument, str) and argument in _known_methods(obj):
                return getattr(obj, argument)
            return self._missing(obj, argument)
        return made(value) if type(argument) is slice else value

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - as in Jinja
        """Call a method, a macro or one of our functions; anything else is refused."""
        if isinstance(__obj, types.BuiltinMethodType):
            owner = __obj.__self__
            pay_for((owner, *args))
            if __obj.__name__ not in _known_methods(owner):
                raise SecurityError(f"{__obj.__name__} may not be called")
            named = {key: value for key, value in kwargs.items() if not key.startswith("_")}  # Jinja adds its own
            if __obj.__name__ == "join":
                args = as_list(args)
            check = METHOD_CHECKS.get(__obj.__name__)
            if check is not None and isinstance(owner, str):
                check(owner, *args, **named)
            if __obj.__name__ in MUTATORS:
                BUDGET.make(weigh((*args, *named.values())))
        elif (
            pay_for(args)
            and callable(__obj)
            and not isinstance(__obj, Macro | LoopContext | Undefined)
            and not _is_ours(__obj)
        ):
            raise SecurityError(f"a {type(__obj).__name__} may not be called")
        return made(__context.call(__obj, *args, **kwargs))

    def _of_object(self, obj: object, attribute: str) -> Any:
        try:
            return getattr(obj, attribute)
        except AttributeError:
            return self.undefined(obj=obj, name=attribute)

    def _missing(self, obj: Any, name: Any) -> Undefined:
        if obj is None and SEMANTICS.nulls != "print":
            return Null(name=str(name))
        if isinstance(name, str) and hasattr(obj, name):
            return self.unsafe_undefined(obj, name)
        return self.undefined(obj=obj, name=name)


def _known_methods(obj: object) -> frozenset[str]:
    known = _METHODS.get(type(obj))
    if known is not None:
        return known
    return next((names for kind, names in _METHODS.items() if isinstance(obj, kind)), frozenset())


def _is_ours(function: object) -> bool:
    if isinstance(function, types.MethodType):
        return isinstance(function.__self__, LoopContext)
    return function in (_range, _zip, _namespace)


def _range(*args: int) -> range:
    numbers = range(*args)
    if len(numbers) > MAX_RANGE:
        raise LimitError(f"a range of {len(numbers):,} numbers; the limit is {MAX_RANGE:,}")
    return numbers


def _zip(*columns: Iterable[Any]) -> object:
    return zip(*columns, strict=False)


def _namespace(*args: object, **kwargs: object) -> Namespace:
    weigh((*args, *kwargs.values()))
    return Namespace(*args, **kwargs)


@pass_context
def _choice(context: Context, items: Any) -> Any:
    return DRAWS.choice(items)


@pass_context
def _random(context: Context, items: Any) -> Any:
    try:
        return DRAWS.choice(items)
    except IndexError:
        return context.environment.undefined("No random item, sequence was empty.")


def _most_frequent(items: Any) -> list[Any] | None:
    """Return all items tied for the highest count, in the order first seen; None where there are none."""
    counts = Counter(items).most_common()
    return [item for item, count in counts if count == counts[0][1]] or None


def _escape(value: object) -> str:
    return str(escape(value))


@pass_context
def _step(context: Context, nodes: int) -> bool:
    BUDGET.spend(nodes)
    return True


def _made(value: object) -> object:
    return made(value)


def _weighed(value: object) -> object:
    BUDGET.spend(weigh(value) >> 8)
    return value


def _member(value: object) -> object:
    weigh((value,))
    return value


@pass_context
def _printed(context: Context, value: object, label: str) -> object:
    kind = type(value)
    return value if kind is str or kind is int else printed(value, label)


@pass_environment
def _key(environment: TemplateEnvironment, obj: object, name: str) -> object:
    return obj[name] if isinstance(obj, dict) and name in obj else environment.getattr(obj, name)


@pass_environment
def _item(environment: TemplateEnvironment, obj: Any, index: Any) -> Any:
    """Return what a computed index finds: an answer choice, or an item; a negative index finds nothing."""
    if type(obj) is Choices:
        known = type(index) is int and 0 <= index < len(obj)
        return list.__getitem__(obj, index) if known else item_of(obj, index)
    if isinstance(obj, list | tuple | str) and (is_null(index) or isinstance(index, bool) or _is_negative(index)):
        return Null()
    return environment.getitem(obj, index)


def _label(choices: Any, index: Any) -> Any:
    return item_of(list(choices), index)


def _is_negative(index: object) -> bool:
    return isinstance(index, int) and index < 0


def _sliced(value: object) -> object:
    return Null() if is_null(value) else value


def _concat(values: list[object]) -> object:
    if SEMANTICS.nulls != "print" and any(map(holds_null, values)):
        return Null()
    texts = [str(textual(value)) for value in values]
    check_size(sum(map(len, texts)))
    text = "".join(texts)
    if len(text) > 1000:
        BUDGET.make(len(text))
    return text


def _join_output(parts: Iterable[str]) -> str:
    texts = parts if isinstance(parts, list) else list(parts)
    size = sum(map(len, texts))
    if size > 100_000:
        BUDGET.make(size)
    return "".join(texts)
