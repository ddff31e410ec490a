"""Templates of one file in other languages: what is new, changed or kept, and the entries that come of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from xmtf.errors import TemplateError
from xmtf.templates.languages.names import base_name
from xmtf.templates.languages.pieces import skeleton
from xmtf.templates.languages.segments import Part, Segmented, segment
from xmtf.templates.languages.translated import HAND, State, Translated, source_hash, translated_name
from xmtf.templates.lint.translations import choices_lost, original_name
from xmtf.templates.template import Template
from xmtf.translation.isolates import isolated
from xmtf.translation.work import Asked, Outcome, Work

__all__ = ["Action", "Entry", "plan_entries", "translate_entries"]

Action = Literal["new", "again", "fuzzy", "kept"]
"""Not there; rewritten, since original or engine changed; marked, since a person wrote it; left alone."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One template in one language.

    Attributes:
        original: The template that is translated.
        language: Language to translate into.
        action: What is done.
        number: Place of the translation in the file, or None where there is none.
        template: The translation: what is there, or what results from it.
    """

    original: Template
    language: str
    action: Action
    number: int | None = None
    template: Template | None = None


def plan_entries(templates: Sequence[Template], source: str, work: Work) -> list[Entry]:
    """Return what is to be done for each original of a file.

    Args:
        templates: All templates of the file, translations among them.
        source: Language of the originals.
        work: Names language, engine and prompt.
    """
    there: dict[str, tuple[int, Template]] = {}
    for number, template in enumerate(templates):
        if template.language == work.target and original_name(template) != template.name:
            there.setdefault(original_name(template), (number, template))
    originals = [
        each
        for each in templates
        if each.translated is None and each.language == source and base_name(each.name) == each.name
    ]
    return [_planned(original, work, *there.get(original.name, (None, None))) for original in originals]


def _planned(original: Template, work: Work, number: int | None, found: Template | None) -> Entry:
    if found is None or number is None:
        return Entry(original, work.target, "new")
    told = found.translated
    if told is None:
        return Entry(original, work.target, "kept", number, found)
    is_same = told.source_hash == source_hash(original.jinja, original.answer_choices)
    action: Action = "kept"
    if told.engine == HAND or told.state not in ("machine", "for_person"):
        if told.source_hash and not is_same and told.state != "fuzzy":
            action = "fuzzy"
    elif not is_same or (told.state == "for_person" and (told.engine, told.version, told.prompt) != _engine_of(work)):
        action = "again"
    return Entry(original, work.target, action, number, found)


def _engine_of(work: Work) -> tuple[str, str, str]:
    return work.engine.name, work.engine.version, work.prompt


def texts_of(template: Template) -> list[Asked]:
    """Return what an engine is asked of a template; what is for a person by itself is not among it."""
    units = [unit for source in _sources(template) for unit in source.units]
    return [Asked(unit.role, unit.parts) for unit in units if not unit.problem]


def _sources(template: Template) -> tuple[Segmented, ...]:
    found = [segment(template.jinja)]
    if template.answer_choices is not None:
        found.append(segment(template.answer_choices, are_choices=True))
    return tuple(found)


def translate_entries(
    entries: Sequence[Entry], work: Work, date: str, *, isolates: bool = False, ids: Mapping[str, str] | None = None
) -> list[Entry]:
    """Return the entries with the templates that come of them; those that are kept as they are.

    Args:
        entries: Of one language.
        work: Translates into that language.
        date: Today, as ``2026-11-30``.
        isolates: Whether values in right-to-left text are in isolates.
        ids: Name of a translation -> id that it keeps.

    Raises:
        TranslationError: The engine does not answer.
    """
    asked = [text for entry in entries if entry.action in ("new", "again") for text in texts_of(entry.original)]
    outcomes = work.translate(asked)
    done = []
    for entry in entries:
        template = entry.template
        if entry.action == "fuzzy" and template is not None and template.translated is not None:
            name = translated_name(entry.original.name, entry.language, "machine")
            template = replace(
                template, name=name, translation="machine", translated=replace(template.translated, state="fuzzy")
            )
        elif entry.action in ("new", "again"):
            template = _made(entry, work, outcomes, date, isolates)
        done.append(replace(entry, template=template))
    return done


def _made(entry: Entry, work: Work, outcomes: Mapping[Asked, Outcome], date: str, isolates: bool) -> Template:
    original = entry.original
    problems: list[str] = []
    made = [_rebuilt(source, outcomes, problems, entry.language, isolates) for source in _sources(original)]
    jinja, choices = made[0], made[1] if len(made) > 1 else None
    name = translated_name(original.name, entry.language, "machine")
    problems += _whole(original, jinja, choices)
    state: State = "for_person" if problems else "machine"
    engine, version, prompt = _engine_of(work)
    told = Translated(
        state,
        original.name,
        engine,
        version,
        prompt,
        date,
        source_hash(original.jinja, original.answer_choices),
        comment="; ".join(dict.fromkeys(problems)),
    )
    kept = entry.template.id if entry.template is not None else ""
    return replace(
        original,
        id=kept,
        name=name,
        jinja=jinja,
        answer_choices=choices,
        language=entry.language,
        translation="machine",
        translated=told,
    )


def _rebuilt(
    source: Segmented, outcomes: Mapping[Asked, Outcome], problems: list[str], language: str, isolates: bool
) -> str:
    translations: dict[int, tuple[Part, ...]] = {}
    for number, unit in enumerate(source.units):
        outcome = Outcome(None, problem=unit.problem) if unit.problem else outcomes[Asked(unit.role, unit.parts)]
        if outcome.parts is None:
            shown = " ".join(unit.text.split()) or source.source[unit.start : unit.end]
            problems.append(f"{shown[:40]!r}: {outcome.problem}")
        else:
            translations[number] = isolated(outcome.parts, language) if isolates else outcome.parts
    return source.rebuild(translations)


def _whole(original: Template, jinja: str, choices: str | None) -> list[str]:
    """Return what is wrong with a translation as a whole; the source was put together from parts that passed."""
    made = replace(original, jinja=jinja, answer_choices=choices)
    try:
        prepared, expected = made.prepared(), original.prepared()
    except TemplateError as error:
        return [str(error)]
    problems = []
    pairs = [
        (original.jinja, jinja),
        *([(original.answer_choices, choices)] if original.answer_choices and choices else []),
    ]
    if any(skeleton(first) != skeleton(second) for first, second in pairs):
        problems.append("the code differs from the original's")
    if prepared.fixed_choices is not None and expected.fixed_choices is not None:
        folded = {choice.casefold() for choice in prepared.fixed_choices}
        if len(folded) < len({choice.casefold() for choice in expected.fixed_choices}):
            problems.append(f"two answer choices are the same: {', '.join(prepared.fixed_choices)}")
    return problems + choices_lost(original, made)
