"""A run folder while its stages run: state, progress, answers; and that nothing in it is touched."""

import hashlib
import os
import shutil
from pathlib import Path

import orjson
import pytest

from xmtf.artefacts.event_log import append_event
from xmtf.artefacts.ownership import write_marker
from xmtf.errors import ConfigError
from xmtf.evaluation.asking.journal import Journal
from xmtf.evaluation.engine.answer import Answer
from xmtf.files import alone_in, write_json
from xmtf.results.asked import MOST_QUESTIONS, Question, write_asked
from xmtf.watch.pace import Pace
from xmtf.watch.run import WatchedRun
from xmtf.watch.watcher import watch_folders

RECIPE = (
    "name: tiny\nmodel: {architecture: bloom}\ntraining: {steps: 40}\nevaluation: {suites: [{name: a}], before: true}\n"
)
HOSTILE = '<img src=x onerror="document.title=1">\u202e\x1b[31m'
MOST = 1 << 20


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "tiny"
    write_marker(folder, "run")
    (folder / "recipe.yaml").write_text(RECIPE)
    return folder


@pytest.fixture
def run(folder):
    return WatchedRun(folder, 0, "tiny")


def finish(folder, stage, **counts):
    write_json(folder / "manifest.json", {"stage": stage, "counts": counts, "wall_time_s": 1.5})


def stages(view):
    return {stage.name: stage.state for stage in view.stages}


def content(folder):
    """Every file and folder with its bytes and times, but those of the last access."""
    found = {}
    for path in sorted(folder.rglob("*")):
        about = path.lstat()
        hashed = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path.relative_to(folder))] = (
            about.st_mode,
            about.st_ino,
            about.st_mtime_ns,
            about.st_ctime_ns,
            hashed,
        )
    return found


def test_from_nothing_to_the_end(run, folder):
    shutil.move(folder, folder.with_name("later"))
    assert run.look(MOST).state == "not begun"
    shutil.move(folder.with_name("later"), folder)
    assert stages(run.look(MOST)) == dict.fromkeys(
        ("mixture", "tokens", "initial", "before", "train", "after", "report"), "waiting"
    )
    with alone_in(folder):
        assert (run.look(MOST).state, run.look(MOST).says) == ("running", "starting")
        work = folder / ".mixture.work"
        for name in ("a", "b", ".c.host-1.tmp"):
            (work / "shards" / name).mkdir(parents=True)
        write_json(work / "shards" / ".planned.json", {"shards": 5})
        view = run.look(MOST)
        assert (view.says, view.done, view.total) == ("mixture: rendering", 2, 5)
        shutil.rmtree(work)
        finish(folder / "mixture", "mixture", out=1234)
        (folder / "tokens" / "shards").mkdir(parents=True)
        write_marker(folder / "tokens", "tokens")
        assert run.look(MOST).says == "tokens: preparing"
        for part in ("tokens", "initial", "results/before"):
            finish(folder / part, "evaluation" if "/" in part else part, out=1234, items=7)
        assert run.look(MOST).says == "train"
        append_event(folder / "log.jsonl", {"event": "train", "step": 10, "loss": 2.0, "seconds": 1.0})
        append_event(folder / "log.jsonl", {"event": "train", "step": 20, "loss": 1.0, "seconds": 2.0})
        view = run.look(MOST)
        assert (view.says, view.done, view.total, view.left_s, view.loss) == ("train", 20, 40, 2.0, 1.0)
    view = run.look(MOST)
    assert (view.state, view.says, view.done, view.left_s) == ("interrupted", "during train", 20, None)
    append_event(folder / "log.jsonl", {"event": "stop", "step": 20, "reason": "SIGTERM", "path": "p"})
    assert run.look(MOST).says == "stopped at step 20: SIGTERM"
    append_event(folder / "log.jsonl", {"event": "train", "step": 40, "loss": 0.5, "seconds": 4.0})
    finish(folder / "model", "train", step=40)
    view = run.look(MOST)
    assert (view.state, view.says) == ("waiting", "train done; to do: after, report")
    finish(folder / "results" / "after", "evaluation", items=7)
    finish(folder / "report", "report")
    view = run.look(MOST)
    assert (view.state, set(stages(view).values())) == ("finished", {"done"})
    append_event(folder / "log.jsonl", {"event": "train", "step": 50, "loss": 0.4, "seconds": 5.0})
    assert stages(run.look(MOST))["train"] == "begun"  # more steps than the model has
    shutil.rmtree(folder)
    view = run.look(MOST)
    assert (view.state, view.says) == ("gone", "the folder is gone; what is shown was read before")
    assert view.curves["loss"].x == [10, 20, 40, 50]


