"""Translations are made and reviewed, and a model is asked, with the keyboard alone."""


def test_an_entry_is_translated_and_reviewed_by_keyboard_alone(page, studio, expect):
    page.keyboard.press("g")
    page.keyboard.press("t")
    page.wait_for_selector("#source-rendering .card")
    page.locator("#language").focus()
    page.keyboard.type("French")
    expect(page.locator("#progress")).to_contain_text("0 of 2 reviewed")
    expect(page.locator("#entry-state")).to_contain_text("machine")
    expect(page.locator("#translation-rendering pre").first).to_contain_text("Avis : Room 0 was cold")
    page.locator("#reviewer").focus()
    page.keyboard.type("A. Reader")
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    expect(page.locator("#progress")).to_contain_text("1 of 2 reviewed")
    text = studio.file.read_text(encoding="utf-8")
    assert "name: ask_frht" in text
    assert "state: reviewed" in text
    assert 'reviewer: "A. Reader"' in text
    expect(page.locator("#entries [aria-current]")).to_contain_text("recommend")  # the next that is open
    page.keyboard.press("s")
    expect(page.locator("#translation-rendering pre").first).to_contain_text("Un client a écrit", timeout=60_000)
    assert page.input_value("#translation-choices") == "non ||| oui"
    page.keyboard.press("e")
    page.keyboard.press("Control+Home")
    page.keyboard.type("Or ")
    expect(page.locator("#translation-rendering pre").first).to_contain_text("Or Un client a écrit")
    page.keyboard.press("Control+s")
    expect(page.locator("#entry-state")).to_contain_text("unreviewed")
    assert "name: recommend_frmt" in studio.file.read_text(encoding="utf-8")
    page.keyboard.press("Escape")
    page.keyboard.press("x")
    expect(page.locator("#progress")).to_contain_text("1 rejected")
    page.keyboard.press("p")
    expect(page.locator("#entry-state")).to_contain_text("A. Reader")


def test_a_translation_whose_file_changed_meanwhile_is_never_overwritten_in_silence(page, studio, expect):
    page.evaluate("location.hash = '#/translate?language=fr'")
    page.wait_for_selector("#translation-rendering .card")
    page.fill("#reviewer", "A. Reader")
    changed = studio.file.read_text(encoding="utf-8").replace("Avis :", "Critique :")
    studio.file.write_text(changed, encoding="utf-8")
    page.locator("#entries button").first.click()
    page.keyboard.press("a")
    expect(page.locator("dialog .diff")).to_contain_text("Critique :")
    assert studio.file.read_text(encoding="utf-8") == changed
    page.get_by_role("button", name="Load theirs, keep mine as a draft").click()
    expect(page.locator("#translation-editor .cm-content")).to_contain_text("Avis :")
    assert studio.file.read_text(encoding="utf-8") == changed
    page.locator("#entries button").first.click()
    expect(page.locator("#translation-editor .cm-content")).to_contain_text("Critique :")


def test_a_right_to_left_language_is_written_from_the_right(page, expect):
    page.evaluate("location.hash = '#/translate?language=ar'")
    expect(page.locator("#translation-editor .cm-content")).to_contain_text("مراجعة")
    assert page.locator("#translation-editor .cm-content").get_attribute("dir") == "rtl"
    assert page.locator("[aria-label='Original, to read']").get_attribute("dir") == "ltr"
    side = "e => getComputedStyle(e).direction"
    expect(page.locator("#translation-rendering pre").first).to_contain_text("مراجعة")
    assert page.locator("#translation-rendering pre").first.evaluate(side) == "rtl"
    assert page.locator("#source-rendering pre").first.evaluate(side) == "ltr"


def test_a_model_is_tried_and_its_answer_streams(page, studio, expect):
    studio.gate.clear()
    page.keyboard.press("g")
    page.keyboard.press("y")
    page.wait_for_selector("#prompt .card")
    page.keyboard.press("n")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#answer")).to_have_text("row 1 ")  # before the answer has ended
    expect(page.locator("#scores li.picked")).to_contain_text("good")
    expect(page.locator("#try-status")).to_have_text("It writes …")
    studio.gate.set()
    expect(page.locator("#answer")).to_have_text("row 1 is good")
    expect(page.locator("#try-status")).to_contain_text("4 tokens")


def test_everything_is_named_and_reached_by_tab(page, expect):
    unnamed = """() => [...document.querySelectorAll('button, a, input, select, [tabindex="0"]')]
        .filter((e) => e.offsetParent && !(e.labels?.length || e.ariaLabel || e.textContent.trim() || e.title))
        .map((e) => e.outerHTML)"""
    focused = "() => { const e = document.activeElement; return [e.id, e.getBoundingClientRect().width > 0] }"
    page.keyboard.press("Tab")
    assert page.evaluate(focused)[0] == "skip"
    page.keyboard.press("?")
    expect(page.locator("dialog.help")).to_contain_text("Accept")
    page.keyboard.press("Escape")
    for name, reached in (
        ("browse", {"split", "row-search", "row-jump", "rows", "template", "tokenizer"}),
        ("write", {"template", "new", "changes", "delete", "field-name", "field-reference"}),
        ("translate", {"language", "engine", "reviewer", "accept", "reject", "suggest", "next", "translation-choices"}),
        ("try", {"template", "model", "generate", "most", "ask"}),
    ):
        page.evaluate(f"location.hash = '#/{name}?key=reviews&task=reviews&language=fr'")
        page.wait_for_selector(".view .card")
        assert page.evaluate(unnamed) == [], name
        seen = set()
        page.locator("#main").focus()
        for _ in range(40):
            page.keyboard.press("Tab")
            at, visible = page.evaluate(focused)
            assert visible or not at, at
            seen.add(at)
        assert reached <= seen, (name, reached - seen)
