"""The interface between page and server: what is sent, what is answered, as types; its schema is in the docs.

Whole numbers of rows travel inside texts, so that none loses digits in a browser.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

__all__ = [
    "MAX_PAGE",
    "MAX_RENDERED",
    "MAX_SOURCE",
    "Answered",
    "Cell",
    "Collection",
    "Column",
    "Conflict",
    "DeleteRequest",
    "Difference",
    "Draft",
    "Entry",
    "ErrorBody",
    "Fault",
    "Finding",
    "FindingCounts",
    "Findings",
    "Health",
    "KeepRequest",
    "Kept",
    "LanguageCount",
    "LintRequest",
    "Metadata",
    "Mine",
    "RenderRequest",
    "Rendering",
    "Renderings",
    "Row",
    "Rows",
    "SaveRequest",
    "Saved",
    "Sent",
    "TaskName",
    "TemplateFields",
    "Templates",
    "Theirs",
    "TokenCounts",
    "WholeRow",
]

MAX_SOURCE = 200_000
"""Characters of a source that a browser may send."""
MAX_PAGE = 200
"""Rows of one answer."""
MAX_RENDERED = 50
"""Rows rendered at once."""


class Sent(BaseModel):
    """What the page sends: no key that is not known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Answered(BaseModel):
    """What the server answers."""

    model_config = ConfigDict(frozen=True)


class Fault(Answered):
    """What went wrong, in one line."""

    code: str
    message: str
    line: int | None = None
    """Line of the source, from 1, where there is one."""


class ErrorBody(Answered):
    """Body of every answer that is no success."""

    error: Fault


class Health(Answered):
    """That the server answers."""

    version: str


class TaskName(Answered):
    """A task of the catalogue whose rows a file's templates are for."""

    id: str
    dataset: str
    subset: str
    cluster: str
    language: str
    kind: str
    here: bool
    """Whether its rows are on this machine."""


class LanguageCount(Answered):
    """The templates of a file in one language."""

    code: str
    name: str
    rtl: bool
    templates: int
    states: dict[str, int]


class FindingCounts(Answered):
    """What lint found in a file, counted."""

    error: int
    warning: int
    note: int


class Entry(Answered):
    """One file of templates."""

    key: str
    subset: str
    cluster: str
    language: str
    dataset: str
    task: str | None
    """First of its tasks."""
    tasks: list[TaskName]
    file: str
    writable: bool
    templates: int
    states: dict[str, int]
    """``original``, and each state of translations, counted."""
    languages: list[LanguageCount]
    findings: FindingCounts | None
    """None where lint has not looked yet."""
    problem: str | None = None
    """Why the file cannot be read."""


class Collection(Answered):
    """What is served."""

    name: str
    kind: Literal["task", "folder", "file"]
    root: str
    writable: bool
    read_only_because: str | None
    entries: list[Entry]
    tokenizers: list[str]
    models: list[str]
    engines: list[str]
    reviewer: str
    pending: int = 0
    """Of an overview: files that lint has not looked at yet; ask again."""


class Column(Answered):
    """A column of the rows."""

    name: str
    type: str


class Cell(Answered):
    """A value as text; ``long`` where it was cut."""

    text: str
    long: bool = False


class Row(Answered):
    """A row; ``index`` names it in other requests."""

    index: int
    cells: list[Cell]


class Rows(Answered):
    """One page of rows."""

    splits: list[str]
    split: str | None
    columns: list[Column]
    total: int
    matched: int
    offset: int
    rows: list[Row]
    message: str | None
    """Why there are no rows, and what to do."""


class WholeRow(Answered):
    """A row by column; whole numbers beyond 2**53 are texts."""

    index: int
    row: dict[str, JsonValue]


class Metadata(Sent):
    """What promptsource keeps of a template alongside its source."""

    original_task: bool | None = None
    choices_in_prompt: bool | None = None
    metrics: list[str] = Field(default_factory=list, max_length=50)
    languages: list[str] = Field(default_factory=list, max_length=50)


class TemplateFields(Answered):
    """A template of a file."""

    id: str
    name: str
    language: str
    jinja: str
    answer_choices: str | None
    metadata: Metadata
    reference: str
    state: str | None
    """Of a translation; None for all others."""
    translated_from: str | None
    reviewer: str
    comment: str
    line: int
    """Of the file, from 1."""


class Templates(Answered):
    """A file of templates; ``version`` changes with its bytes."""

    file: str
    version: str
    writable: bool
    templates: list[TemplateFields]


class Draft(Sent):
    """A source that may not be saved yet."""

    jinja: str = Field(max_length=MAX_SOURCE)
    answer_choices: str | None = Field(default=None, max_length=MAX_SOURCE)
    metadata: Metadata = Metadata()
    name: str = Field(default="", max_length=500)
    language: str = Field(default="", max_length=50)
    reference: str = Field(default="", max_length=5000)


class RenderRequest(Sent):
    """Rows to render under a template, a draft, or (with neither) all templates of a file."""

    key: str
    task: str | None = None
    split: str | None = None
    rows: list[int] = Field(min_length=1, max_length=MAX_RENDERED)
    template: str | None = None
    draft: Draft | None = None
    tokenizer: str | None = None


class TokenCounts(Answered):
    """Tokens of a rendered row."""

    inputs: int
    targets: int


class Rendering(Answered):
    """A row under a template, or why it makes no example."""

    row: int
    template: str | None
    name: str
    language: str
    inputs: str | None
    targets: list[str]
    choices: list[str] | None
    target_index: int | None
    tokens: TokenCounts | None
    cut: bool
    """Whether a text is too long to be shown whole."""
    dropped: str | None
    remedy: str | None


class Renderings(Answered):
    """What was rendered; ``error`` where a source does not compile, or asked for too much."""

    renderings: list[Rendering]
    error: Fault | None


class LintRequest(Sent):
    """A source to check; ``template`` names the one that it stands for."""

    key: str
    template: str | None = None
    draft: Draft
    task: str | None = None
    split: str | None = None


class Finding(Answered):
    """One thing that lint found."""

    severity: Literal["error", "warning", "note"]
    code: str
    message: str
    line: int | None
    """Line of ``jinja``, from 1."""
    template: str


class Findings(Answered):
    """What lint found."""

    findings: list[Finding]


class SaveRequest(Sent):
    """A template to save into the version of a file that was seen; without an id it is a new one."""

    key: str
    version: str
    id: str | None = None
    template: Draft
    force: bool = False
    """Whether the person has seen a difference; a version that is no longer the file's is refused all the same."""


class DeleteRequest(Sent):
    """A template to take out of a file."""

    key: str
    version: str
    id: str


class Saved(Answered):
    """What was saved: the file's version now, and the template's id."""

    version: str
    id: str | None
    line: int | None = None


class Theirs(Answered):
    """A file as it is on disk."""

    version: str
    text: str


class Mine(Answered):
    """A file as saving would have written it."""

    text: str


class Conflict(Answered):
    """A file changed on disk since it was seen; nothing was written."""

    error: Fault
    theirs: Theirs
    mine: Mine
    diff: str
    """From theirs to mine."""


class KeepRequest(Sent):
    """A file to write next to one that changed on disk."""

    key: str
    text: str = Field(max_length=8_000_000)


class Kept(Answered):
    """Where it was written."""

    file: str


class Difference(Answered):
    """What changed in a file since the studio first read it, as a unified diff."""

    diff: str
