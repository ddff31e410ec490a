"""``xmtf init``: a folder with a recipe, templates and rows to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xmtf.cli.terminal.options import PrintJson
from xmtf.cli.terminal.printing import print_files, print_text
from xmtf.recipe.starting import start_folder

__all__ = ["init"]


def init(
    folder: Annotated[Path, typer.Argument(help="A new folder, or an empty one.")], as_json: PrintJson = False
) -> None:
    """Write a starter recipe, templates and rows into a new folder.

    They run unchanged, in a few seconds. The folder must be new or empty.

    Example: xmtf init mine
    """
    print_files(start_folder(folder), as_json=as_json)
    print_text(f"run it: cd {folder} && xmtf run recipe.yaml", err=True)
