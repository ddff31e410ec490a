"""Checks of one template by itself."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator

from jinja2 import nodes

from xmtf.errors import TemplateError
from xmtf.languages.codes import CODE, get_language
from xmtf.templates.lint.finding import Finding, finding
from xmtf.templates.lint.parts import Sides, read_sides
from xmtf.templates.rendering.compile import FAULTS
from xmtf.templates.rendering.render import ANSWER_CHOICES, Prepared
from xmtf.templates.sandbox.environment import GLOBALS
from xmtf.templates.template import Template

__all__ = ["ENDS", "check_source"]

Found = Iterator[tuple[str, str]]
"""Check and message."""

_ENTITY = re.compile(r"&(?:#\d+|#x[0-9a-fA-F]+|quot|amp|lt|gt|apos|nbsp);")
_SINGLE_BRACES = re.compile(r"(?<!\{)\{(\w+)\}(?!\})")
_WORD = re.compile(r"[A-Za-z]\w*_\w+")
ENDS = frozenset(".?!:;…>\"')]}»”’」』。？！：；।॥؟؛۔።፧፡")
"""Characters that show a reader that a prompt is over."""

_GENERATORS = ("map", "select", "reject", "selectattr", "rejectattr", "batch", "slice", "unique", "items")
_ARITHMETIC = (nodes.BinExpr, nodes.Compare, nodes.Not, nodes.CondExpr, nodes.Concat)


def check_source(
    template: Template, columns: Collection[str] | None = None, *, in_legacy: bool = True
) -> list[Finding]:
    """Return what is wrong with a template.

    Args:
        template: The template.
        columns: Columns of its data, or None where they are not known.
        in_legacy: Whether it is compiled for legacy mode, too, which takes longer than all the rest.
    """
    try:
        prepared = template.prepared("fixed")
    except TemplateError as error:
        return [finding("does-not-compile", template.name, str(error))]
    sides = read_sides(prepared.main.tree)
    found = [
        *_check_parts(prepared, sides),
        *_check_names(prepared, sides, columns),
        *_check_choices(template, prepared, sides),
        *_check_text(template, sides),
        *_check_end(sides),
        *_check_answer(sides),
        *_check_script(template, sides),
        *_check_behaviour(prepared),
        *(_check_legacy(template, sides) if in_legacy else ()),
        *_check_printed(sides),
    ]
    return [finding(check, template.name, message) for check, message in found]


def _check_parts(prepared: Prepared, sides: Sides) -> Found:
    constants = prepared.main.tree.find_all(nodes.Const)
    if not sides.separators and not any(isinstance(c.value, str) and "|||" in c.value for c in constants):
        yield "no-target", "no ||| in the source"
    if sides.separators > 1:
        yield "several-targets", f"{sides.separators} times |||"


def _check_names(prepared: Prepared, sides: Sides, columns: Collection[str] | None) -> Found:
    if columns is not None:
        known = {column.replace("-", "_") for column in columns}
        for name in sorted(prepared.names - known):
            yield "undefined-name", f"{name!r} is not a column; the columns are {', '.join(sorted(known))}"
    names = prepared.names | set(columns or ())
    text = sides.text
    bare = {word for word in _WORD.findall(text) if word in names}
    bare |= {word for word in _SINGLE_BRACES.findall(text) if word in names}
    for word in sorted(bare):
        yield "unbraced-name", f"the text contains {word!r} without {{{{ }}}}"


def _check_choices(template: Template, prepared: Prepared, sides: Sides) -> Found:
    used = ANSWER_CHOICES in prepared.main.names
    if prepared.choices is None:
        if used:
            yield "no-choices", "the source reads answer_choices"
        return
    if not used:
        yield "unused-choices", f"the source does not read answer_choices ({template.answer_choices})"
    fixed = prepared.fixed_choices
    if fixed is None:
        return
    if "" in fixed or len(set(fixed)) < len(fixed):
        yield "odd-choices", f"the answer choices are {', '.join(map(repr, fixed))}"
    for node in prepared.main.tree.find_all(nodes.Getitem):
        of_choices = isinstance(node.node, nodes.Name) and node.node.name == ANSWER_CHOICES
        index = node.arg.value if isinstance(node.arg, nodes.Const) else None
        if of_choices and isinstance(index, int) and not -len(fixed) <= index < len(fixed):
            yield "choice-out-of-range", f"answer_choices[{index}] of {len(fixed)} choices"
    text = sides.prompt.casefold()
    named = any(choice.casefold() in text for choice in fixed if choice)
    read = any(path.startswith(ANSWER_CHOICES) for path in sides.fields(sides.inputs))
    if template.choices_in_prompt and not named and not read:
        yield "choices-not-in-prompt", f"the inputs name none of {', '.join(map(repr, fixed))}"


def _check_text(template: Template, sides: Sides) -> Found:
    text = sides.text
    if "\\n" in text:
        place = text.index("\\n")
        yield "backslash-n", f"... {text[max(0, place - 20) : place + 20].strip()} ..."
    entities = sorted(set(_ENTITY.findall(f"{template.jinja} {template.answer_choices or ''}")))
    if entities:
        yield "html-entity", f"the text holds {', '.join(entities)}"
    for piece in (*sides.inputs, *sides.targets):
        if isinstance(piece, nodes.Const) and isinstance(piece.value, str) and piece.value.strip():
            yield "quoted-constant", f"{{{{{piece.value!r}}}}} could stand as plain text"


def _check_end(sides: Sides) -> Found:
    for end in sides.ends:
        if not isinstance(end, str):
            fields = ", ".join(sides.fields([end])) or "an expression"
            yield "no-clear-end", f"the inputs end with {fields}; end them with a question, a colon or a full stop"
            continue
        text = end.rstrip().removesuffix("\\n").rstrip()
        if text and text[-1] not in ENDS:
            yield "no-clear-end", f"the inputs end with {text[-30:]!r}"


def _check_answer(sides: Sides) -> Found:
    shown = set(sides.whole_fields(sides.inputs))
    answers = set(sides.fields(sides.targets))
    path = answers.pop() if len(answers) == 1 else ""  # several: the target picks one of the options shown
    if path in shown and not path.startswith(ANSWER_CHOICES):
        yield "answer-visible", f"inputs and target both print {path}"


def _check_script(template: Template, sides: Sides) -> Found:
    if template.language == CODE:
        return
    letters = [character for character in sides.text if character.isalpha()]
    script = get_language(template.language).script
    if len(letters) < 12 or not script:
        return
    latin = sum(unicodedata.name(letter, "").startswith("LATIN") for letter in letters) / len(letters)
    if script == "Latn" and latin < 0.5:
        yield "wrong-script", f"its language is {template.language}, but the text is mostly not in Latin letters"
    if script != "Latn" and latin > 0.9:
        yield "wrong-script", f"its language is {template.language}, but the text is in Latin letters"


def _check_behaviour(prepared: Prepared) -> Found:
    if prepared.draws:
        yield "random", "draws with choice or random"
    if prepared.mutates:
        yield "changes-rows", "calls a method that changes a list or a dict"


def _check_legacy(template: Template, sides: Sides) -> Found:
    mixed = [piece for piece in (*sides.inputs, *sides.targets) if isinstance(piece, _ARITHMETIC)]
    if mixed:
        yield "legacy-differs", f"an expression in line {mixed[0].lineno} has several operands"
    elif not _compiles(lambda: template.prepared("legacy")):
        yield "legacy-differs", "legacy mode cannot compile the source"


def _check_printed(sides: Sides) -> Found:
    for piece in (*sides.inputs, *sides.targets):
        if isinstance(piece, nodes.Filter) and piece.name in _GENERATORS:
            yield "not-text", f"line {piece.lineno} prints what {piece.name!r} returns, a generator; add | list | join"
        if isinstance(piece, nodes.Call) and isinstance(piece.node, nodes.Name) and piece.node.name in GLOBALS:
            yield "not-text", f"line {piece.lineno} prints what {piece.node.name}() returns, which is not text"


def _compiles(compile_it: Callable[[], object]) -> bool:
    try:
        compile_it()
    except (TemplateError, *FAULTS):
        return False
    return True