def test_answers_as_they_come(run, folder):
    out = folder / "results" / "before"
    write_marker(out, "evaluation")
    questions = [
        Question("a", "xnli/fr", "fr", HOSTILE + "p" * 9_000, ("yes", "by no means"), 0),
        Question("b", "copa", "en", "Which?", ("one", "two"), 1),
        Question("c", "write/ar", "ar", "ما هذا؟", references=("قطة",)),
    ]
    write_asked(out, 4, "tokens", questions)
    journal = Journal(out, "settings")
    journal.add([("a", Answer((-3.0, -4.0), (1, 4))), ("b", Answer((-1.0, float("nan")), (1, 1)))])
    with alone_in(out, what="results"):
        view = run.look(MOST)
        assert (view.state, view.says, view.done, view.total) == ("running", "before", 2, 4)
        wrong, right = view.answers[1], view.answers[0]
        assert (wrong.text, wrong.is_right, wrong.right) == ("by no means", False, ("yes",))  # by tokens
        assert (right.text, right.is_right) == ("", None)  # a score that is not finite chooses nothing
        assert wrong.prompt.endswith("ppp")
        assert len(wrong.prompt) < 5_000
        journal.add([("c", Answer(text=HOSTILE)), ("d", Answer(text="not shown: it is none of the questions"))])
        with journal.path.open("ab") as stream:
            stream.write(b'{"key":"e","sco')
        view = run.look(MOST)
        assert (view.done, view.answers[0].text, view.answers[0].right) == (4, HOSTILE, ("قطة",))
        Journal(out, "settings", "0-of-2").add([("a", Answer((-3.0, -4.0), (1, 4)))])
        assert run.look(MOST).done == 4  # of another process, and counted once
    assert run.look(MOST).state == "interrupted"
    os.utime(journal.path, (1, 1))
    Journal(out, "other weights").add([("a", Answer((-3.0, -9.0), (1, 1)))])
    view = run.look(MOST)
    assert (view.done, view.answers[0].is_right) == (1, True)


def test_what_is_asked_is_cut_to_what_can_be_read(tmp_path):
    write_asked(tmp_path, 10**6, "bloomz", [Question("k", "t", "en", "p" * 10**6, ("c" * 10**6,), 0)] * MOST_QUESTIONS)
    assert (tmp_path / ".asked.jsonl").stat().st_size < 2 * 10**6


def test_folders_of_one_stage(tmp_path):
    out = tmp_path / "kinds"
    write_marker(out, "evaluation")
    (folder,) = watch_folders([out])
    assert folder.look(MOST).says == "during evaluation: preparing"
    finish(out, "evaluation", items=12)
    assert folder.look(MOST).state == "finished"
    (tmp_path / ".mixed.work" / "shards" / "one").mkdir(parents=True)
    (tmp_path / ".mixed.work" / "plan.jsonl").write_text('{"function":"f"}\n{}\n{}\n')
    (mixture,) = watch_folders([tmp_path / "mixed"])
    view = mixture.look(MOST)
    assert (view.says, view.done, view.total) == ("during mixture: rendering", 1, 2)
    shutil.rmtree(tmp_path / ".mixed.work")
    finish(tmp_path / "mixed", "mixture", out=3)
    view = mixture.look(MOST)
    assert (view.state, view.stages[0].note) == ("finished", "3 examples")


def test_nothing_in_the_folder_is_touched(run, folder):
    out = folder / "results" / "before"
    write_marker(out, "evaluation")
    Journal(out, "settings").add([("a", Answer((-3.0,), (1,)))])
    append_event(folder / "log.jsonl", {"event": "train", "step": 10, "loss": 2.0, "seconds": 1.0})
    (folder / "tokens" / "shards").mkdir(parents=True)
    (folder / ".lock").touch()
    (folder / ".model.host-1.tmp").mkdir()  # what a killed process left is somebody else's to sweep
    before = content(folder)
    for _ in range(3):
        run.look(MOST)
    assert content(folder) == before
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o500 if path.is_dir() else 0o400)  # and where nothing may be written, all is shown
    try:
        assert run.look(MOST).loss == 2.0
    finally:
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o700)


def test_a_folder_that_is_damaged_is_shown_as_far_as_it_goes(run, folder):
    (folder / "recipe.yaml").write_text("a: [")
    (folder / "model").mkdir()
    (folder / "model" / "manifest.json").write_bytes(b"[1")
    (folder / "log.jsonl").write_bytes(b'{"event":"train","step":1,"loss":NaN}\nnonsense\n{"event"')
    view = run.look(MOST)
    assert view.loss == "NaN"
    assert view.curves["loss"].y == [None]
    assert [note.partition(": ")[2] for note in view.notes] == [
        "1 lines were changed or cut short; they are skipped",
        "the last line is cut short; it is skipped",
    ]
    assert orjson.loads(orjson.dumps(view))["state"] == "interrupted"


def test_which_folders_are_watched(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in ("runs/a", "runs/b", "other/a"):
        Path(path).mkdir(parents=True)
        Path(path, "recipe.yaml").write_text(RECIPE)
    paths = [Path(path) for path in ("runs/a", "runs/../runs/a", "other/a", "runs/b", "later")]
    watched = watch_folders(paths)
    assert [(run.place, run.name, str(run.path)) for run in watched] == [
        (0, "runs/a", "runs/a"),
        (1, "other/a", "other/a"),
        (2, "b", "runs/b"),
        (3, "later", "later"),
    ]
    with pytest.raises(ConfigError, match=r"runs: is a folder of runs; give those to watch: runs/a runs/b"):
        watch_folders([Path("runs")])
    with pytest.raises(ConfigError, match=r"recipe.yaml: is a file; give the folder of a run"):
        watch_folders([Path("runs/a/recipe.yaml")])


def test_pace():
    times = iter([0.0, 1.0, 10.0, 20.0, 21.0])
    pace = Pace(lambda: next(times))
    pace.see(0)
    pace.see(10)
    assert pace.left_s(100) is None  # too short a time
    pace.see(100)
    assert (pace.per_s, pace.left_s(200), pace.left_s(None)) == (10.0, 10.0, None)
    pace.see(3)  # begun anew
    assert pace.per_s is None
