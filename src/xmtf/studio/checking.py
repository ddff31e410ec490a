"""What lint says: of a source as it is typed, and of whole files for the overview."""

from __future__ import annotations

import time
from collections.abc import Mapping

from xmtf.errors import UserError
from xmtf.studio.browse import Nothing, collection
from xmtf.studio.interface.browsing import Collection, Finding, Findings, LintRequest
from xmtf.studio.look import drafted
from xmtf.studio.place import Served
from xmtf.studio.process.jobs import to_bytes
from xmtf.studio.process.worker import WorkerError
from xmtf.studio.rows import split_of
from xmtf.studio.session import Session

__all__ = ["lint", "overview"]

_ROWS = 50
"""Rows that a source is tried on as it is typed."""
_PATIENCE_S = 5.0
"""Seconds after which an overview answers with what it has."""


def lint(session: Session, request: LintRequest) -> Findings:
    """Check a source; where the rows are available, also what it makes of the first of them."""
    served = session.place.served(request.key)
    snapshot = session.stored.now(served)
    templates = list(snapshot.file.templates)
    template = drafted(snapshot, request.template, request.draft)
    number = len(templates) if request.template is None else snapshot.number(request.template)
    templates[number : number + 1] = [template]
    try:
        found = session.worker.ask("lint", templates, number, served.key, [], _rows(session, served, request))
    except WorkerError as error:
        fault = Finding(severity="error", code="limit", message=str(error), line=error.line, template=template.name)
        return Findings(findings=[fault])
    return Findings(findings=[Finding(**each) for each in found["findings"]])


def _rows(session: Session, served: Served, request: LintRequest) -> bytes | None:
    task = served.task(request.task)
    if task is None:
        return None
    try:
        split = split_of(task, request.split)
        return to_bytes(session.rows.data(task, split).table.slice(0, _ROWS))
    except UserError:
        return None  # the page shows why there are no rows; a source can be checked without


def overview(session: Session, request: Nothing) -> Collection:
    """List what is served, with what lint finds in each file.

    Files are checked one after the other, for a few seconds a request; what is found is remembered until they change.
    """
    began, pending = time.monotonic(), 0
    session.look_again()
    for served in session.place.files.values():
        try:
            version = session.stored.now(served).version
            if (served.key, version) in session.counted:
                continue
            if time.monotonic() - began > _PATIENCE_S:
                pending += 1
                continue
            session.counted[served.key, version] = _counts(session, served)
        except UserError:
            continue  # stands in the entry as its problem
    return collection(session, request, pending)


def _counts(session: Session, served: Served) -> Mapping[str, int]:
    place = session.place
    if place.kind != "folder":
        found = session.checker.ask("count", {"": served.path}, "")
    else:
        dataset = served.key.rpartition("/")[0] or served.key
        files = {key: each.path for key, each in place.files.items() if (key.rpartition("/")[0] or key) == dataset}
        found = session.checker.ask("count", files, served.key)
    counts: Mapping[str, int] = found["counts"]
    return counts
