"""Notebooks as pages: text and code of the cells, and their outputs where they were executed."""

from __future__ import annotations

import json
from pathlib import Path

from docs_pages.markdown import listing

__all__ = ["notebook_pages"]


def notebook_pages(folder: Path) -> dict[str, str]:
    """Return name -> page of each notebook."""
    return {path.stem: _page(path) for path in sorted(folder.glob("*.ipynb"))}


def _page(path: Path) -> str:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join(
        "".join(cell["source"]) if cell["cell_type"] == "markdown" else listing("".join(cell["source"]), "python")
        for cell in cells
    )
