"""``xmtf watch`` from its command to its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from xmtf.loopback.address import listen
from xmtf.loopback.serve import serve
from xmtf.progress import say, warn
from xmtf.watch.app import build_app
from xmtf.watch.watcher import Watcher, watch_folders

__all__ = ["start"]


def start(folders: Sequence[Path], *, host: str, port: int, show: Callable[[str], None]) -> None:
    """Serve until a signal ends it.

    Args:
        folders: Of runs.
        host: Address to listen at.
        port: Port; 0: any free port.
        show: Given the address once it answers.

    Raises:
        UserError: Something is not a folder, or the port is taken.
    """
    runs = watch_folders(folders)
    opened, address = listen(host, port)
    if not address.is_loopback:
        warn(
            f"warning: {host} can be reached from other machines, unencrypted; anyone who has the address with its "
            "token can read the contents of these folders"
        )
    for run in runs:
        if not run.path.is_dir():
            say(f"{run.path}: does not exist yet; the page shows it as soon as it does")
    watcher = Watcher(runs)
    serve(build_app(watcher), opened, address, lambda: show(address.url), stopping=watcher.stop.set)
