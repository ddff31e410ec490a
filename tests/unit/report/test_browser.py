"""The page in a real browser: opened from a file, clicked through as a reader would.

Needs Chromium and the package playwright. Where ``XMTF_NEEDS_BROWSER`` is set (continuous integration),
their absence is a failure.
"""

import pytest

from xmtf.recipe.schema import Report
from xmtf.report import build_report


@pytest.fixture(params=["inline", "files"])
def page(request, chromium, run_folder, monkeypatch):
    if request.param == "files":
        monkeypatch.setattr("xmtf.report.build._INLINE_BYTES", 10)
    out = run_folder / "report"
    build_report([run_folder], out, Report(figures=("svg",)))
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    page = context.new_page()
    faults, asked = [], []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("request", lambda asking: asked.append(asking.url))
    page.goto((out / "index.html").as_uri())
    page.wait_for_selector("#item-list li")
    yield page
    assert faults == []
    assert all(url.startswith("file://") for url in asked)
    context.close()


def test_a_reader_clicks_through(page):
    assert page.title() == "tiny"  # nothing in the data has run
    assert page.locator("#item-list img, #item-list b, #item-list script").count() == 0
    assert "</script><img src=x onerror=" in page.locator("#item-list pre").first.inner_text()
    assert page.locator("#item-status").inner_text() == "1–8 of 8 items"
    _filters(page)
    _links_and_search(page)
    _sorting(page)
    _widths_and_themes(page)


def _choose(page, field, value):
    page.select_option(f"#filter-{field}", value)


def _shown(page):
    page.wait_for_timeout(50)
    return page.locator("#item-list > li").count()


def _filters(page):
    _choose(page, "outcome", "right-1")
    assert _shown(page) == 6
    _choose(page, "outcome", "gained")
    assert _shown(page) == 4
    _choose(page, "template", "quiz")
    assert _shown(page) == 2
    card = page.locator("#item-list > li").first
    assert "✗ before wrong" in card.inner_text()
    assert "✓ after right" in card.inner_text()
    gold = card.locator("tr.gold")
    assert gold.locator("td").first.inner_text() == "mardi <b> (gold)"
    assert gold.locator("td.pick").inner_text() == "▸ -1.25 (2)"
    page.click("#filter-reset")
    assert _shown(page) == 8


def _links_and_search(page):
    page.get_by_text("By template").click()
    page.locator("table", has_text="quiz").get_by_role("link", name="4").last.click()
    assert _shown(page) == 4
    assert page.input_value("#filter-template") == "quiz"
    assert page.locator("#item-list > li", has_text="quiz").count() == 4
    page.fill("#filter-search", "NUMBER 3")
    page.wait_for_timeout(400)
    assert _shown(page) == 1
    page.fill("#filter-search", "no such words")
    page.wait_for_timeout(400)
    assert page.locator("#item-status").inner_text() == "No item matches these filters."
    page.click("#filter-reset")


def _sorting(page):
    table = page.locator("#results table").first
    head = table.locator("th", has_text="items")
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    column = [cell.strip() for cell in table.locator("tbody td:nth-child(4)").all_inner_texts()]
    assert column == ["9", "8"]
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"


def _widths_and_themes(page):
    paper = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(paper) == "rgb(255, 255, 255)"
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(paper)
    assert dark != "rgb(255, 255, 255)"
    page.click("#theme")  # light
    assert page.evaluate(paper) == "rgb(255, 255, 255)"
    page.click("#theme")  # dark
    page.emulate_media(color_scheme="light")
    assert page.evaluate(paper) == dark
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
