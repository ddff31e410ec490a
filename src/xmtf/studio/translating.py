"""Translations side by side with their originals: engines suggest, people decide, by its room's rules."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import jinja2

from xmtf.errors import TemplateError, UnknownNameError
from xmtf.languages.codes import normalize_language
from xmtf.studio.browse import is_rtl
from xmtf.studio.interface.translating import (
    Decided,
    DecisionRequest,
    Original,
    Progress,
    Suggestion,
    SuggestRequest,
    Term,
    Translation,
    TranslationEntry,
    Translations,
    TranslationsRequest,
)
from xmtf.studio.place import Served
from xmtf.studio.saving import write
from xmtf.studio.session import Session
from xmtf.studio.stored import Snapshot, parse
from xmtf.templates import Template
from xmtf.templates.files.editing import TemplateEditor
from xmtf.templates.languages.names import base_name
from xmtf.templates.languages.pieces import differing_code, has_words
from xmtf.templates.languages.translated import State
from xmtf.templates.lint.translations import original_name
from xmtf.translation.engines import open_engine
from xmtf.translation.exchange.review import Review
from xmtf.translation.exchange.rows import ReadRow, pair_up
from xmtf.translation.glossary import NO_GLOSSARY, read_glossary
from xmtf.translation.memory import Memory
from xmtf.translation.translate import Entry, translate_entries
from xmtf.translation.work import Work

__all__ = ["decide", "suggest", "translations"]

_MEMORY = "translation-memory.jsonl"
_STATES: dict[str, State] = {"accept": "reviewed", "edit": "unreviewed", "reject": "rejected"}


def translations(session: Session, request: TranslationsRequest) -> Translations:
    """List the prompts of a file next to their translations."""
    snapshot = session.stored.now(session.place.served(request.key))
    language = normalize_language(request.language, "language")
    source = normalize_language(request.source, "source")
    there = _there(snapshot, language)
    entries = [
        _entry(snapshot, number, there.get(original.name))
        for number, original in enumerate(snapshot.file.templates)
        if _is_original(original, source) and source != language
    ]
    states = Counter(entry.state or "missing" for entry in entries)
    done = states["reviewed"]
    progress = Progress(done=done, total=len(entries), by_state=dict(states))
    return Translations(version=snapshot.version, rtl=is_rtl(language), entries=entries, progress=progress)


def _is_original(template: Template, source: str) -> bool:
    is_base = base_name(template.name) == template.name
    return template.translated is None and template.language == source and is_base


def _there(snapshot: Snapshot, language: str) -> dict[str, int]:
    """Return name of an original -> place of its translation."""
    found: dict[str, int] = {}
    for number, template in enumerate(snapshot.file.templates):
        if template.language == language and original_name(template) != template.name:
            found.setdefault(original_name(template), number)
    return found


def _entry(snapshot: Snapshot, number: int, place: int | None) -> TranslationEntry:
    original, name = snapshot.file.templates[number], snapshot.ids[number]
    shown = Original(
        id=name,
        name=original.name,
        jinja=original.jinja,
        answer_choices=original.answer_choices,
        line=snapshot.file.lines[number],
    )
    if place is None:
        return TranslationEntry(id=name, original=shown, translation=None, state=None, reviewer="", problem=None)
    found = snapshot.file.templates[place]
    told = found.translated
    translation = Translation(
        id=snapshot.ids[place],
        name=found.name,
        jinja=found.jinja,
        answer_choices=found.answer_choices,
        engine=told.engine if told is not None else "",
    )
    return TranslationEntry(
        id=name,
        original=shown,
        translation=translation,
        state=told.state if told is not None else found.translation,
        reviewer=told.reviewer if told is not None else "",
        problem=(told.comment or None) if told is not None else _STATELESS,
    )


_STATELESS = "its metadata have no state, so it cannot be reviewed here; edit it as a template"


def suggest(session: Session, request: SuggestRequest) -> Suggestion:
    """Let an engine translate a prompt; nothing is saved but the engine's memory."""
    served = session.place.served(request.key)
    original = session.stored.now(served).template(request.id)
    language = normalize_language(request.language, "language")
    session.worker.ask("compile", [original])
    with session.suggesting.lock:
        work = _work(session, served, request.engine, original.language, language)
        try:
            (entry,) = translate_entries([Entry(original, language, "new")], work, _today())
        finally:
            if not served.read_only:
                work.memory.save()
    made = entry.template
    assert made is not None
    assert made.translated is not None
    session.suggesting.made[request.key, language, original.name] = made
    text = f"{made.jinja} {made.answer_choices or ''}".casefold()
    terms = work.glossary.within(f"{original.jinja} {original.answer_choices or ''}")
    return Suggestion(
        jinja=made.jinja,
        answer_choices=made.answer_choices,
        problems=[*filter(None, made.translated.comment.split("; ")), *work.problems],
        terms=[Term(term=term, translation=by, kept=by.casefold() in text) for term, by in terms.items()],
    )


