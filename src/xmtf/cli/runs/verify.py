"""``xmtf verify``: whether a run folder still holds what was written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xmtf.cli.terminal.printing import print_json, print_text
from xmtf.runs.verify import verify as verify_folder

__all__ = ["verify"]


def verify(
    folder: Annotated[Path, typer.Argument(help="Folder of a run, or of one of its stages, such as runs/demo.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check every file of a run against the checksums that its stages recorded.

    Lists each missing or changed file and the stage that wrote it; the exit code is then 1.

    Example: xmtf verify runs/demo
    """
    found = verify_folder(folder)
    if as_json:
        wrong = [{"path": str(one.path), "stage": one.stage, "what": one.what} for one in found.damages]
        print_json({"stages": found.stages, "files": found.files, "damages": wrong}, indented=True)
    else:
        for damage in found.damages:
            print_text(str(damage))
        if not found.damages:
            print_text(f"{folder}: {found.files:,} files of {found.stages} stages match their checksums")
    if found.damages:
        raise typer.Exit(1)
