"""``xmtf watch``: runs in the browser while they are under way."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xmtf.cli.terminal.printing import print_text
from xmtf.extras import EXTRAS, require_extra
from xmtf.progress import say

__all__ = ["watch"]

_PORT = 8766


def watch(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN", help="Folders of runs, results or mixtures, which may not exist yet."),
    ],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: any free port.")] = _PORT,
    host: Annotated[str, typer.Option(help="Address to listen on; a warning is printed unless it is local.")] = (
        "127.0.0.1"
    ),
) -> None:
    """Watch runs in the browser.

    Loss, validation, speed, memory, log and answers as they come, several runs side by side.

    The folders are read only. Open the address that is printed; Ctrl-C ends it.

    Example: xmtf watch runs/demo
    Example: xmtf watch runs/demo runs/demo-200 --port 0
    """
    require_extra(EXTRAS["studio"])
    from xmtf.watch.start import start

    start(runs, host=host, port=port, show=print_text)
    say("stopped")
