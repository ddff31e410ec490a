"""What people wrote and decided, taken into the template file; all of it or nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import jinja2

from xmtf.errors import ConfigError, TemplateError
from xmtf.files import atomic_path
from xmtf.templates.files.editing import TemplateEditor, read_editor
from xmtf.templates.files.promptsource import read_promptsource
from xmtf.templates.languages.pieces import differing_code
from xmtf.templates.languages.translated import HAND, State, Translated, source_hash, translated_name
from xmtf.templates.lint.translations import original_name
from xmtf.templates.template import Template
from xmtf.translation.exchange.rows import TEMPLATE, ReadRow, pair_up, part_spans

__all__ = ["Imported", "Review", "import_rows"]

_SHOWN = 20


@dataclass(slots=True)
class Imported:
    """What an import did.

    Attributes:
        counts: ``reviewed``, ``rejected``, ``changed`` (a text, without a decision), ``new``, ``unfinished`` (without a
            text for every part), ``untouched`` -> number of translations.
    """

    counts: Counter[str] = field(default_factory=Counter)


def import_rows(path: Path, rows: Sequence[ReadRow], where: Path, reviewer: str, date: str) -> Imported:
    """Write into a template file what came back.

    Args:
        path: The template file.
        rows: What came back.
        where: The file that it came in, for messages.
        reviewer: Who reviewed.
        date: Today, as ``2026-11-30``.

    Raises:
        ConfigError: A text lost a placeholder, is of another original, or is empty though reviewed; names each line.
        TemplateError: The template file cannot be read.
    """
    review = Review(read_editor(path), read_promptsource(path).templates, where, reviewer, date)
    groups: dict[tuple[str, str], list[ReadRow]] = defaultdict(list)
    for row in rows:
        groups[row.original, row.language].append(row)
    for (name, language), some in groups.items():
        review.take(name, language, some)
    if review.problems:
        lines = [f"line {line}: {problem}" for line, problem in sorted(set(review.problems))]
        more = f"\n  and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
        raise ConfigError(f"{where}: nothing is imported\n  " + "\n  ".join(lines[:_SHOWN]) + more)
    if review.is_changed:
        with atomic_path(path) as temporary:
            temporary.write_bytes(review.editor.text().encode())
    return Imported(review.counts)


class Review:
    """Takes translation after translation into an editor, and collects what is wrong as (line, problem)."""

    def __init__(
        self, editor: TemplateEditor, templates: Sequence[Template], where: Path, reviewer: str, date: str
    ) -> None:
        """Prepare.

        Args:
            editor: Of the template file.
            templates: What is in the file.
            where: Named in messages: what the decisions came in.
            reviewer: Who reviewed.
            date: Today, as ``2026-11-30``.
        """
        self.where = where
        self.reviewer = reviewer
        self.date = date
        self.editor = editor
        self.problems: list[tuple[int, str]] = []
        self.counts: Counter[str] = Counter()
        self.is_changed = False
        self._originals = {each.name: each for each in templates if each.translated is None}
        self._there: dict[tuple[str, str], tuple[int, Template]] = {}
        for number, each in enumerate(templates):
            if each.translated is not None:
                self._there.setdefault((original_name(each), each.language), (number, each))

    def take(self, name: str, language: str, rows: Sequence[ReadRow]) -> None:
        """Take the rows of one translation."""
        original = self._originals.get(name)
        if original is None:
            self.problems.append((rows[0].line, f"there is no template {name!r}"))
            return
        number, there = self._there.get((name, language), (None, None))
        pairs = pair_up(original, there)
        if not self._checked(rows, pairs, original):
            return
        texts = {row.part: row.target for row in rows if row.target}
        state = self._raised(rows, pairs, texts, there)
        if there is None and not all(part in texts for part in pairs):
            self.counts["unfinished"] += 1
            return
        made = _with_texts(there or replace(original, id=""), texts, pairs)
        is_touched = there is None or state is not None or made != there
        problem = _fault(original, made) if is_touched else ""
        if problem:
            self.problems.append((rows[0].line, f"{name!r}: {problem}"))
        elif there is None or number is None or there.translated is None:
            self._add(original, made, language, state or "unreviewed", rows)
        else:
            self._change(number, there, there.translated, made, state, rows)

    def _checked(self, rows: Sequence[ReadRow], pairs: Mapping[str, tuple[str, str]], original: Template) -> bool:
        before = len(self.problems)
        for row in rows:
            pair = pairs.get(row.part)
            if pair is None:
                self.problems.append((row.line, f"{original.name!r} has no part {row.part!r}"))
            elif _one_line(row.source) != _one_line(pair[0]):
                self.problems.append((row.line, f"{original.name!r} changed since the export; export it again"))
            elif row.target:
                try:
                    problem = differing_code(pair[0], row.target)
                except jinja2.TemplateSyntaxError as error:
                    problem = str(error)
                if problem:
                    self.problems.append((row.line, f"{row.part} of {original.name!r}: {problem}"))
        return len(self.problems) == before

    def _raised(
        self,
        rows: Sequence[ReadRow],
        pairs: Mapping[str, tuple[str, str]],
        texts: Mapping[str, str],
        there: Template | None,
    ) -> State | None:
        """Return the state that the file raised a translation to: reviewed if every part is, rejected if one is."""
        now = there.translated.state if there is not None and there.translated is not None else None
        said = {row.part: row.state for row in rows}
        found: State | None = None
        if "rejected" in said.values():
            found = "rejected"
        elif all(said.get(part) == "reviewed" for part in pairs):
            found = "reviewed"
            for row in rows:
                if not row.target:
                    self.problems.append((row.line, f"{row.part} of {row.original!r}: reviewed, but empty"))
        elif now != "reviewed" and "reviewed" in said.values():
            self.counts["reviewed in part, left as it is"] += 1
        if found == now:
            return None
        if found is not None and not self.reviewer:
            raise ConfigError(
                f"{self.where}: line {rows[0].line}: somebody {found} it; give the name with --reviewer NAME"
            )
        return found

    def _add(self, original: Template, made: Template, language: str, state: State, rows: Sequence[ReadRow]) -> None:
        reviewer = self.reviewer if state in ("reviewed", "rejected") else ""
        told = Translated(
            state,
            original.name,
            HAND,
            date=self.date,
            source_hash=source_hash(original.jinja, original.answer_choices),
            reviewer=reviewer,
            comment=rows[0].comment,
        )
        name = translated_name(original.name, language, told.translation)
        self.editor.add(replace(made, name=name, language=language, translation=told.translation, translated=told))
        self.counts["new"] += 1
        self.is_changed = True

    def _change(
        self,
        number: int,
        there: Template,
        told: Translated,
        made: Template,
        raised: State | None,
        rows: Sequence[ReadRow],
    ) -> None:
        has_new_text = (made.jinja, made.answer_choices) != (there.jinja, there.answer_choices)
        given = (row.comment for row in rows if _one_line(row.comment) != _one_line(told.comment))  # PO wraps them
        comment = next(given, told.comment)
        state = raised or ("unreviewed" if has_new_text else told.state)
        if state == told.state and comment == told.comment and not has_new_text:
            self.counts["untouched"] += 1
            return
        values: dict[str, str | None] = {}
        if has_new_text:
            values |= {"jinja": made.jinja, "answer_choices": made.answer_choices, "date": self.date}
            original = self._originals[told.original or original_name(there)]
            values["source_hash"] = source_hash(original.jinja, original.answer_choices)
        if state != told.state:
            translation = replace(told, state=state).translation
            values |= {"name": translated_name(told.original, there.language, translation), "state": state}
            if told.state == "for_person" and comment == told.comment:
                comment = ""
        if raised is not None:
            values["reviewer"] = self.reviewer
        if comment != told.comment:
            values["comment"] = comment
        self.editor.set(number, values)
        self.counts[raised or "changed"] += 1
        self.is_changed = True


def _with_texts(template: Template, texts: Mapping[str, str], pairs: Mapping[str, tuple[str, str]]) -> Template:
    """Return a template with the texts of its parts replaced."""
    spans = part_spans(template.jinja, template.answer_choices)
    if TEMPLATE in pairs and TEMPLATE not in spans:
        start = len(template.jinja) - len(template.jinja.lstrip())
        spans[TEMPLATE] = (False, start, start + len(template.jinja.strip()))
    sources = {False: template.jinja, True: template.answer_choices or ""}
    for part, (of_choices, start, end) in sorted(spans.items(), key=lambda item: item[1], reverse=True):
        if part in texts and part in pairs:
            sources[of_choices] = sources[of_choices][:start] + texts[part] + sources[of_choices][end:]
    choices = None if template.answer_choices is None else sources[True]
    return replace(template, jinja=sources[False], answer_choices=choices)


def _fault(original: Template, made: Template) -> str:
    try:
        expected, found = original.prepared().fixed_choices, made.prepared().fixed_choices
    except TemplateError as error:
        return str(error)
    if expected is not None and found is not None:
        if len(found) != len(expected):
            return f"{len(found)} answer choices; the original has {len(expected)}"
        if len(set(found)) < len(set(expected)):
            return f"two answer choices are the same: {', '.join(found)}"
    return ""


def _one_line(text: str) -> str:
    return " ".join(text.split())
