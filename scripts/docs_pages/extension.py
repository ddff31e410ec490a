"""What the build of the site does beyond Sphinx: pages from code, languages of blocks, checks of figures and links."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from urllib.parse import urlsplit

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

from docs_pages.environment import environment_page, exit_code_page
from docs_pages.formats import format_page
from docs_pages.languages import language_of
from docs_pages.notebooks import notebook_pages
from docs_pages.python_names import python_page
from docs_pages.recipe_keys import recipe_pages
from docs_pages.sections import write_sections
from docs_pages.shipped import PROJECT, project_pages, shipped_anchor, shipped_page
from docs_pages.verbs import verb_pages

__all__ = ["setup"]

LOG = logging.getLogger(__name__)
_OUTSIDE = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+[^)\s]+)\)")
_HOST = re.compile(r"^(?:[a-z0-9-]+\.)+[a-z]{2,}(?::\d+)?$|^(?:localhost|127\.0\.0\.1)(?::\d+)?$")


def setup(app: Sphinx) -> dict[str, object]:
    """Register the steps."""
    app.connect("config-inited", lambda app, config: _write_pages(Path(app.srcdir)))
    app.connect("source-read", _link_shipped_files)
    app.connect("doctree-read", _name_languages)
    app.connect("doctree-read", _check_figures)
    app.connect("doctree-read", _check_addresses)
    app.connect("build-finished", _write_sections)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _write_pages(docs: Path) -> None:
    """Write the pages that are made from code; those that are unchanged keep their time."""
    pages = {f"reference/commands/{name}": text for name, text in verb_pages().items()}
    pages |= {f"reference/recipe/{name}": text for name, text in recipe_pages().items()}
    pages |= {f"project/{name}": text for name, text in project_pages().items()}
    pages |= {f"notebooks/{name}": text for name, text in notebook_pages(docs).items()}
    pages |= {
        "reference/formats": format_page(),
        "reference/environment": environment_page(),
        "reference/exit-codes": exit_code_page(),
        "reference/python-interface": python_page(),
        "reference/shipped": shipped_page(),
    }
    wanted = {docs / f"{name}.md" for name in pages}
    for folder in ("reference", "project"):
        for path in (docs / folder).rglob("*.md"):
            if path not in wanted:
                path.unlink()
    for name, text in pages.items():
        path = docs / f"{name}.md"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


def _write_sections(app: Sphinx, failure: Exception | None) -> None:
    """Write what the search looks through."""
    if failure is None and app.builder.format == "html":
        write_sections(Path(app.outdir))


def _link_shipped_files(app: Sphinx, docname: str, content: list[str]) -> None:
    """Lead links to files outside to the pages that show recipes, examples and the changelog; others become text."""
    folder = posixpath.dirname(docname)

    def instead(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join("docs", folder, match[2].partition("#")[0]))
        if target.startswith("docs/"):
            return match[0]
        if target in PROJECT.values():
            page = f"project/{Path(target).stem.lower()}.md"
        elif target.startswith(("examples/", "recipes/")):
            page = f"reference/shipped.md#{shipped_anchor(target)}"
        else:
            return f"{match[1]} (`{target}`)"
        return f"[{match[1]}]({posixpath.relpath(page, folder or '.')})"

    content[0] = _OUTSIDE.sub(instead, content[0])


def _name_languages(app: Sphinx, doctree: nodes.document) -> None:
    """Highlight blocks that name no language by what they look like; an example ends without its empty line."""
    for block in doctree.findall(nodes.literal_block):
        if block.get("language") == "pycon":
            text = block.astext().rstrip()
            block.rawsource = text
            block[:] = [nodes.Text(text)]
        if block.get("language", "none") in ("none", "default"):
            block["language"] = language_of(block.astext())
            block["force"] = True


def _check_figures(app: Sphinx, doctree: nodes.document) -> None:
    """Warn of a figure without an alternative text; the build makes warnings errors."""
    for image in doctree.findall(nodes.image):
        if len(image.get("alt", "").split()) < 2:
            LOG.warning("figure %s needs an alternative text of several words", image["uri"], location=image)


def _check_addresses(app: Sphinx, doctree: nodes.document) -> None:
    """Warn of an address elsewhere that cannot be right; nothing is fetched."""
    for reference in doctree.findall(nodes.reference):
        address = urlsplit(reference.get("refuri", ""))
        if address.scheme in ("http", "https") and not _HOST.match(address.netloc):
            LOG.warning("%s is no address", reference["refuri"], location=reference)
        elif address.scheme not in ("", "http", "https", "mailto"):
            LOG.warning("%s has an unknown scheme", reference["refuri"], location=reference)
