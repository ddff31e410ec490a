"""A real run in the page: it trains, is killed, resumes, is stopped by Ctrl-C, resumes, and ends."""

import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

RECIPE = Path(__file__).parents[2] / "recipes" / "smoke" / "bloom-tiny.yaml"
STEPS = 120


def run(folder):
    given = [f"run_folder={folder}", f"training.steps={STEPS}", "training.save_every=20 steps", "training.log_every=5"]
    command = [sys.executable, "-m", "xmtf", "--quiet", "run", str(RECIPE), "name=watched", *given]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def events(folder, kind):
    lines = (folder / "log.jsonl").read_bytes().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def trained(folder):
    return (
        max((event["step"] for event in events(folder, "train")), default=0) if (folder / "log.jsonl").exists() else 0
    )


def wait_for(holds, running):
    while not holds():
        assert running.poll() is None, "it ended before"
        time.sleep(0.05)


def content(folder):
    return {
        path: (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.slow
def test_a_run_is_watched_over_a_kill_and_a_stop(tmp_path, opened, expect):
    folder = tmp_path / "watched"
    page = opened(folder, every_s=0.3)
    chip, line = page.locator(".runs .chip"), page.locator('figure[aria-label="Loss"] .one').first
    expect(chip).to_have_text("not begun")
    running = run(folder)
    expect(chip).to_have_text("running", timeout=120_000)
    wait_for(lambda: trained(folder) >= 30, running)
    expect(line).to_have_attribute("data-label", "training")
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    expect(chip).to_have_text("interrupted")
    before = trained(folder)
    expect(line).to_have_attribute("data-points", str(before // 5))

    running = run(folder)
    expect(chip).to_have_text("running", timeout=120_000)
    wait_for(lambda: trained(folder) > before + 15, running)
    running.send_signal(signal.SIGINT)
    assert running.wait() == 130
    expect(chip).to_have_text("stopped")
    expect(page.locator(".runs .says")).to_contain_text("SIGINT was received")
    steps = [event["step"] for event in events(folder, "train")]
    assert steps == list(range(5, steps[-1] + 1, 5))  # the log itself was rewound
    expect(line).to_have_attribute("data-points", str(len(steps)))

    running = run(folder)
    expect(chip).to_have_text("finished", timeout=300_000)
    assert running.wait() == 0
    expect(line).to_have_attribute("data-points", str(STEPS // 5))
    losses = [event["loss"] for event in events(folder, "train")]
    expect(page.locator('.runs [data-label="Loss"]')).to_contain_text(f"{losses[-1]:.2f}")
    assert page.locator(".stages li.done").count() == 7
    assert page.locator(".answer .prompt").count() >= 4  # those that came as one looked, else the samples
    finished = content(folder)
    time.sleep(1)  # three more looks
    assert content(folder) == finished
