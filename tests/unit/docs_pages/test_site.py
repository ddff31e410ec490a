"""The checks of the built site, and the examples of its explanations."""

import doctest
import json
from pathlib import Path

import pytest

from docs_pages import links, sections, tutorials

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("page", sorted((DOCS / "explanations").glob("*.md")), ids=lambda page: page.stem)
def test_the_examples_of_explanations_hold(page):
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert failed == 0
    assert tried or page.stem in ("index", "held-out")


def test_faults_of_a_built_site_are_found(tmp_path):
    good = '<img src="a.png" alt="A figure"><a href="other.html#there">x</a><a href="https://example.org">y</a>'
    (tmp_path / "index.html").write_text(good)
    (tmp_path / "other.html").write_text('<h1 id="there">z</h1>')
    (tmp_path / "a.png").write_bytes(b"")
    assert links.faults(tmp_path) == []
    bad = '<a href="other.html#gone">x</a><a href="no.html">y</a><img src="a.png" alt=""><script src="https://cdn.example/x.js">'
    (tmp_path / "index.html").write_text(bad)
    assert links.faults(tmp_path) == [
        "index.html: no.html leads nowhere",
        "index.html: other.html#gone leads nowhere",
        "index.html: loads https://cdn.example/x.js from elsewhere",
        "index.html: figure a.png has no alternative text",
    ]
    (tmp_path / "empty").mkdir()
    assert links.faults(tmp_path / "empty") == [f"{tmp_path / 'empty'} has no pages"]


def test_a_tutorials_blocks_are_files_and_commands(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text(
        "# Page\n\n```{code-block} yaml\n:caption: mine.yaml\n\nname: mine\n```\n\n"
        "```bash\ncat > rows.txt <<'END'\nname: other\nEND\n# a comment\n"
        "cat mine.yaml \\\n    rows.txt > both.txt\n```\n\n"
        "```console\nfalse\n```\n"
    )
    monkeypatch.chdir(tmp_path)
    assert tutorials.run_page(page, {"mine\n": "toy\n"}) == 2
    assert (tmp_path / "both.txt").read_text() == "name: toy\nname: other\n"
    page.write_text("```bash\nxmtf recipe show nowhere.yaml\n```\n")
    with pytest.raises(tutorials.CommandFailedError, match="ended with 2"):
        tutorials.run_page(page, {})
    page.write_text("```bash\nxmtf recipe show nowhere.yaml   # exit code 2\n```\n")
    assert tutorials.run_page(page, {}) == 1


def test_every_tutorial_has_commands_that_are_run():
    pages = [page for page in (DOCS / "tutorials").glob("*.md") if page.stem != "index"]
    kinds = {page.stem: [block.kind for block in tutorials.blocks(page.read_text(encoding="utf-8"))] for page in pages}
    assert len(kinds) == 8
    assert [name for name, found in kinds.items() if "bash" not in found] == []


def test_the_search_has_every_section_key_and_option(tmp_path):
    page = (
        "<nav><a>menu</a></nav><article><section id='top'><h1>Mixtures<a class='headerlink'>#</a></h1><p>A text.</p>"
        "<section id='files'><h2>Files</h2><table><tr><td>.csv</td><td>rows</td></tr></table>"
        "<script>x</script></section>"
        "<dl><dt id='confval-a.b'>a.b</dt><dd>What it is.</dd></dl></section></article><footer>end</footer>"
    )
    (tmp_path / "_static").mkdir()
    (tmp_path / "mixtures.html").write_text(page)
    (tmp_path / "search.html").write_text(page)
    assert sections.write_sections(tmp_path) == 3
    text = (tmp_path / "_static" / "sections.js").read_text()
    found = json.loads(text.removeprefix("window.SITE_SECTIONS=").rstrip(";\n"))
    assert [(part["title"], part["page"], part["link"], part["text"]) for part in found] == [
        ("Mixtures", "Mixtures", "mixtures.html#top", "A text."),
        ("Files", "Mixtures", "mixtures.html#files", ".csv rows"),
        ("a.b", "Mixtures", "mixtures.html#confval-a.b", "What it is."),
    ]
