"""Translations written into the file of their originals, byte for byte besides what is there."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from xmtf.errors import TemplateError
from xmtf.files import atomic_path
from xmtf.templates.files.editing import read_editor
from xmtf.templates.files.promptsource import read_promptsource
from xmtf.templates.languages.translated import KEYS
from xmtf.translation.translate import Entry, plan_entries, texts_of, translate_entries
from xmtf.translation.work import Work

__all__ = ["Done", "Volume", "measure", "translate_file"]

_MARK = len('<x id="0"/>')


@dataclass(frozen=True, slots=True)
class Volume:
    """What a translation into one language would ask.

    Attributes:
        language: The language.
        actions: What is done -> number of templates.
        texts: Texts that would go out.
        characters: Characters of these texts; a text that fails in one style is sent again in another.
    """

    language: str
    actions: Counter[str]
    texts: int
    characters: int


@dataclass(frozen=True, slots=True)
class Done:
    """What was written.

    Attributes:
        path: The file.
        entries: All entries of the languages, kept ones among them.
        problems: What engines did not do in their form.
    """

    path: Path
    entries: list[Entry] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def states(self, language: str) -> Counter[str]:
        """Return state -> number of entries of a language; ``""`` for translations without a state."""
        found = (each.template for each in self.entries if each.language == language and each.template is not None)
        return Counter(each.translated.state if each.translated is not None else "" for each in found)


def measure(path: Path, source: str, work: Work) -> Volume:
    """Return what translating a file would ask, without asking.

    Raises:
        TemplateError: The file cannot be read.
    """
    entries = plan_entries(read_promptsource(path).templates, source, work)
    asked = [text for each in entries if each.action in ("new", "again") for text in texts_of(each.original)]
    pending = work.pending(asked)
    characters = sum(len(part) if isinstance(part, str) else _MARK for text in pending for part in text.parts)
    return Volume(work.target, Counter(each.action for each in entries), len(pending), characters)


def translate_file(
    path: Path, out: Path, source: str, works: Sequence[Work], date: str, *, isolates: bool = False
) -> Done:
    """Translate the templates of a file and write them next to their originals.

    Args:
        path: The file with the originals.
        out: Where to write: the same file, or another one, which begins as a copy of it where it is not there yet.
        source: Language of the originals.
        works: One for each language.
        date: Today, as ``2026-11-30``.
        isolates: As in :func:`xmtf.translation.translate.translate_entries`.

    Raises:
        TemplateError: The file cannot be read, or ``out`` holds other originals.
        TranslationError: An engine does not answer; nothing is written, but what was answered is remembered.
    """
    base = out if out.exists() else path
    templates = read_promptsource(base).templates
    if base != path:
        _check_originals(path, base)
    done = Done(out)
    for work in works:
        try:
            made = translate_entries(plan_entries(templates, source, work), work, date, isolates=isolates)
        finally:
            work.memory.save()
        done.entries.extend(made)
        done.problems.extend(problem for problem in work.problems if problem not in done.problems)
    if not done.entries:
        raise TemplateError(f"{path}: has no template in {source!r} to translate")
    _write(base, out, done.entries)
    return done


def _check_originals(path: Path, out: Path) -> None:
    names = {each.name: each for each in read_promptsource(out).templates}
    for template in read_promptsource(path).templates:
        if template.translated is None and template.name not in names:
            raise TemplateError(f"{out}: lacks {template.name!r} of {path}; add it there, or give another --out")
        there = names.get(template.name)
        if there is not None and there.translated is None and there.jinja != template.jinja:
            raise TemplateError(f"{out}: {template.name!r} differs from the template in {path}; give another --out")


def _write(base: Path, out: Path, entries: Iterable[Entry]) -> None:
    editor = read_editor(base)
    changed = False
    for entry in entries:
        template = entry.template
        if template is None or entry.action == "kept":
            continue
        changed = True
        told = template.translated
        if entry.number is None or told is None:
            editor.add(template)
            continue
        values: dict[str, str | None] = {"name": template.name, "state": told.state}
        if entry.action == "again":
            values |= {"jinja": template.jinja, "answer_choices": template.answer_choices}
            values |= {key: str(getattr(told, key)) for key in KEYS if key != "reviewer"}
        editor.set(entry.number, values)
    if changed:
        out.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(out) as temporary:
            temporary.write_bytes(editor.text().encode())
    elif not out.exists():
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(base, out)
