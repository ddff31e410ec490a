"""Where in a source a finding stands, for editors that show it there."""

from __future__ import annotations

import re

from xmtf.templates.lint.finding import Finding
from xmtf.templates.rendering.compile import FAULTS, PIPES
from xmtf.templates.rendering.render import prepare
from xmtf.templates.template import Template

__all__ = ["fault_line", "line_of"]

_SAID = re.compile(r"\bline (\d+)")
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)+)'")
_CODE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_ENTITY = re.compile(r"&(?:#\d+|#x[0-9a-fA-F]+|\w+);")
_DRAWS = re.compile(r"\b(?:choice|random|shuffle|sample)\b")
_CHANGES = re.compile(r"\.(?:append|extend|insert|pop|remove|clear|sort|reverse|update|setdefault|popitem)\b")
_OF_CHOICES = frozenset({"odd-choices", "unused-choices", "choices-not-in-prompt", "choices-differ", "choices-unequal"})


def line_of(found: Finding, template: Template) -> int | None:
    r"""Return the line of a template's source that a finding is about, from 1, or None where it is about no line.

    >>> from xmtf.templates.lint.finding import finding
    >>> line_of(finding("undefined-name", "t", "'labl' is no column"), Template("t", "A?\n||| {{ labl }}"))
    2
    """
    if found.check in _OF_CHOICES or found.template != template.name:
        return None
    if found.check == "does-not-compile":
        return fault_line(template)
    said = _SAID.search(found.message)
    if said is not None:
        return int(said[1])
    place = _place(found, template.jinja)
    return None if place is None else template.jinja.count("\n", 0, place) + 1


def fault_line(template: Template) -> int | None:
    """Return the line of a source that keeps it from being compiled, or None where nothing does or it has no line."""
    try:
        prepare(template.jinja, None, "fixed")
    except FAULTS as error:
        line = getattr(error, "lineno", None)
        return line if isinstance(line, int) else None
    return None


def _place(found: Finding, source: str) -> int | None:
    """Return the character at which it stands."""
    first = source.find(PIPES)
    if found.check == "no-target":
        return len(source.rstrip())
    if found.check == "several-targets":
        return source.find(PIPES, first + 1) if first >= 0 else None
    if found.check == "no-clear-end":
        return max(0, len(source[:first].rstrip()) - 1) if first >= 0 else None
    pattern = {"html-entity": _ENTITY, "random": _DRAWS, "changes-rows": _CHANGES}.get(found.check)
    if pattern is not None:
        return _start(pattern.search(source))
    if found.check == "backslash-n":
        return _found(source, "\\n")
    if found.check == "no-choices":
        return _found(source, "answer_choices")
    if found.check == "choice-out-of-range":
        return _start(re.search(r"answer_choices\s*\[", source))
    if found.check == "answer-visible":
        return _in_code(source, found.message.rpartition(" ")[2].partition(".")[0])
    quoted = _QUOTED.search(found.message)
    if quoted is None:
        return None
    word = quoted[1]
    if found.check in ("unbraced-name", "quoted-constant"):
        return _found(source, word.replace("\\n", "\n"))
    return _in_code(source, word.partition(".")[0].partition("[")[0]) if found.check == "undefined-name" else None


def _in_code(source: str, name: str) -> int | None:
    for code in _CODE.finditer(source):
        named = re.search(rf"(?<![\w.]){re.escape(name)}\b", code[0])
        if named is not None:
            return code.start() + named.start()
    return None


def _found(source: str, text: str) -> int | None:
    place = source.find(text)
    return None if place < 0 else place


def _start(match: re.Match[str] | None) -> int | None:
    return None if match is None else match.start()
