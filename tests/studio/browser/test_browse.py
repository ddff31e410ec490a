"""Rows and prompts, looked at in a real browser."""


def _chosen(page):
    return page.locator(".grid-row.chosen .cell").first.inner_text()


def _inputs(page, name):
    return (
        page.locator("#renderings .card", has=page.get_by_role("heading", name=name, exact=True)).locator("pre").first
    )


def test_a_reader_looks_through_ten_thousand_rows(page, expect):
    assert page.locator("#row-count").inner_text() == "10,000 rows"
    assert page.locator("#renderings .card").count() == 4  # all templates over one row
    assert _inputs(page, "ask").inner_text() == "Review: Room 0 was cold\nIs this review good or bad?"
    card = page.locator("#renderings .card").first
    assert card.locator(".target pre").inner_text() == "bad"
    assert [card.locator(".choices .choice").nth(place).inner_text() for place in (0, 1)] == ["bad", "good"]
    page.evaluate(
        "window.most = 0; new MutationObserver(() => {"
        " window.most = Math.max(window.most, document.querySelectorAll('.grid-row').length) })"
        ".observe(document.body, {childList: true, subtree: true})"
    )
    page.locator("#rows").hover()
    for _ in range(20):
        page.mouse.wheel(0, 16_000)
    expect(page.locator(".grid-row").last).to_contain_text("Room 9999")
    page.locator("#rows").focus()
    page.keyboard.press("End")
    expect(page.locator("#renderings pre").first).to_contain_text("Room 9999")
    assert _chosen(page) == "9999"
    page.keyboard.press("ArrowUp")
    expect(page.locator("#renderings pre").first).to_contain_text("Room 9998")
    assert "row=9998" in page.url
    assert 0 < page.evaluate("window.most") <= 300


def test_rows_are_searched_and_a_row_is_opened_whole(page, expect):
    page.keyboard.press("/")
    page.keyboard.type("room 123 ")
    expect(page.locator("#row-count")).to_have_text("1 of 10,000 rows")
    expect(page.locator("#renderings pre").first).to_contain_text("Room 123 was fine")
    page.keyboard.press("Escape")
    page.keyboard.press("m")
    page.keyboard.press("Enter")
    dialog = page.locator("dialog")
    expect(dialog.locator("dd")).to_have_text(["Room 123 was fine", "1"])
    page.keyboard.press("Escape")
    page.fill("#row-search", "no such words")
    page.wait_for_selector("text=No row contains these words.")
    page.fill("#row-search", "")
    expect(page.locator("#row-count")).to_have_text("10,000 rows")
    page.select_option("#template", label="all in French")
    expect(page.locator("#renderings .card")).to_have_count(1)


def test_texts_of_rows_are_texts_and_stand_in_their_own_direction(page, studio, expect):
    page.fill("#row-jump", "5")
    page.keyboard.press("Enter")
    expect(page.locator("#renderings pre").first).to_contain_text("onerror")
    assert studio.script in _inputs(page, "ask").inner_text()
    assert page.locator("#main img, #main script").count() == 0
    assert "xmtf studio" in page.title()
    page.fill("#row-jump", "3")
    page.keyboard.press("Enter")
    expect(page.locator("#renderings pre").first).to_contain_text("الفندق")
    cell = page.locator(".grid-row.chosen .cell").nth(1)
    assert cell.inner_text() == studio.arabic
    assert cell.evaluate("e => getComputedStyle(e).direction") == "rtl"
    assert _inputs(page, "ask_armt").evaluate("e => getComputedStyle(e).direction") == "rtl"
    assert _inputs(page, "ask").evaluate("e => getComputedStyle(e).direction") == "ltr"
    page.fill("#row-jump", "7")  # 300,000 characters
    page.keyboard.press("Enter")
    page.wait_for_selector("#renderings .more")
    assert len(_inputs(page, "ask").inner_text()) < 10_000


def test_every_width_and_both_themes(page):
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
    for width in (360, 768):
        page.set_viewport_size({"width": width, "height": 760})
        for name, ready in (
            ("browse", "#renderings .card"),
            ("write", "#preview .card"),
            ("translate", "#source-rendering .card"),
            ("try", "#prompt .card"),
            ("overview", "#overview-rows tr"),
        ):
            page.evaluate(f"location.hash = '#/{name}'")
            page.wait_for_selector(ready)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    page.set_viewport_size({"width": 360, "height": 760})
    page.click("#tasks-toggle")
    page.get_by_role("link", name="reviews").first.wait_for()


def test_the_overview_counts(page):
    page.keyboard.press("g")
    page.keyboard.press("o")
    row = page.locator("#overview-rows tr")
    page.wait_for_selector("#overview-rows .state-machine")
    assert "2 original, 1 unreviewed, 1 machine" in row.inner_text()
    assert row.locator("a.chip").all_inner_texts() == ["ar 1", "en 2", "fr 1"]
