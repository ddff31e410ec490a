"""What there is to see: files of templates, their tasks, languages and states; the templates of a file; rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from pydantic import Field

from xmtf import __version__
from xmtf.errors import SourceError, TemplateError
from xmtf.languages.codes import get_language
from xmtf.studio.interface.browsing import (
    MAX_PAGE,
    Collection,
    Entry,
    FindingCounts,
    Health,
    LanguageCount,
    Metadata,
    Rows,
    Sent,
    TaskName,
    TemplateFields,
    Templates,
    WholeRow,
)
from xmtf.studio.place import Served
from xmtf.studio.session import Session
from xmtf.studio.stored import Snapshot
from xmtf.templates import Template

__all__ = ["KeyRequest", "RowRequest", "RowsRequest", "collection", "entry_of", "health", "row", "rows", "templates"]

ORIGINAL = "original"


class Nothing(Sent):
    """A request without parameters."""


class KeyRequest(Sent):
    """A file of templates."""

    key: str


class RowsRequest(Sent):
    """A page of rows."""

    key: str
    task: str | None = None
    split: str | None = None
    offset: int = Field(default=0, ge=0)
    limit: int = Field(default=50, ge=1, le=MAX_PAGE)
    query: str = Field(default="", max_length=1000)


class RowRequest(Sent):
    """One row."""

    key: str
    task: str | None = None
    split: str | None = None
    index: int = Field(ge=0)


def health(session: Session, request: Nothing) -> Health:
    """Report that the server answers."""
    return Health(version=__version__)


def collection(session: Session, request: Nothing, pending: int = 0) -> Collection:
    """List what is served."""
    session.look_again()
    place, options = session.place, session.options
    reasons = {served.read_only for served in place.files.values()}
    return Collection(
        name=place.name,
        kind=place.kind,
        root=str(place.root),
        writable="" in reasons,
        read_only_because=None if "" in reasons else next(iter(sorted(reasons))),
        entries=[entry_of(session, served) for served in place.files.values()],
        tokenizers=list(options.tokenizers),
        models=list(options.models),
        engines=list(options.engines),
        reviewer=options.reviewer,
        pending=pending,
    )


def entry_of(session: Session, served: Served) -> Entry:
    """Return what is said of a file."""
    problem, version = None, ""
    found: tuple[Template, ...] = ()
    try:
        snapshot = session.stored.now(served)
        found, version = snapshot.file.templates, snapshot.version
    except TemplateError as error:
        problem = str(error)
    tasks = [
        TaskName(
            id=each.id,
            dataset=each.dataset,
            subset=each.subset,
            cluster=each.cluster,
            language=each.language,
            kind=each.kind,
            here=each.id in served.here,
        )
        for each in served.tasks
    ]
    first = tasks[0] if tasks else None
    counted = session.counted.get((served.key, version))
    return Entry(
        key=served.key,
        subset=first.subset if first is not None and len(tasks) == 1 else "",
        cluster=first.cluster if first is not None else "",
        language=_language(found, first),
        dataset=served.tasks[0].dataset if served.tasks else served.key,
        task=first.id if first is not None else None,
        tasks=tasks,
        file=str(served.path),
        writable=not served.read_only,
        templates=len(found),
        states=dict(Counter(_state(each) or ORIGINAL for each in found)),
        languages=_languages(found),
        findings=FindingCounts(**counted) if counted is not None else None,
        problem=problem,
    )


def _language(found: Iterable[Template], first: TaskName | None) -> str:
    languages = {each.language for each in found if each.translated is None}
    if len(languages) == 1:
        return next(iter(languages))
    return first.language if first is not None else ""


def _state(template: Template) -> str | None:
    return template.translated.state if template.translated is not None else None


def _languages(found: Iterable[Template]) -> list[LanguageCount]:
    by_language: dict[str, Counter[str]] = {}
    for each in found:
        by_language.setdefault(each.language, Counter())[_state(each) or ORIGINAL] += 1
    return [_language_count(code, states) for code, states in sorted(by_language.items())]


def _language_count(code: str, states: Mapping[str, int]) -> LanguageCount:
    language = get_language(code)
    return LanguageCount(
        code=code, name=language.name, rtl=is_rtl(code), templates=sum(states.values()), states=dict(states)
    )


def is_rtl(code: str) -> bool:
    """Whether a language is written from right to left."""
    return get_language(code).script in _RTL


_RTL = {"Arab", "Aran", "Hebr", "Thaa", "Syrc", "Nkoo", "Adlm", "Rohg", "Samr", "Mand"}


def templates(session: Session, request: KeyRequest) -> Templates:
    """Return the templates of a file."""
    served = session.place.served(request.key)
    snapshot = session.stored.now(served)
    return Templates(
        file=str(served.path),
        version=snapshot.version,
        writable=not served.read_only,
        templates=[_fields(snapshot, number) for number in range(len(snapshot.ids))],
    )


def _fields(snapshot: Snapshot, number: int) -> TemplateFields:
    template = snapshot.file.templates[number]
    told = template.translated
    return TemplateFields(
        id=snapshot.ids[number],
        name=template.name,
        language=template.language,
        jinja=template.jinja,
        answer_choices=template.answer_choices,
        metadata=Metadata(
            original_task=template.original_task,
            choices_in_prompt=template.choices_in_prompt,
            metrics=list(template.metrics),
            languages=[template.language],
        ),
        reference=template.reference,
        state=told.state if told is not None else None,
        translated_from=told.original if told is not None else None,
        reviewer=told.reviewer if told is not None else "",
        comment=told.comment if told is not None else "",
        line=snapshot.file.lines[number],
    )


def rows(session: Session, request: RowsRequest) -> Rows:
    """Return a page of the rows of a task."""
    task = session.place.served(request.key).task(request.task)
    return session.rows.page(task, request.split, request.offset, request.limit, request.query)


def row(session: Session, request: RowRequest) -> WholeRow:
    """Return a row whole."""
    task = session.place.served(request.key).task(request.task)
    if task is None:
        raise SourceError(f"{request.key}: no task of the catalogue has these templates, so there are no rows")
    return session.rows.row(task, request.split, request.index)
