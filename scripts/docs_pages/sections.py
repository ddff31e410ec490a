"""The texts that the search of the site looks through: of each section, key, option and variable of built pages."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

__all__ = ["sections_of", "write_sections"]

_HEADINGS = {f"h{level}" for level in range(1, 7)}
_SILENT = {"script", "style", "svg", "nav", "button"}
_BLOCKS = {"p", "li", "td", "th", "dt", "dd", "pre", "div", "tr", "br", *_HEADINGS}
_WEIGHTS = {"project/changelog": 0.3, "project/": 0.6, "decisions": 0.6, "performance": 0.7, "architecture": 0.6}
"""Pages about the project are rarely what a reader looks for."""


class _Article(HTMLParser):
    """The sections of a page: title, anchor and text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.sections: list[list[str]] = []
        self._anchor = ""
        self._inside = 0
        self._silent: list[str] = []
        self._title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a section at a heading, or at the name of a key, an option, a variable or a function."""
        given = {name: value or "" for name, value in attrs}
        if tag == "article":
            self._inside += 1
        if not self._inside:
            return
        if tag in _SILENT or "headerlink" in given.get("class", ""):
            self._silent.append(tag)
        if tag == "section":
            self._anchor = given.get("id", "")
        if tag in _HEADINGS:
            self._begin(self._anchor)
        elif tag == "dt" and given.get("id"):
            self._begin(given["id"])
        elif tag in _BLOCKS:
            self._add(" ")

    def handle_endtag(self, tag: str) -> None:
        """End a title, or what is not read."""
        if self._silent and self._silent[-1] == tag:
            self._silent.pop()
        if tag == "article":
            self._inside -= 1
        if tag in _HEADINGS or tag == "dt":
            self._title = False
        elif tag in _BLOCKS:
            self._add(" ")

    def handle_data(self, data: str) -> None:
        """Take the text."""
        if not self._silent:
            self._add(data)

    def _begin(self, anchor: str) -> None:
        self.sections.append(["", anchor, ""])
        self._title = True

    def _add(self, text: str) -> None:
        if self._inside and self.sections:
            self.sections[-1][0 if self._title else 2] += text


def sections_of(name: str, html: str) -> list[dict[str, object]]:
    """Return the sections of a page, without those that have no text below their title."""
    article = _Article()
    article.feed(html)
    weight = next((value for prefix, value in _WEIGHTS.items() if name.startswith(prefix)), 1.0)
    page = " ".join(article.sections[0][0].split()) if article.sections else ""
    found: list[dict[str, object]] = []
    for title, anchor, text in article.sections:
        plain = " ".join(text.split())
        if plain:
            name_only = "xmtf." in title and "(" in title  # of a function, without its arguments
            link = f"{name}.html" + (f"#{anchor}" if anchor else "")
            found.append(
                {
                    "title": " ".join((title.partition("(")[0] if name_only else title).split()),
                    "page": page,
                    "link": link,
                    "text": plain,
                    "weight": weight,
                }
            )
    return found


def write_sections(site: Path) -> int:
    """Write ``_static/sections.js`` of a built site and return the number of sections."""
    found: list[dict[str, object]] = []
    for path in sorted(site.rglob("*.html")):
        name = path.relative_to(site).with_suffix("").as_posix()
        if name not in ("search", "genindex", "py-modindex"):
            found += sections_of(name, path.read_text(encoding="utf-8"))
    text = json.dumps(found, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    (site / "_static" / "sections.js").write_text(f"window.SITE_SECTIONS={text};\n", encoding="utf-8")
    return len(found)
