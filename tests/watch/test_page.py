"""The page of ``xmtf watch`` in a real browser, while logs grow step by step."""

import shutil

import pytest

from xmtf.artefacts.event_log import append_event
from xmtf.artefacts.ownership import write_marker
from xmtf.evaluation.asking.journal import Journal
from xmtf.evaluation.engine.answer import Answer
from xmtf.files import alone_in
from xmtf.results.asked import Question, write_asked
from xmtf.training.loop.events import Log

HOSTILE = '<script>document.title="run"</script><img src=x onerror="document.title=1">'
ARABIC = "ما عاصمة إسبانيا؟"


@pytest.fixture
def folders(tmp_path):
    found = [tmp_path / "runs" / name for name in ("first", "second")]
    for folder in found:
        write_marker(folder, "run")
        (folder / "recipe.yaml").write_text("model: {base: m}\ntraining: {steps: 400}\n")
    return found


def train(folder, *steps, loss=2.0, speed=1000.0):
    for step in steps:
        values = {"loss": loss, "tokens_per_s": speed, "peak_memory_gb": 1.5, "seconds": step / 10}
        append_event(folder / "log.jsonl", {"event": "train", "step": step, **values})


def validate(folder, step, loss):
    about = {"group": "mixture", "loss": loss, "loss_by_language": {"ar": loss, "sw": None}}
    append_event(folder / "log.jsonl", {"event": "validation", "step": step, **about})


def row(page, name):
    return page.locator(".runs tbody tr", has=page.get_by_role("button", name=name, exact=True))


def num_points(page, figure="Loss"):
    found = page.locator(f'figure[aria-label="{figure}"] .one')
    return {each.get_attribute("data-label"): int(each.get_attribute("data-points")) for each in found.all()}


def test_two_runs_side_by_side_from_nothing_over_a_resume_to_their_removal(folders, opened, expect):
    first, second = folders
    shutil.move(second, second.with_name("later"))
    page = opened(first, second)
    expect(row(page, "second")).to_contain_text("there is no such folder yet")
    assert page.locator("#figures").is_hidden()
    shutil.move(second.with_name("later"), second)
    with alone_in(first):
        validate(first, 0, 7.5)
        train(first, 10, 20, 30, 40)
        expect(row(page, "first")).to_contain_text("40 of 400 steps, 36 s left")
        expect(row(page, "first").locator(".chip")).to_have_text("running")
        assert page.title().startswith("10 % first")
    expect(row(page, "first").locator(".chip")).to_have_text("interrupted")
    expect(page.locator("#news")).to_have_text("first: interrupted, during train")
    train(second, 100, 200, loss=None, speed=500.0)  # NaN, as a log holds it
    expect(row(page, "second").locator(".bad-number")).to_have_text("NaN")
    expect(page.locator('figure[aria-label="Loss"] .wrong')).to_have_count(2)
    assert num_points(page) == {"first, training": 4, "first, validation": 1, "second, training": 2}
    figure = page.locator('figure[aria-label="Loss"] > svg')
    said = figure.get_attribute("aria-label")
    assert "first, training: 2 at step 10, least 2 at step 10, last 2 at step 40" in said
    assert "second, training: no finite value, not a finite number at steps up to 200" in said

    Log(first / "log.jsonl").rewind(20)
    train(first, 30, loss=1.25)
    expect(row(page, "first")).to_contain_text("30 of 400 steps")
    expect(row(page, "first").locator('[data-label="Loss"]')).to_have_text("1.25")
    assert num_points(page) == {"first, training": 3, "first, validation": 1, "second, training": 2}

    figure.focus()  # points are read by keys
    page.keyboard.press("End")
    expect(page.locator('figure[aria-label="Loss"] output')).to_have_text("Step 200: second, training NaN")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    read = "Step 10: first, training 2"
    expect(page.locator('figure[aria-label="Loss"] output')).to_have_text(read)
    page.locator('figure[aria-label="Loss"] summary').click()
    assert page.locator('figure[aria-label="Loss"] tbody tr').last.inner_text().split() == ["200", "NaN"]

    assert page.locator("#detail-title").inner_text() == "first"
    page.keyboard.press("n")
    expect(page.locator("#detail-title")).to_have_text("second")
    page.keyboard.press("p")
    assert page.locator(".losses").first.inner_text().split() == ["ar", "7.5", "sw", "NaN"]
    page.keyboard.press("l")
    expect(page.locator('figure[aria-label="Loss"] input')).to_be_checked()
    shutil.rmtree(first)
    expect(page.locator("#detail .notes li")).to_have_text("the folder is gone; what is shown was read before")
    expect(row(page, "first").locator(".chip")).to_have_text("gone")
    assert num_points(page)["first, training"] == 3


def test_answers_are_texts_and_the_table_fits_a_phone(folders, opened, expect):
    folder, other = folders
    out = folder / "results" / "before"
    write_marker(out, "evaluation")
    write_asked(
        out,
        3,
        "bloomz",
        [Question("a", "t/ar", "ar", ARABIC, ("مدريد", HOSTILE), 0), Question("b", "t/en", "en", HOSTILE)],
    )
    journal = Journal(out, "settings")
    page = opened(folder, other, width=360)
    with alone_in(out, what="results"):
        expect(row(page, "first")).to_contain_text("0 of 3 requests")
        journal.add([("a", Answer((-2.0, -1.0), (1, 1)))])
        expect(page.locator(".answer.wrong .given")).to_have_text(HOSTILE)
        journal.add([("b", Answer(text=HOSTILE))])
        expect(page.locator(".answer")).to_have_count(2)
        expect(row(page, "first")).to_contain_text("2 of 3 requests")
    prompt = page.locator(".answer .prompt").last
    assert (prompt.inner_text(), prompt.evaluate("e => getComputedStyle(e).direction")) == (ARABIC, "rtl")
    assert page.locator(".answers img, .answers script").count() == 0
    assert "xmtf watch" in page.title()
    train(folder, *range(10, 200, 10))
    expect(page.locator('figure[aria-label="Speed"] .one')).to_have_count(1)
    for width in (320, 360, 768, 1280):
        page.set_viewport_size({"width": width, "height": 740})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for cell in row(page, "first").locator("td:not([data-empty])").all():
            box = cell.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width + 1


def test_log_lines_come_at_the_end_and_whoever_reads_above_stays_there(folders, opened, expect):
    folder = folders[0]
    train(folder, *range(1, 251))
    page = opened(folder)
    expect(page.locator(".log p")).to_have_count(200)
    expect(page.locator(".log p").last).to_contain_text("step 250:")
    log = page.locator(".log")
    assert log.evaluate("e => e.scrollHeight - e.scrollTop - e.clientHeight") < 8
    log.evaluate("e => { e.scrollTop = 200; e.children[15].dataset.kept = 'yes'; }")
    line = page.locator(".log p[data-kept]")
    place = line.bounding_box()["y"]
    train(folder, 251, 252)
    expect(page.locator(".log p").last).to_contain_text("step 252:")
    assert line.inner_text().startswith("step 66:")
    assert abs(line.bounding_box()["y"] - place) < 2
    for control in page.locator("button, input, svg[tabindex], summary, [tabindex='0']").all():
        assert control.evaluate("e => e.ariaLabel || e.labels?.[0]?.textContent || e.textContent.trim()") or (
            page.locator(f"#{control.get_attribute('aria-labelledby')}").inner_text()
        )
