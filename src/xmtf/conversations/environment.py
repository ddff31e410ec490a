"""The sandbox that chat templates run in: that of prompts, and what they use next to it.

Chat templates come with models, so they are code from strangers too. They see what transformers shows them (the
filters ``tojson`` and ``items``, ``raise_exception``, ``strftime_now``, ``break`` and ``continue``, the tag
``{% generation %}``), and pay for what they do as prompts do. They cannot change messages. Today is a day that the
recipe gives, so that the same recipe makes the same tokens.
"""

from __future__ import annotations

import datetime
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache
from typing import Any

import jinja2
from jinja2 import filters, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context

from xmtf.templates.rendering.compile import guard_tree, refuse_foreign
from xmtf.templates.sandbox.environment import MUTATORS, TemplateEnvironment
from xmtf.templates.sandbox.guards import guard_filter, pay_for
from xmtf.templates.sandbox.limits import BUDGET, LimitError, made, weigh
from xmtf.templates.sandbox.unfit import SEMANTICS

__all__ = ["ANSWER", "DEFAULT_DAY", "END_ANSWER", "RefusedError", "compile_chat", "run_chat"]

ANSWER, END_ANSWER = "\ufdd2", "\ufdd3"
"""What stands around the body of a ``{% generation %}`` block in rendered text; no text has these characters."""
DEFAULT_DAY = "2024-07-26"
"""The day that templates take for today where the recipe gives none."""
_MAX_SOURCE = 200_000
_ODD_FORMAT = re.compile(r"\d{3,}")

Root = Callable[[Context], Iterator[str]]


class RefusedError(jinja2.TemplateError):
    """A template refuses a conversation: it called ``raise_exception``."""


class _Today(threading.local):
    day = datetime.date.fromisoformat(DEFAULT_DAY)


_TODAY = _Today()


class GenerationTag(Extension):
    """``{% generation %} ... {% endgeneration %}``: what is between is said by the assistant."""

    tags = {"generation"}  # noqa: RUF012 - as Jinja declares it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Return the block between two marks."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        marks = [nodes.Output([nodes.TemplateData(mark)], lineno=line) for mark in (ANSWER, END_ANSWER)]
        return [marks[0], nodes.Scope(body, lineno=line), marks[1]]


class ChatEnvironment(TemplateEnvironment):
    """Jinja as chat templates see it."""

    def __init__(self) -> None:
        super().__init__()
        self.trim_blocks = self.lstrip_blocks = True
        self.add_extension(GenerationTag)
        self.add_extension(loopcontrols)
        for name in ("choice", "random", "most_frequent"):
            del self.filters[name]
        self.filters |= {
            "tojson": guard_filter("tojson", _tojson),
            "items": guard_filter("items", filters.FILTERS["items"]),
            "safe": guard_filter("safe", str),
        }
        self.globals |= {"raise_exception": _refuse, "strftime_now": _strftime_now}

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - as in Jinja
        """Call what prompts may call, and the two functions of chat templates; nothing that changes a value."""
        if __obj in (_refuse, _strftime_now):
            pay_for(args)
            return made(__obj(*args, **{name: value for name, value in kwargs.items() if not name.startswith("_")}))
        if getattr(__obj, "__name__", "") in MUTATORS and isinstance(getattr(__obj, "__self__", None), list | dict):
            raise SecurityError(f"{__obj.__name__} may not be called: messages cannot be changed")
        return super().call(__context, __obj, *args, **kwargs)


def _refuse(message: object = "") -> None:
    raise RefusedError(str(message)[:200])


def _strftime_now(form: object) -> str:
    text = str(form)
    if len(text) > 100 or _ODD_FORMAT.search(text):
        raise LimitError(f"strftime_now of {text[:40]!r}")
    return _TODAY.day.strftime(text)


def _tojson(
    value: object,
    ensure_ascii: object = False,
    indent: object = None,
    separators: object = None,
    sort_keys: object = False,
) -> str:
    if weigh(value) and isinstance(indent, int) and indent > 100:
        raise LimitError(f"an indentation of {indent:,}")
    parts: Any = tuple(separators) if isinstance(separators, list | tuple) else None
    wide: Any = indent if isinstance(indent, int | str) else None
    return json.dumps(value, ensure_ascii=bool(ensure_ascii), indent=wide, separators=parts, sort_keys=bool(sort_keys))


@cache
def _environment() -> ChatEnvironment:
    return ChatEnvironment()


@lru_cache(maxsize=64)
def compile_chat(source: str) -> Root:
    """Compile the source of a chat template.

    Raises:
        jinja2.TemplateSyntaxError: It does not parse, or uses what templates may not use.
        LimitError: It is too long.
    """
    if len(source) > _MAX_SOURCE:
        raise LimitError(f"a source of {len(source):,} characters; at most {_MAX_SOURCE:,} are read")
    BUDGET.start()
    jinja = _environment()
    tree = jinja.parse(source)
    refuse_foreign(tree)
    code = jinja.compile(guard_tree(tree, structural=False))
    root: Root = jinja.template_class.from_code(jinja, code, jinja.globals).root_render_func
    return root


def run_chat(root: Root, values: Mapping[str, object], day: datetime.date) -> str:
    """Render with these variables; raises any of :data:`xmtf.templates.rendering.compile.FAULTS`."""
    jinja = _environment()
    BUDGET.start()
    SEMANTICS.nulls = "print"
    _TODAY.day = day
    context = Context(jinja, {**jinja.globals, **values}, None, {})
    return str(jinja.concat(root(context)))
