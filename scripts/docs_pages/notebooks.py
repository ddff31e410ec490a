"""Notebooks as pages; ``python -m docs_pages.notebooks FROM TO`` executes them, and checks that none has outputs.

The repository keeps notebooks without outputs. Executed copies go to another folder, from which pages take the outputs.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from docs_pages.markdown import listing

__all__ = ["execute", "notebook_pages", "with_outputs"]

EXECUTED = "_build/notebooks"
"""Folder of executed copies, below that of the pages."""
_TIMEOUT_S = 300


def notebook_pages(docs: Path) -> dict[str, str]:
    """Return name -> page of each notebook, and ``index``; with outputs where it was executed as it is now."""
    pages = {}
    for path in sorted((docs / "notebooks").glob("*.ipynb")):
        cells, done = _cells(path), _cells(docs / EXECUTED / path.name)
        if [cell["source"] for cell in done] == [cell["source"] for cell in cells]:
            cells = done
        pages[path.stem] = "\n\n".join(part for cell in cells for part in _parts(cell))
    pages["index"] = (
        "# Notebooks\n\nThey run as they are, in seconds, and CI executes them; the files are in `docs/notebooks/`.\n\n"
        "```{toctree}\n:maxdepth: 1\n\n" + "\n".join(pages) + "\n```\n"
    )
    return pages


def with_outputs(folder: Path) -> list[str]:
    """Return the notebooks that hold outputs or counts of executions: neither belongs into the repository."""
    cells = {path: _cells(path) for path in sorted(folder.glob("*.ipynb"))}
    return [
        path.name
        for path, found in cells.items()
        if any(cell.get("outputs") or cell.get("execution_count") for cell in found)
    ]


def execute(folder: Path, out: Path) -> None:
    """Execute every notebook in an empty folder and write the copies.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell fails.
    """
    import nbformat
    from nbclient import NotebookClient

    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.glob("*.ipynb")):
        start = time.monotonic()
        book = nbformat.read(path, as_version=4)
        with tempfile.TemporaryDirectory() as work:
            NotebookClient(book, timeout=_TIMEOUT_S, resources={"metadata": {"path": work}}).execute()
        nbformat.write(book, out / path.name)
        print(f"{path.name}: {time.monotonic() - start:.0f} s")


def _cells(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    for cell in found:
        cell["source"] = "".join(cell["source"])
    return found


def _parts(cell: dict[str, Any]) -> list[str]:
    """Return the blocks of a cell."""
    if cell["cell_type"] == "markdown":
        return [cell["source"]]
    return [listing(cell["source"], "python"), *(shown for output in cell["outputs"] if (shown := _shown(output)))]


def _shown(output: dict[str, Any]) -> str:
    """Return what a cell printed or returned: a table or a figure where there is one, else its text."""
    if output["output_type"] == "stream":
        return _printed(output["text"]) if output["name"] == "stdout" else ""
    data, about = output["data"], output.get("metadata", {})
    if "image/png" in data:
        alt = about.get("image/png", {}).get("alt") or about.get("alt") or "Figure that the cell above draws"
        picture = data["image/png"].replace("\n", "")
        return f'```{{raw}} html\n<img class="output" alt="{alt}" src="data:image/png;base64,{picture}">\n```'
    if "text/html" in data:
        plain = re.sub(r"<style.*?</style>", "", _text(data["text/html"]), flags=re.DOTALL)
        return f'```{{raw}} html\n<div class="output table-wrapper">{plain}</div>\n```'
    return _printed(data["text/plain"])


def _printed(text: str | list[str]) -> str:
    return f"```{{code-block}} text\n:class: output\n\n{_text(text).rstrip()}\n```\n"


def _text(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "".join(value)


if __name__ == "__main__":
    if dirty := with_outputs(Path(sys.argv[1])):
        sys.exit(f"outputs are not committed: clear those of {', '.join(dirty)}")
    os.environ |= {"XMTF_PROGRESS": "off", "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    execute(Path(sys.argv[1]), Path(sys.argv[2]))
