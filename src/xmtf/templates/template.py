"""A template: one Jinja prompt with its name, language and answer choices."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jinja2

from xmtf.errors import TemplateError
from xmtf.files import content_hash
from xmtf.records import Origin, Translation
from xmtf.templates.languages.pieces import has_words
from xmtf.templates.languages.translated import Translated
from xmtf.templates.rendering.columns import render_table
from xmtf.templates.rendering.compile import FAULTS
from xmtf.templates.rendering.labels import name_labels
from xmtf.templates.rendering.render import Mode, Prepared, Rendered, prepare
from xmtf.templates.sandbox.unfit import Nulls, UnfitRowError

if TYPE_CHECKING:
    import pyarrow as pa

    from xmtf.templates.rendering.columns import RenderedColumns

__all__ = ["Template", "explain", "rename_hyphens"]

_NOWHERE = Origin("", "", "", 0)


@dataclass(frozen=True, slots=True)
class Template:
    """One Jinja prompt; inputs and target are parted by ``|||``.

    >>> nli = Template(
    ...     name="true or false",
    ...     jinja="{{premise}} So: {{hypothesis}} True or false? ||| {{answer_choices[label]}}",
    ...     answer_choices="True ||| False",
    ... )
    >>> nli.render({"premise": "It rains.", "hypothesis": "It is wet.", "label": 0})
    Rendered(inputs='It rains. So: It is wet. True or false?', targets=('True',), answer_choices=('True', 'False'))

    Attributes:
        name: Names it among the templates of its dataset.
        jinja: Jinja source; sees the columns of a row and the list ``answer_choices``.
        answer_choices: Jinja source of the choices, parted by ``|||``, or None.
        language: Code of the language that it is written in.
        translation: How it came into that language.
        metrics: Metrics that its author names, such as ``Accuracy``.
        id: UUID in promptsource files, or ``""``.
        reference: Where the wording comes from, free text.
        original_task: Whether it asks what the dataset was made for; None: not said.
        choices_in_prompt: Whether the inputs name the choices; None: not said.
        translated: How a translation with a state came to be, or None for every other template.
        told_by: The identifier that told the language, with its version, where nothing else does.
    """

    name: str
    jinja: str
    answer_choices: str | None = None
    language: str = "en"
    translation: Translation = "none"
    metrics: tuple[str, ...] = ()
    id: str = ""
    reference: str = ""
    original_task: bool | None = None
    choices_in_prompt: bool | None = None
    translated: Translated | None = None
    told_by: str = ""

    @property
    def hash(self) -> str:
        """Content hash of what changes the output: source, choices, and the name (random draws depend on it)."""
        return content_hash([self.name, self.jinja, self.answer_choices])

    @property
    def is_wordless(self) -> bool:
        """Whether it prints columns of the row alone, so that its language is that of the row."""
        return not any(map(has_words, filter(None, (self.jinja, self.answer_choices))))

    def prepared(self, mode: Mode = "fixed", nulls: Nulls = "drop") -> Prepared:
        """Compile it (once in a process); ``nulls`` as in :meth:`render_table`.

        Raises:
            TemplateError: It does not parse, or uses what templates may not use.
        """
        try:
            return prepare(self.jinja, self.answer_choices, mode, nulls)
        except FAULTS as error:
            raise TemplateError(f"template {self.name!r} does not compile: {explain(error)}") from error

    def render(
        self, row: Mapping[str, object], *, mode: Mode = "fixed", origin: Origin | None = None, strip: bool = True
    ) -> Rendered | None:
        """Render one row; None where the template does not apply to it (it renders nothing but space).

        The row is never changed. ``choice`` and ``random`` draw what they draw for this origin and name,
        whatever was rendered before.

        Args:
            row: Column -> value; ``-`` in a column's name becomes ``_``.
            mode: ``fixed``, or ``legacy`` for what promptsource did (see :mod:`xmtf.templates.rendering.render`).
            origin: Named in errors, and seeds random draws; None: row 0 of an unnamed dataset.
            strip: False keeps the white space between inputs and target, as for code.

        Raises:
            TemplateError: It fails on this row, or would take too long, or the row is unfit (prints a null, has a
                label that picks no answer choice); names dataset, subset, template and row.
        """
        prepared = self.prepared(mode)
        values = rename_hyphens(row)
        if prepared.mutates:
            values = copy.deepcopy(values)
        where = origin or _NOWHERE
        try:
            return prepared.render(values, draw_key(where, self.name), strip=strip)
        except (UnfitRowError, *FAULTS) as error:
            place = f"{origin}: " if origin else ""
            said = str(error) if isinstance(error, UnfitRowError) else explain(error)
            raise TemplateError(f"{place}template {self.name!r}: {said}") from error

    def render_table(
        self,
        table: pa.Table,
        *,
        dataset: str,
        subset: str,
        split: str,
        rows: Sequence[int] | None = None,
        mode: Mode = "fixed",
        nulls: Nulls = "drop",
        strip: bool = True,
    ) -> RenderedColumns:
        """Render all rows of a table; a row that fails or is unfit stands so in the answer, and is never an error.

        Args:
            table: Raw rows.
            dataset: Hub id or own name.
            subset: Configuration, or ``""``.
            split: Such as ``train``.
            rows: Index in the split of every row; counted from 0 by default.
            mode: As in :meth:`render`.
            nulls: Whether a row is unfit whose null is printed (``drop``), or the null prints nothing (``empty``);
                of fixed mode only.
            strip: As in :meth:`render`.

        Raises:
            TemplateError: The template does not compile, or reads a column that has no text (bytes).
        """
        numbers = range(table.num_rows) if rows is None else rows
        rendered = render_table(self, table, (dataset, subset, split), numbers, mode=mode, nulls=nulls, strip=strip)
        return name_labels(rendered, self.jinja, table) if rendered.unfit else rendered


def draw_key(origin: Origin, template: str) -> tuple[object, ...]:
    """Return what the random draws of a row depend on."""
    return (origin.dataset, origin.subset, origin.split, template, origin.row)


def rename_hyphens(row: Mapping[str, object]) -> dict[str, object]:
    """Return the row with ``_`` for ``-`` in column names, which Jinja could not name; a later column wins."""
    if any("-" in key for key in row):
        return {key.replace("-", "_"): value for key, value in row.items()}
    return dict(row)


def explain(error: BaseException) -> str:
    """Return what went wrong in one line: kind and message, of syntax with its line."""
    text = " ".join(str(error).split())
    if isinstance(error, jinja2.TemplateSyntaxError):
        text = f"line {error.lineno}: {' '.join((error.message or '').split())}"
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
