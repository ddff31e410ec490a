"""YAML of recipes and catalogues, which may come from a stranger: read, and bounded in depth and size.

A few lines with aliases of aliases stand for more values than fit a machine; a value may even hold itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml as pyyaml
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_VALUES", "check_nesting", "parse_packaged_yaml", "parse_yaml", "yaml_form"]

MAX_BYTES = 2**22
"""Bytes of a recipe or a catalogue."""

MAX_DEPTH = 100
"""Levels of lists and mappings."""
MAX_VALUES = 1_000_000
"""Values of a file, those that aliases repeat counted each time."""


def yaml_form() -> YAML:
    """Return how YAML is read and written: version 1.2, plain values only."""
    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 2)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # ruamel's stubs know only None
    yaml.allow_unicode = True
    return yaml


def parse_yaml(text: str) -> Any:
    """Return what a YAML text says.

    Raises:
        ValueError: It is not YAML, or too deep, too large, or holds itself; says so in one line.
    """
    try:
        value = yaml_form().load(text)
    except YAMLError as error:
        raise ValueError(f"not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ValueError(f"nested more than {MAX_DEPTH} levels deep") from None
    except (ValueError, OverflowError) as error:
        raise ValueError(f"contains a value that cannot be read: {' '.join(str(error).split())[:200]}") from None
    _measure(value)
    return value


class _Packaged(pyyaml.CSafeLoader):  # type: ignore[misc]  # types-PyYAML leaves the C loaders untyped
    """YAML 1.2 as the files of this package use it, twenty times as fast: PyYAML's own rules are those of 1.1."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 - PyYAML's own name and form


for _tag, _pattern, _starts in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(?:0|[1-9][0-9]*)\.[0-9]+", "-+0123456789"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
):
    starts = [*_starts.replace("\0", ""), *([""] if "\0" in _starts else [])]
    _Packaged.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), starts)


def parse_packaged_yaml(text: str) -> Any:
    """Return what a file of this package says, as :func:`parse_yaml` does; a test compares them."""
    return pyyaml.load(text, _Packaged)  # noqa: S506 - a safe loader


_BRACKETS = re.compile(r"[\[\]{}]")
_COMPACT = re.compile(rf"(?:[-?:][ \t]+){{{MAX_DEPTH}}}")
_INDENTED = re.compile(rf"^ {{{MAX_DEPTH}}}", re.MULTILINE)


def check_nesting(text: str) -> None:
    """Refuse YAML that is nested too deeply before a parser in C calls itself for every level, and crashes.

    Raises:
        ValueError: It is; says so in one line.
        yaml.YAMLError: It is no YAML.
    """
    if not _may_be_deep(text):
        return
    depth = 0
    for event in pyyaml.parse(text, getattr(pyyaml, "CSafeLoader", pyyaml.SafeLoader)):
        depth += isinstance(event, pyyaml.CollectionStartEvent) - isinstance(event, pyyaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ValueError(f"nested more than {MAX_DEPTH} levels deep")


def _may_be_deep(text: str) -> bool:
    """Return whether a text could be so deep: by brackets, by marks of lists in one line, or by its indentation."""
    depth = 0
    for bracket in _BRACKETS.findall(text):
        depth = max(0, depth + (1 if bracket in "[{" else -1))
        if depth > MAX_DEPTH:
            return True
    return _COMPACT.search(text) is not None or _INDENTED.search(text) is not None


def _measure(root: Any) -> None:
    """Count values as if aliases were written out.

    Raises:
        ValueError: There are too many, they are nested too deeply, or one holds itself.
    """
    sizes: dict[int, int] = {}
    open_: set[int] = set()
    stack: list[tuple[Any, bool]] = [(root, False)]
    while stack:
        value, done = stack.pop()
        if not isinstance(value, list | dict):
            continue
        if done:
            open_.discard(id(value))
            sizes[id(value)] = 1 + sum(sizes.get(id(child), 1) for child in _children(value))
            if sizes[id(value)] > MAX_VALUES:
                raise ValueError(f"expands to more than {MAX_VALUES:,} values: it nests aliases of aliases")
        elif id(value) in open_:
            raise ValueError("a value contains itself: an alias is used inside its own anchor")
        elif id(value) not in sizes:
            open_.add(id(value))
            if len(open_) > MAX_DEPTH:
                raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
            stack.append((value, True))
            stack.extend((child, False) for child in _children(value))


def _children(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    else:
        yield from value
