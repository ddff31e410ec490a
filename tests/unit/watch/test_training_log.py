"""What the events of a log come to: each step once, nothing that was rolled back, numbers that are not finite."""

import math

import pytest

from xmtf.artefacts.event_log import append_event
from xmtf.training.loop.events import Log
from xmtf.watch.events import describe
from xmtf.watch.growing import GrowingFile
from xmtf.watch.series import Series
from xmtf.watch.training_log import TrainingLog


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log.jsonl"


@pytest.fixture
def log(path):
    return TrainingLog(GrowingFile(path))


def train(path, *steps, loss=2.0, **more):
    for step in steps:
        append_event(path, {"event": "train", "step": step, "loss": loss, "seconds": step / 10, **more})


def validate(path, step, loss=2.5, group="mixture"):
    losses = {"fr": loss, "sw": None}
    append_event(path, {"event": "validation", "step": step, "group": group, "loss": loss, "loss_by_language": losses})


def points(series):
    return list(zip(series.steps, series.values, strict=True))


def test_curves_grow_with_the_log(path, log):
    assert not log.refresh(1 << 20)
    validate(path, 0, 7.0)
    train(path, 10, tokens_per_s=900.5, peak_memory_gb=0.5, planned_memory_gb=None, grad_norm=1.5, mfu=None)
    assert log.refresh(1 << 20)
    train(path, 20, loss=1.5, tokens_per_s=1000)
    validate(path, 20, 1.75)
    append_event(path, {"event": "checkpoint", "step": 20, "path": "step-000020"})
    log.refresh(1 << 20)
    assert points(log.curves["loss"]) == [(10, 2.0), (20, 1.5)]
    assert points(log.curves["speed"]) == [(10, 900.5), (20, 1000.0)]
    assert points(log.curves["memory"]) == [(10, 0.5)]
    assert points(log.curves["planned"]) == []  # null: nobody estimated it
    assert points(log.validation["mixture"]) == [(0, 7.0), (20, 1.75)]
    assert log.by_language["fr"] == 1.75
    assert math.isnan(log.by_language["sw"])
    assert log.checkpoints.last_step == 20
    assert log.step == 20
    assert [line.kind for line in log.lines] == ["validation", "train", "train", "validation", "checkpoint"]


def test_a_log_that_training_rewinds_is_read_again_and_nothing_stands_twice(path, log):
    append_event(path, {"event": "stage", "stage": "tokens", "seconds": 1.5})
    train(path, 10, 20, 30, 40)
    validate(path, 40)
    log.refresh(1 << 20)
    Log(path).rewind(20)  # what training does when it resumes
    train(path, 30, loss=1.0)
    log.refresh(1 << 20)
    assert points(log.curves["loss"]) == [(10, 2.0), (20, 2.0), (30, 1.0)]
    assert log.validation == {}
    assert log.stages == {"tokens": 1.5}
    assert log.step == 30
    assert len(log.lines) == 4


def test_a_log_that_goes_on_behind_what_was_rolled_back(path, log):
    validate(path, 0)
    train(path, 10, 20)
    validate(path, 20)
    append_event(path, {"event": "checkpoint", "step": 20, "path": "p"})
    train(path, 30, 40)
    validate(path, 40)
    log.refresh(1 << 20)
    train(path, 30, loss=1.0)  # of a second process, from the checkpoint, without a rewound log
    log.refresh(1 << 20)
    assert points(log.curves["loss"]) == [(10, 2.0), (20, 2.0), (30, 1.0)]
    assert points(log.validation["mixture"]) == [(0, 2.5), (20, 2.5)]
    assert points(log.seconds) == [(10, 1.0), (20, 2.0), (30, 3.0)]
    assert "resumed before this step" in log.lines[-2].text
    validate(path, 20, 3.0)  # and a third, which measures before its first step
    log.refresh(1 << 20)
    assert points(log.validation["mixture"]) == [(0, 2.5), (20, 3.0)]
    assert log.curves["loss"].last_step < 30
    train(path, 10, loss=9.0)  # and one from the beginning
    log.refresh(1 << 20)
    assert points(log.curves["loss"]) == [(10, 9.0)]
    assert points(log.validation["mixture"]) == [(0, 2.5)]


