"""Checks the built site as a reader without a network has it: ``python -m docs_pages.links docs/_build/html``."""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["faults"]

_LOADED = {"script": "src", "img": "src", "link": "href", "source": "src", "iframe": "src"}


class _Page(HTMLParser):
    """Anchors, links and figures of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.figures: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take what a tag names."""
        given = {name: value or "" for name, value in attrs}
        self.anchors.update(given[name] for name in ("id", "name") if name in given)
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        if tag in _LOADED and given.get(_LOADED[tag]) and given.get("rel") != "canonical":
            self.loaded.add(given[_LOADED[tag]])
        if tag == "img":
            self.figures.append((given.get("src", ""), given.get("alt", "")))


def faults(site: Path) -> list[str]:
    """Return what is wrong: links that lead nowhere, what is loaded from elsewhere, figures without a text."""
    pages = {path.resolve(): _read(path) for path in sorted(site.rglob("*.html"))}
    found = [] if pages else [f"{site} has no pages"]
    for path, page in pages.items():
        name = path.relative_to(site.resolve()).as_posix()
        found += [f"{name}: {link} leads nowhere" for link in sorted(page.links) if not _leads(path, link, pages)]
        for source in sorted(page.loaded):
            if urlsplit(source).netloc:
                found.append(f"{name}: loads {source} from elsewhere")
            elif not urlsplit(source).scheme and not (path.parent / unquote(urlsplit(source).path)).exists():
                found.append(f"{name}: {source} is not there")
        found += [
            f"{name}: figure {source} has no alternative text" for source, text in page.figures if not text.strip()
        ]
    return found


def _read(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def _leads(path: Path, link: str, pages: dict[Path, _Page]) -> bool:
    """Tell whether a link leads to a file, and to an anchor in it; addresses elsewhere are not fetched."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return True
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target not in pages:
        return target.is_file()
    return not parts.fragment or unquote(parts.fragment) in pages[target].anchors


if __name__ == "__main__":
    wrong = faults(Path(sys.argv[1]))
    print("\n".join(wrong) if wrong else f"every link in {sys.argv[1]} leads somewhere")
    sys.exit(1 if wrong else 0)
