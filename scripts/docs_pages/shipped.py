"""Pages of files: recipes and the example, which the package has, and texts at the top of the repository."""

from __future__ import annotations

import re
from pathlib import Path

from docs_pages.markdown import listing

__all__ = ["PROJECT", "project_pages", "shipped_anchor", "shipped_page"]

ROOT = Path(__file__).parents[2]
_LANGUAGES = {".yaml": "yaml", ".jsonl": "json"}
_LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
PROJECT = {"changelog": "CHANGELOG.md", "contributing": "CONTRIBUTING.md", "security": "SECURITY.md"}


def shipped_anchor(path: str) -> str:
    """Return the anchor of a file or folder, such as ``examples/own-data``, on the page of shipped files."""
    return "shipped-" + re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-")


def shipped_page() -> str:
    """Return the page: every recipe, and the files of every example."""
    parts = [
        "# Recipes and examples that ship\n\n`xmtf recipe list` lists them, `xmtf recipe copy NAME` copies one. Each "
        "value is explained in [every key of a recipe](recipe/index.md).\n"
    ]
    for folder in ("recipes", "recipes/smoke", "recipes/data", "recipes/train", "examples/own-data"):
        parts.append(f"({shipped_anchor(folder)})=\n## {folder}\n")
        for path in sorted((ROOT / folder).iterdir()):
            if path.suffix in _LANGUAGES:
                name = path.relative_to(ROOT).as_posix()
                text = path.read_text(encoding="utf-8")
                parts.append(f"({shipped_anchor(name)})=\n### {name}\n\n{listing(text, _LANGUAGES[path.suffix])}")
    return "\n".join(parts)


def project_pages() -> dict[str, str]:
    """Return name -> text of each page about the project, its links as seen from ``docs/project``."""
    pages = {}
    for name, file in PROJECT.items():
        if (ROOT / file).is_file():
            text = (ROOT / file).read_text(encoding="utf-8")
            pages[name] = _LINK.sub(_seen_from_docs, text)
    return pages


def _seen_from_docs(match: re.Match[str]) -> str:
    """Return a link of a text at the top as seen from ``docs/project``."""
    target = match[2]
    if target.startswith(("http://", "https://", "mailto:", "#")):
        return match[0]
    if target.startswith("docs/"):
        return f"[{match[1]}](../{target.removeprefix('docs/')})"
    return f"[{match[1]}](../../{target})"
