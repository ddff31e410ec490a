"""What the page is made of, without a browser."""

import re
from pathlib import Path

import pytest

import xmtf
from xmtf.templates.sandbox.environment import FILTERS, GLOBALS, TemplateEnvironment

ROOMS = Path(xmtf.__file__).parent
LOOK = ROOMS / "loopback" / "look"
STATIC = ROOMS / "studio" / "static"


@pytest.mark.parametrize("static", [STATIC, ROOMS / "watch" / "static"], ids=["studio", "watch"])
def test_nothing_stands_inline_and_nothing_comes_from_elsewhere(static):
    index = (static / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", index) == []
    served = {path.relative_to(folder).as_posix() for folder in (static, LOOK) for path in folder.rglob("*.*")}
    named = re.findall(r'(?:src|href)="([^"#]+)"', index)
    assert named
    assert {address.removeprefix("static/") for address in named} <= served
    for path in [*static.glob("*.css"), *LOOK.glob("*.css"), *static.glob("js/*.js"), *LOOK.glob("js/*.js")]:
        text = path.read_text(encoding="utf-8")
        text = text.replace("http://www.w3.org/2000/svg", "")  # a name, not an address
        assert re.findall(r"https?://|innerHTML|outerHTML|insertAdjacentHTML|\beval\(|@import", text) == [], path.name
        for other in re.findall(r'from "\./([^"]+)"', text):
            assert f"js/{other}" in served, f"{path.name}: {other}"
    assert {path.name for path in static.rglob("*.*")} & {path.name for path in LOOK.rglob("*.*")} == set()


def test_the_editor_offers_what_the_sandbox_lets_through():
    text = (STATIC / "js" / "completion.js").read_text(encoding="utf-8")
    offered = set(" ".join(re.findall(r'"([^"]+)"', text.partition("FILTERS = (")[2].partition(").split")[0])).split())
    assert offered >= FILTERS
    assert offered <= set(TemplateEnvironment().filters)
    functions = re.findall(r'"(\w+)"', text.partition("FUNCTIONS = [")[2].partition("]")[0])
    assert set(functions) == GLOBALS


def test_every_package_of_the_editor_has_its_licence():
    licences = (STATIC / "editor-licences.txt").read_text(encoding="utf-8")
    lock = Path(__file__).parents[2] / "frontend" / "package-lock.json"
    if not lock.is_file():
        pytest.fail("frontend/package-lock.json is gone")
    for name in re.findall(r'"node_modules/(@codemirror/[\w-]+|@lezer/[\w-]+)"', lock.read_text(encoding="utf-8")):
        if name in ("@codemirror/lang-html", "@codemirror/lang-css", "@codemirror/lang-javascript"):
            continue  # stays out of the bundle: frontend/src/plain.mjs stands for it
        if name in ("@lezer/html", "@lezer/css", "@lezer/javascript"):
            continue
        assert f"\n{name} " in licences, name
