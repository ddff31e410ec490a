"""Prompts are written, checked, saved and compared in a real browser."""


def _write(page, name="ask"):
    page.keyboard.press("g")
    page.keyboard.press("w")
    page.wait_for_selector("#preview .card")
    page.select_option("#template", label=name)


def _replace(page, text):
    page.locator(".cm-content").focus()
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")  # typed over styled words, Chromium would style the new ones inline
    page.keyboard.insert_text(text)


def test_a_prompt_is_written_with_help_and_saved_beside_untouched_bytes(page, studio, expect):
    before = studio.file.read_text(encoding="utf-8")
    _write(page)
    page.keyboard.press("e")
    page.keyboard.press("Control+Home")
    page.keyboard.type("About {{ te")
    expect(page.locator(".cm-tooltip-autocomplete [aria-selected]")).to_contain_text("text")
    page.wait_for_timeout(100)  # a list that has just appeared does not take Enter
    page.keyboard.press("Enter")
    page.keyboard.type(" }}. ")
    expect(page.locator("#preview pre").first).to_contain_text("About Room 0 was cold. Review: Room 0 was cold")
    for _ in range(8):
        page.keyboard.press("Control+z")
    expect(page.locator("#save")).to_be_disabled()
    page.keyboard.press("Control+Home")
    page.keyboard.press("End")
    page.keyboard.type(" (read it twice)")
    expect(page.locator("#preview pre").first).to_contain_text("Room 0 was cold (read it twice)")
    page.keyboard.press("Escape")
    page.keyboard.press("d")
    expect(page.locator("dialog .diff .added")).to_have_count(1)
    page.keyboard.press("Escape")
    page.keyboard.press("Control+s")
    expect(page.locator("#status")).to_contain_text("Saved")
    after = studio.file.read_text(encoding="utf-8")
    changed = [line for line in after.splitlines() if line not in before.splitlines()]
    assert changed == ["      Review: {{ text }} (read it twice)"]
    page.click("#changes")
    expect(page.locator("dialog .diff .added").last).to_contain_text("read it twice")
    page.keyboard.press("Escape")


def test_findings_stand_at_their_lines(page, studio, expect):
    _write(page)
    _replace(page, "Review: {{ text }}\nBy {{ author }}: good or bad?\n|||\n{{ answer_choices[label] }}")
    finding = page.locator("#findings li", has_text="author").first
    finding.wait_for()
    finding.get_by_role("button", name="line 2").click()
    expect(page.locator(".cm-line", has=page.locator(".cm-lintRange"))).to_have_text("By {{ author }}: good or bad?")
    expect(page.locator(".cm-activeLine")).to_contain_text("author")
    assert page.locator(".cm-gutter-lint .cm-lint-marker").count() == 1
    _replace(page, "Review: {{ text")
    expect(page.locator("#preview [role=alert]")).to_contain_text("Line 1")
    page.click("#discard")
    page.get_by_role("button", name="Discard", exact=True).last.click()
    expect(page.locator("#findings-title")).to_have_text("No findings")
    expect(page.locator(".cm-lintRange")).to_have_count(0)


def test_a_new_template_keeps_its_id(page, studio, expect):
    _write(page)
    page.keyboard.press("c")
    page.keyboard.type("in one word")
    page.fill("#field-choices", "bad ||| good")
    _replace(page, "{{ text }} One word: ||| {{ answer_choices[label] }}")
    page.select_option("#field-named", "false")
    page.keyboard.press("Control+s")
    expect(page.locator("#status")).to_contain_text("Saved")
    expect(page.locator("#save")).to_be_disabled()
    entry = studio.file.read_text(encoding="utf-8").partition("name: in one word")[0].splitlines()[-1]
    expect(page.locator("#template option:checked")).to_have_text("in one word")
    page.fill("#field-name", "in a single word")
    page.keyboard.press("Control+s")
    expect(page.locator("#save")).to_be_disabled()
    text = studio.file.read_text(encoding="utf-8")
    assert entry in text
    assert "in one word" not in text
    assert "choices_in_prompt: false" in text.partition("in a single word")[2]
    page.click("#delete")
    page.get_by_role("button", name="Delete", exact=True).last.click()
    expect(page.locator("#status")).to_have_text("Deleted")
    assert "in a single word" not in studio.file.read_text(encoding="utf-8")


def test_a_file_that_changed_meanwhile_is_never_overwritten_in_silence(page, studio, expect):
    _write(page)
    page.fill("#field-reference", "mine")
    theirs = studio.file.read_text(encoding="utf-8").replace("good or bad?", "bad or good?")
    studio.file.write_text(theirs, encoding="utf-8")
    page.keyboard.press("Control+s")
    expect(page.locator("dialog .diff")).to_contain_text("bad or good?")
    assert studio.file.read_text(encoding="utf-8") == theirs
    page.get_by_role("button", name="Keep both").click()
    expect(page.locator("#status")).to_contain_text("templates.mine-1.yaml")
    assert studio.file.read_text(encoding="utf-8") == theirs
    assert "reference: mine" in (studio.file.parent / "templates.mine-1.yaml").read_text(encoding="utf-8")
    (studio.file.parent / "templates.mine-1.yaml").unlink()
    page.keyboard.press("Control+s")  # the draft is still there, and the file as read now
    expect(page.locator("#status")).to_contain_text("Saved")
    assert "reference: mine" in studio.file.read_text(encoding="utf-8")


def test_what_is_typed_while_a_save_is_on_its_way_stays(page, studio, expect):
    _write(page)
    page.evaluate("""() => {
      const [field, save] = ["#field-reference", "#save"].map((one) => document.querySelector(one));
      const type = (text) => { field.value = text; field.dispatchEvent(new Event("input", { bubbles: true })); };
      type("first"); save.click(); type("second"); save.click(); type("third");
    }""")
    expect(page.locator("#status")).to_contain_text("Saved")
    expect(page.locator("#save")).to_be_disabled()
    expect(page.locator("#field-reference")).to_have_value("third")
    assert page.locator("dialog").count() == 0  # no save met the file as another left it
    assert "reference: third" in studio.file.read_text(encoding="utf-8")


def test_a_hostile_template_is_stopped_and_the_studio_goes_on(page, expect):
    _write(page)
    _replace(page, "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %} ||| x")
    expect(page.locator("#preview .notice")).to_be_visible(timeout=60_000)
    _replace(page, "{{ 'long ' * 99999999 }} ||| x")
    expect(page.locator("#preview .notice")).to_contain_text("characters", timeout=60_000)
    _replace(page, "Still here: {{ text }} ||| {{ answer_choices[label] }}")
    expect(page.locator("#preview pre").first).to_have_text("Still here: Room 0 was cold")
