"""The studio from its command to its end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from xmtf.execution import say, warn
from xmtf.loopback.address import listen
from xmtf.loopback.serve import serve
from xmtf.studio.app import build_app
from xmtf.studio.place import open_place
from xmtf.studio.rows import RowReader
from xmtf.studio.session import Options, Session
from xmtf.tasks import Task
from xmtf.templates.files.collection import BUILTIN

__all__ = ["Options", "start"]


def start(
    name: str,
    tasks: Mapping[str, Task],
    options: Options,
    *,
    host: str,
    port: int,
    out: Path | None,
    task: str | None,
    show: Callable[[str], None],
) -> None:
    """Serve until a signal ends it.

    Args:
        name: What is served, as :func:`xmtf.studio.place.open_place` takes it.
        tasks: The catalogue.
        options: What a browser may choose from.
        host: Address to listen at.
        port: Port; 0: any free port.
        out: Folder that changes go to, or None.
        task: Task whose rows are shown, or None.
        show: Given the address once it answers.

    Raises:
        UserError: There is no such place, a tokenizer or the glossary cannot be read, or the port is taken.
    """
    look = partial(open_place, name, tasks, out=out, task=task, tell=_once())
    place = look()
    own = place.kind == "folder" and place.root != BUILTIN.resolve()  # ours do not change
    session = Session(place, options, rows=RowReader(offline=options.offline), reopen=look if own else None)
    session.check()
    opened, address = listen(host, port)
    if not address.is_loopback:
        warn(
            f"warning: {host} can be reached from other machines, unencrypted; anyone who has the address with its "
            f"token can change the templates"
        )

    def ready() -> None:
        files = f"{len(place.files)} file{'s' if len(place.files) != 1 else ''}"
        say(f"{place.name or 'our collections'}: {files} of templates at {place.root}")
        show(address.url)

    with contextlib.closing(session):
        serve(build_app(session), opened, address, ready)


def _once() -> Callable[[str], None]:
    """Return what says each line once."""
    said: set[str] = set()

    def tell(line: str) -> None:
        if line not in said:
            said.add(line)
            warn(line)

    return tell
