"""What people review: one row for each side and each answer choice of a translation, in whatever format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from xmtf.templates.languages.names import base_name
from xmtf.templates.languages.pieces import read_pieces
from xmtf.templates.languages.segments import segment
from xmtf.templates.languages.translated import State
from xmtf.templates.lint.translations import original_name
from xmtf.templates.rendering.compile import PIPES
from xmtf.templates.template import Template

__all__ = ["TEMPLATE", "ReadRow", "Row", "pair_up", "part_spans", "rows_of"]

TEMPLATE = "template"
"""Part of a translation whose sides are not the original's one by one: its whole source."""


@dataclass(frozen=True, slots=True)
class Row:
    """One text for a person.

    Attributes:
        original: Name of the original.
        language: Language of the translation.
        part: ``inputs``, ``target``, ``target 2``, ``choice 1``, or ``template`` for the whole source.
        source: Text of the original, Jinja and all.
        target: Text of the translation; ``""`` where there is none.
        state: Of the whole translation; None where there is no entry yet.
        context: A rendered row, or ``""``.
        comment: What is said about the translation.
    """

    original: str
    language: str
    part: str
    source: str
    target: str
    state: State | None
    context: str = ""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class ReadRow:
    """One text that came back.

    Attributes:
        original: Name of the original.
        language: Language of the translation.
        part: As in :class:`Row`.
        source: Text of the original when it was exported.
        target: The translation now.
        state: What the file says now, or None where its format has no word for it.
        comment: The comment now.
        line: Line of the file.
    """

    original: str
    language: str
    part: str
    source: str
    target: str
    state: State | None
    comment: str
    line: int


def part_spans(jinja: str, answer_choices: str | None) -> dict[str, tuple[bool, int, int]]:
    """Return the parts of a template: name -> (whether of the choices, start, end), white space at edges left out.

    A source with ``|||`` inside a statement is one part, ``template``.
    """
    sides = _split(jinja)
    if sides is None:
        found = {TEMPLATE: (False, *_trimmed(jinja, 0, len(jinja)))}
    else:
        names = ["inputs", *(f"target {n}" if n > 1 else "target" for n in range(1, len(sides)))]
        found = {name: (False, *span) for name, span in zip(names, sides, strict=True)}
    if answer_choices is not None:
        choices = _split(answer_choices) or [_trimmed(answer_choices, 0, len(answer_choices))]
        found |= {f"choice {n}": (True, *span) for n, span in enumerate(choices, start=1)}
    return found


def _split(source: str) -> list[tuple[int, int]] | None:
    """Return the spans between the separators of a source, or None where one stands inside a statement."""
    spans, start, depth = [], 0, 0
    for piece in read_pieces(source):
        if piece.kind == "statement":
            depth += piece.keyword in ("if", "for", "with")
            depth -= piece.keyword in ("endif", "endfor", "endwith")
        if piece.kind != "text":
            continue
        at = source.find(PIPES, piece.start, piece.end)
        while at >= 0:
            if depth:
                return None
            spans.append(_trimmed(source, start, at))
            start = at + len(PIPES)
            at = source.find(PIPES, start, piece.end)
    return [*spans, _trimmed(source, start, len(source))]


def _trimmed(source: str, start: int, end: int) -> tuple[int, int]:
    text = source[start:end]
    first = start + len(text) - len(text.lstrip())
    return (first, first + len(text.strip())) if text.strip() else (start, start)


def pair_up(original: Template, translation: Template | None) -> dict[str, tuple[str, str]]:
    """Return part -> (text of the original, text of the translation), without parts that say nothing."""
    spans = part_spans(original.jinja, original.answer_choices)
    texts = {name: _text(original, span) for name, span in spans.items()}
    said = {name for name, text in texts.items() if _says(text)}
    if translation is None:
        return {name: (text, "") for name, text in texts.items() if name in said}
    there = part_spans(translation.jinja, translation.answer_choices)
    if list(there) != list(spans):
        whole = {TEMPLATE: (original.jinja.strip(), translation.jinja.strip())}
        choices = [name for name in spans if name.startswith("choice") and name in there and name in said]
        return whole | {name: (texts[name], _text(translation, there[name])) for name in choices}
    return {name: (texts[name], _text(translation, there[name])) for name in spans if name in said}


def _text(template: Template, span: tuple[bool, int, int]) -> str:
    of_choices, start, end = span
    return ((template.answer_choices or "") if of_choices else template.jinja)[start:end]


def _says(text: str) -> bool:
    return bool(segment(text).units)


def rows_of(
    templates: Sequence[Template], source: str, languages: Iterable[str], contexts: Mapping[str, str]
) -> list[Row]:
    """Return the rows of all originals in some languages, in the order of the file.

    A translation for a person shows its text only where it is no longer the original's.

    Args:
        templates: Those of a file.
        source: Language of the originals.
        languages: Languages of the translations.
        contexts: Name of a template -> a row that it rendered.
    """
    there: dict[tuple[str, str], Template] = {}
    for each in templates:
        if each.translated is not None:
            there.setdefault((original_name(each), each.language), each)
    rows = []
    for language in languages:
        for original in templates:
            if (
                original.translated is not None
                or original.language != source
                or base_name(original.name) != original.name
            ):
                continue
            found = there.get((original.name, language))
            told = found.translated if found is not None else None
            shown = contexts.get(found.name if found is not None else "", contexts.get(original.name, ""))
            for part, (text, translation) in pair_up(original, found).items():
                if told is not None and told.state == "for_person" and translation == text:
                    translation = ""
                rows.append(
                    Row(
                        original.name,
                        language,
                        part,
                        text,
                        translation,
                        told.state if told is not None else None,
                        shown,
                        told.comment if told is not None else "",
                    )
                )
    return rows