def _work(session: Session, served: Served, name: str, source: str, target: str) -> Work:
    options, engines = session.options, session.suggesting.engines
    if name not in options.engines:
        raise UnknownNameError("engine", name, options.engines, "--engine")
    if name not in engines:
        engines[name] = open_engine(name)
    glossary = read_glossary(options.glossary, target) if options.glossary is not None else NO_GLOSSARY
    beside = None if served.read_only else served.target.parent / _MEMORY
    return Work(engines[name], source, target, Memory(options.memory or beside), glossary, served.key)


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def decide(session: Session, request: DecisionRequest) -> Decided:
    """Take a translation that a person wrote, accepted or rejected into the file."""
    served = session.place.served(request.key)
    language = normalize_language(request.language, "language")
    if request.decision != "edit" and not request.reviewer.strip():
        raise TemplateError("give the reviewer's name: the file stores it with the state")
    original = session.stored.now(served).template(request.original)
    sent = replace(original, jinja=request.jinja, answer_choices=request.answer_choices)
    session.worker.ask("compile", [original, sent])
    snapshot = write(session, served, request.version, lambda seen: _decided(session, served, seen, request, language))
    place = _there(snapshot, language)[original.name]
    told = snapshot.file.templates[place].translated
    assert told is not None
    return Decided(version=snapshot.version, state=told.state, id=snapshot.ids[place])


def _decided(session: Session, served: Served, snapshot: Snapshot, request: DecisionRequest, language: str) -> bytes:
    original = snapshot.template(request.original)
    there = _there(snapshot, language).get(original.name)
    made = session.suggesting.made.get((request.key, language, original.name))
    if there is None and made is not None and _is_sent(made, request):  # the file names the engine that wrote it
        editor = _editor(served, snapshot)
        editor.add(replace(made, id=""))
        data = editor.text().encode()
        snapshot = Snapshot.of(served.key, data, parse(data, served.path))
        there = _there(snapshot, language)[original.name]
    translation = snapshot.file.templates[there] if there is not None else None
    if translation is not None and translation.translated is None:
        raise TemplateError(f"{translation.name!r}: {_STATELESS}")
    sent = replace(translation or original, jinja=request.jinja, answer_choices=request.answer_choices)
    _check_code(original, sent)
    pairs = pair_up(original, sent)
    if request.decision != "reject" and (silent := [part for part, (_, text) in pairs.items() if not has_words(text)]):
        raise TemplateError(f"{', '.join(silent)} of {original.name!r}: is empty; write its translation")
    state = _STATES[request.decision]
    rows = [
        ReadRow(original.name, language, part, source, target, state, "", 1) for part, (source, target) in pairs.items()
    ]
    review = Review(_editor(served, snapshot), snapshot.file.templates, served.path, request.reviewer.strip(), _today())
    review.take(original.name, language, rows)
    if review.problems:
        raise TemplateError("; ".join(problem for _, problem in review.problems))
    data = review.editor.text().encode()
    _verify(served, data, original, language, pairs)
    return data


def _is_sent(made: Template, request: DecisionRequest) -> bool:
    return (made.jinja, made.answer_choices) == (request.jinja, request.answer_choices)


def _editor(served: Served, snapshot: Snapshot) -> TemplateEditor:
    return TemplateEditor(snapshot.data.decode("utf-8"), str(served.path))


def _check_code(original: Template, sent: Template) -> None:
    """Refuse another code than the original's, also in parts without words, which no review looks at."""
    if (original.answer_choices is None) != (sent.answer_choices is None):
        raise TemplateError("the original has answer choices and the translation has none, or vice versa")
    for first, second in ((original.jinja, sent.jinja), (original.answer_choices or "", sent.answer_choices or "")):
        try:
            problem = differing_code(first, second)
        except jinja2.TemplateSyntaxError as error:
            problem = str(error)
        if problem:
            raise TemplateError(f"the code differs from the original's: {problem}")


def _verify(served: Served, data: bytes, original: Template, language: str, pairs: dict[str, tuple[str, str]]) -> None:
    found = Snapshot.of(served.key, data, parse(data, served.path))
    place = _there(found, language).get(original.name)
    if place is None:
        raise TemplateError(f"{original.name!r}: a part of the translation is empty; fill in all parts")
    if pair_up(original, found.file.templates[place]) != pairs:
        raise TemplateError(f"{original.name!r}: the parts of the translation do not match those of the original")