def test_a_checkpoint_that_is_written_beside_later_steps_rolls_nothing_back(path, log):
    train(path, 10, 20)
    append_event(path, {"event": "checkpoint", "step": 10, "path": "p"})
    append_event(path, {"event": "selection", "step": 10, "score": -2.0, "by": "loss of mixture"})
    log.refresh(1 << 20)
    assert len(log.curves["loss"]) == 2
    assert log.checkpoints.last_step == 10


def test_numbers_that_are_not_finite_are_kept_as_such(path, log):
    train(path, 10, loss=None, grad_norm=None)  # as the log holds NaN
    append_event(path, {"event": "skipped", "step": 11, "loss": "nan", "grad_norm": "inf", "num_rows": 1, "rows": []})
    with path.open("ab") as stream:
        stream.write(b'{"event":"train","step":20,"loss":NaN,"grad_norm":-Infinity}\n')  # as other writers do
    log.refresh(1 << 20)
    assert all(math.isnan(value) for value in log.curves["loss"].values)
    assert log.curves["gradient"].values[-1] == -math.inf
    assert len(log.skipped) == 1
    assert log.damaged == 0
    assert [line.text[:40] for line in log.lines] == [
        "step 10: loss NaN",
        "step 11: skipped, loss NaN, gradient nor",
        "step 20: loss NaN",
    ]


def test_what_is_damaged_is_counted_and_left_out(path, log):
    train(path, 10)
    with path.open("ab") as stream:
        stream.write(b'{"event":"train","step":20,"loss":1.0,"check":"0000000000000000"}\n')
        stream.write(b'\x00\xff\n[]\n{"event":"train","step":-5,"loss":1.0}\n{"event":"train","loss":1.0}\n')
        stream.write(
            b'{"event":"train","step":9e99,"loss":1}\n{"event":"train","step":30,"loss":"much"}\n{"event":"trai'
        )
    log.refresh(1 << 20)
    assert points(log.curves["loss"]) == [(10, 2.0)]
    assert log.damaged == 6
    assert log.is_torn


def test_a_stop_is_the_last_word_until_training_goes_on(path, log):
    train(path, 10)
    append_event(path, {"event": "stop", "step": 10, "reason": "SIGINT", "path": "p"})
    log.refresh(1 << 20)
    assert log.stopped == "SIGINT"
    train(path, 20)
    log.refresh(1 << 20)
    assert log.stopped is None


def test_many_points_are_thinned_and_the_extremes_stay():
    series = Series()
    for step in range(1, 100_001):
        series.add(step, 5.0 if step == 77_777 else math.nan if step == 50_000 else 1.0)
    curve = series.curve(200)
    assert len(curve.x) == len(curve.y) == len(curve.low) == 200
    assert (curve.x[-1], max(curve.high), min(curve.low)) == (100_000, 5.0, 1.0)
    assert curve.bad == [50_000]
    assert max(curve.y) == pytest.approx(1.008)
    few = Series()
    for step, value in ((1, 1.0), (2, math.inf), (4, 2.0)):
        few.add(step, value)
    assert (few.curve(3).y, few.curve(3).bad, few.curve(3).low) == ([1.0, None, 2.0], [2], [])
    wrong = Series()
    for step in range(10):
        wrong.add(step, math.nan)
    assert wrong.curve(2).y == [None, None]


def test_unknown_events_are_shown_in_part():
    assert describe({"event": "later", "text": "x" * 1_000}).endswith("…")
    assert len(describe({"event": "stop", "step": 3, "reason": "y" * 1_000})) < 400
