"""Templates saved into their files: what was not touched keeps its bytes, and what changed on disk is never lost."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from xmtf.errors import ConfigError, TemplateError
from xmtf.files import atomic_path
from xmtf.languages.codes import normalize_language
from xmtf.studio.browse import KeyRequest
from xmtf.studio.interface.browsing import (
    Conflict,
    DeleteRequest,
    Difference,
    Draft,
    Fault,
    KeepRequest,
    Kept,
    Mine,
    Saved,
    SaveRequest,
    Theirs,
)
from xmtf.studio.place import Served
from xmtf.studio.session import Session
from xmtf.studio.stored import Snapshot, parse
from xmtf.templates import Template
from xmtf.templates.files.editing import TemplateEditor, Value

__all__ = ["ConflictError", "delete", "difference", "keep", "save", "write"]

_MOST_KEPT = 1000


class ConflictError(TemplateError):
    """A file changed on disk since it was seen; carries both versions."""

    code = "studio-conflict"
    remedy = "Reload the file: it was changed since it was opened."

    def __init__(self, conflict: Conflict) -> None:
        super().__init__(conflict.error.message)
        self.conflict = conflict


Edit = Callable[[Snapshot], bytes]
"""Makes the bytes of a file with a change out of a version of it."""


def write(session: Session, served: Served, version: str, edit: Edit) -> Snapshot:
    """Change a file, if it still is the version that was seen.

    Args:
        session: The session.
        served: The file.
        version: What was seen.
        edit: The change.

    Raises:
        ConfigError: The file may not be written.
        ConflictError: It has another version by now.
        TemplateError: The change is not possible.
    """
    if served.read_only:
        raise ConfigError(f"{served.key}: {served.read_only}")
    with session.stored.writing:
        now = session.stored.now(served)
        if now.version != version:
            base = session.stored.seen(served.key, version)
            raise ConflictError(_conflict(served, now, edit(base or now)))
        data = edit(now)
        if data != now.data or served.path != served.target:
            served.target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(served.target) as temporary:
                temporary.write_bytes(data)
        return session.stored.now(served)


def _conflict(served: Served, now: Snapshot, mine: bytes) -> Conflict:
    theirs, text = (data.decode("utf-8-sig") for data in (now.data, mine))
    return Conflict(
        error=Fault(code="conflict", message=f"{served.path} changed on disk since it was read; nothing was written"),
        theirs=Theirs(version=now.version, text=theirs),
        mine=Mine(text=text),
        diff=_diff(theirs, text, f"{served.path.name} on disk", f"{served.path.name} as it would be saved"),
    )


def _diff(before: str, after: str, first: str, second: str) -> str:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), first, second, lineterm="")
    return "\n".join(lines)


def save(session: Session, request: SaveRequest) -> Saved:
    """Save a template."""
    served = session.place.served(request.key)
    draft = request.template
    if not draft.name.strip():
        raise TemplateError("a template needs a name")
    saved: list[str] = []

    def edit(snapshot: Snapshot) -> bytes:
        data, name = _with_draft(served, snapshot, request.id, draft)
        saved[:] = [name]
        return data

    snapshot = write(session, served, request.version, edit)
    number = snapshot.number(saved[0])
    return Saved(version=snapshot.version, id=saved[0], line=snapshot.file.lines[number])


def _with_draft(served: Served, snapshot: Snapshot, name: str | None, draft: Draft) -> tuple[bytes, str]:
    """Return a file with a template as a draft says it, and the id that the template has then."""
    editor = _editor(served, snapshot)
    number = snapshot.number(name) if name is not None else len(snapshot.ids)
    before = snapshot.file.templates[number] if name is not None else Template(name=draft.name, jinja="")
    after = _changed(before, draft)
    _check_name(snapshot, number, after)
    if name is None:
        editor.add(replace(after, id=""))
    else:
        editor.set(number, _values(snapshot, number, before, after))
    data = editor.text().encode()
    found = parse(data, served.path)
    _verify(served, snapshot, found.templates, number, after)
    ids = Snapshot.of(served.key, data, found).ids
    return data, ids[number]


def _changed(before: Template, draft: Draft) -> Template:
    language = draft.language or next(iter(draft.metadata.languages), "") or before.language
    return replace(
        before,
        name=draft.name.strip(),
        jinja=draft.jinja,
        answer_choices=draft.answer_choices,
        language=normalize_language(language, "language"),
        metrics=tuple(draft.metadata.metrics),
        original_task=draft.metadata.original_task,
        choices_in_prompt=draft.metadata.choices_in_prompt,
        reference=draft.reference,
    )


def _check_name(snapshot: Snapshot, number: int, after: Template) -> None:
    for place, other in enumerate(snapshot.file.templates):
        if place != number and other.name == after.name:
            raise TemplateError(
                f"{snapshot.key}: another template is already called {after.name!r}; give it another name"
            )


def _values(snapshot: Snapshot, number: int, before: Template, after: Template) -> dict[str, Value]:
    """Return the fields of the file that differ."""
    texts = ("name", "jinja", "answer_choices", "reference", "original_task", "choices_in_prompt")
    values: dict[str, Value] = {
        key: getattr(after, key) for key in texts if getattr(after, key) != getattr(before, key)
    }
    if after.metrics != before.metrics:
        values["metrics"] = list(after.metrics)
    if after.language != before.language:
        if before.translated is not None:
            raise TemplateError(f"{before.name!r} is a translation into {before.language}; translate it again instead")
        values["language" if not snapshot.file.keys[number] else "languages"] = (
            after.language if not snapshot.file.keys[number] else [after.language]
        )
    return values


def _verify(
    served: Served, snapshot: Snapshot, found: tuple[Template, ...], number: int, after: Template | None
) -> None:
    """Refuse a change that would not be read back as it is meant, or would change another template."""
    expected = list(snapshot.file.templates)
    if after is None:
        del expected[number]
    else:
        expected[number : number + 1] = [after]
    for place, template in enumerate(expected):
        if place >= len(found) or not _reads_same(found[place], template):
            raise TemplateError(
                f"{served.path}: the template {template.name!r} cannot be saved without changing how it is read; edit "
                f"the file by hand"
            )
    if len(found) != len(expected):
        raise TemplateError(f"{served.path}: cannot be changed without losing templates; edit it by hand")


def _reads_same(found: Template, expected: Template) -> bool:
    return replace(found, id="", told_by="", translation="none") == replace(
        expected, id="", told_by="", translation="none"
    )


def delete(session: Session, request: DeleteRequest) -> Saved:
    """Take a template out of its file."""
    served = session.place.served(request.key)

    def edit(snapshot: Snapshot) -> bytes:
        number = snapshot.number(request.id)
        editor = _editor(served, snapshot)
        editor.remove(number)
        data = editor.text().encode()
        _verify(served, snapshot, parse(data, served.path).templates, number, None)
        return data

    return Saved(version=write(session, served, request.version, edit).version, id=None)


def _editor(served: Served, snapshot: Snapshot) -> TemplateEditor:
    return TemplateEditor(snapshot.data.decode("utf-8"), str(served.path))


def keep(session: Session, request: KeepRequest) -> Kept:
    """Write a file next to one that changed on disk, under a name that is not there yet."""
    served = session.place.served(request.key)
    if served.read_only:
        raise ConfigError(f"{served.key}: {served.read_only}")
    data = request.text.encode()
    parse(data, served.target)
    for number in range(1, _MOST_KEPT):
        path = served.target.with_name(f"{served.target.stem}.mine-{number}{served.target.suffix}")
        if _write_new(path, data):
            return Kept(file=str(path))
    raise ConfigError(f"{served.target.parent}: contains {_MOST_KEPT - 1} kept files; clean them up first")


def _write_new(path: Path, data: bytes) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("xb") as file:
            file.write(data)
    except FileExistsError:
        return False
    return True


def difference(session: Session, request: KeyRequest) -> Difference:
    """Return what changed in a file since the studio first read it."""
    served = session.place.served(request.key)
    first = session.stored.first(served).decode("utf-8-sig")
    now = session.stored.now(served).data.decode("utf-8-sig")
    name = served.path.name
    return Difference(diff=_diff(first, now, f"{name} when the studio opened it", f"{name} now"))
