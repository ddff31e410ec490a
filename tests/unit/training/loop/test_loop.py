import os
import signal

import pytest
import torch

from xmtf.errors import UserError
from xmtf.files import read_jsonl
from xmtf.run_folder import stop_file
from xmtf.training.assembly import LoopInputs, LoopOutputs, training_loop
from xmtf.training.checkpoint import checkpoint
from xmtf.training.loop.events import Log
from xmtf.training.loop.loop import Loop
from xmtf.training.loop.stop import Stopped
from xmtf.training.start import Start


@pytest.fixture
def make(tmp_path, tiny_model, tiny_loader, recipe):
    def build(name="run", *, model=None, validation=True, fingerprint="f", dropout=0.3, measures=(), **training):
        folder = tmp_path / name
        inputs = LoopInputs(tiny_loader(), tiny_loader() if validation else None, measures=measures)
        outputs = LoopOutputs(folder / "checkpoints", Log(folder / "log.jsonl"), fingerprint)
        start = Start(model or tiny_model(), "causal")
        return training_loop(start, recipe(dropout=dropout, **training), inputs, outputs)

    return build


class WatchOf:
    """Says the scores that it is given, one after the other."""

    criterion = "a test"

    def __init__(self, scores, pace):
        self.scores, self.pace = scores, pace

    def __call__(self, *arguments):
        return next(self.scores)


def weights(loop):
    return {name: value.clone() for name, value in loop.step.model.state_dict().items()}


def assert_same(left, right):
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert torch.equal(value, right[name]), name


def events(loop, kind):
    return [event for event in read_jsonl(loop.log.path) if event["event"] == kind]


def stop_after(loop: Loop, steps: int, how):
    """Make the loop call ``how`` while it takes its step number ``steps``."""
    take = loop.step

    class Stopping:
        def __getattr__(self, name):
            return getattr(take, name)

        def __call__(self, step, batch):
            if step + 1 == steps:
                how()
            return take(step, batch)

    loop.step = Stopping()


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_interrupted_and_resumed_equals_uninterrupted_bit_for_bit(make, optimizer, precision):
    settings = {"optimizer": {"name": optimizer, "learning_rate": 0.01}, "precision": precision}
    straight = make("straight", **settings)
    straight.run()

    first = make("cut", **settings)
    stop_after(first, 3, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Stopped, match=r"SIGTERM was received: stopped after step 3 of 6 and saved .*step-000003"):
        first.run()
    second = make("cut", model=None, **settings)
    progress = second.run()

    assert progress.step == 6
    assert_same(weights(second), weights(straight))
    assert progress.tokens == straight.progress.tokens == 6 * 4 * 12
    assert [event["step"] for event in events(second, "train")] == [2, 4, 6]
    assert events(second, "train")[-1]["loss"] == events(straight, "train")[-1]["loss"]


def test_a_killed_run_goes_on_from_its_last_checkpoint(make):
    straight = make("straight")
    straight.run()

    def die():
        raise RuntimeError("killed")

    first = make("cut", save_every=2)
    stop_after(first, 6, die)
    with pytest.raises(RuntimeError, match="killed"):
        first.run()
    assert [path.name for path in checkpoint.list_checkpoints(first.checkpoints)] == ["step-000002", "step-000004"]
    second = make("cut", save_every=2)
    second.run()
    assert_same(weights(second), weights(straight))
    steps = [(event["event"], event["step"]) for event in read_jsonl(second.log.path)]
    assert len(steps) == len(set(steps))


def test_kill_switch_saves_and_the_same_call_goes_on(make):
    first = make(steps=4)
    first.checkpoints.mkdir(parents=True)
    stop_file(first.checkpoints).touch()
    with pytest.raises(Stopped, match="requested it"):
        first.run()
    assert make(steps=4).run().step == 4


def test_wall_clock_limit_saves(make):
    loop = make(wall_clock_limit=0)
    with pytest.raises(Stopped, match="wall_clock_limit"):
        loop.run()
    assert len(checkpoint.list_checkpoints(loop.checkpoints)) == 1


def test_loss_falls_and_the_log_tells_all(make):
    loop = make(steps=40, dropout=0, log_every=10, validate_every=20, save_every=20, keep_checkpoints=1)
    loop.run()
    train = events(loop, "train")
    assert [event["step"] for event in train] == [10, 20, 30, 40]
    assert train[-1]["loss"] < train[0]["loss"]
    assert set(train[0]) == {
        "event", "step", "loss", "learning_rate", "grad_norm", "tokens", "real_tokens", "tokens_per_s", "fill",
        "mfu", "peak_memory_gb", "planned_memory_gb", "seconds", "loss_by_cluster", "loss_by_language", "check",
    }  # fmt: skip
    assert train[0]["tokens"] == 10 * 4 * 12
    assert 0 < train[0]["fill"] < 1
    assert set(train[0]["loss_by_cluster"]) == {"nli", "qa"}
    assert [event["step"] for event in events(loop, "validation")] == [0, 20, 40]
    assert [path.name for path in checkpoint.list_checkpoints(loop.checkpoints)] == ["step-000040"]
    assert loop.progress.best == pytest.approx(-min(event["loss"] for event in events(loop, "validation")), abs=1e-5)
    assert loop.progress.best_by == "loss of mixture"


def test_steps_that_are_not_finite_are_skipped_told_and_finally_stop(make, tiny_model):
    model = tiny_model()
    loop = make(model=model, steps=20, max_skipped_steps=3, save_every=1, validation=False)
    loop.record.show = lambda batch, row: [{"inputs": f"row {row} of a micro-batch", "targets": "its answer"}]

    def spoil():
        model.factor = float("nan")

    stop_after(loop, 5, spoil)
    with pytest.raises(UserError, match=r"not finite for 3 steps in a row, up to step 7.*step-000003"):
        loop.run()
    skipped = events(loop, "skipped")
    assert [event["step"] for event in skipped] == [5, 6, 7]
    assert skipped[0]["num_rows"] == 4
    assert [row["row"] for row in skipped[0]["rows"]] == [16, 17, 18, 19]
    assert [row["examples"][0]["inputs"][:5] for row in skipped[0]["rows"]] == ["row 0", "row 1", "row 0", "row 1"]
    assert all(torch.isfinite(value).all() for value in weights(loop).values())
    # the weights after step 4 gave the first of them: nothing later is kept in the place of what was good
    assert [path.name for path in checkpoint.list_checkpoints(loop.checkpoints)] == ["step-000003", "step-000004"]


def test_the_row_that_is_not_finite_is_the_one_that_is_logged(make, tiny_model):
    model, spoilt = tiny_model(), 3
    hidden_states = model.hidden_states

    def one_bad_row(tokens, **keywords):
        hidden = hidden_states(tokens, **keywords)
        bad = torch.from_numpy(loop.feed.loader.row(spoilt)[0][:-1])
        return torch.where((tokens == bad).all(1)[:, None, None], float("inf"), 1.0) * hidden

    model.hidden_states = one_bad_row
    loop = make(model=model, steps=2, validation=False)
    loop.record.show = lambda batch, row: [{"inputs": str(batch.tokens[row].tolist()), "targets": ""}]
    loop.run()
    (event,) = events(loop, "skipped")
    assert event["num_rows"] == 1
    ((row,),) = (event["rows"],)
    assert row["row"] == spoilt
    assert row["examples"][0]["inputs"] == str(loop.feed.loader.row(spoilt)[0].tolist())


def test_rows_are_logged_where_the_gradient_alone_is_not_finite(make, tiny_model):
    model = tiny_model()
    model.mix.weight.register_hook(lambda gradient: gradient * float("inf"))
    loop = make(model=model, steps=1, validation=False)
    loop.run()
    (event,) = events(loop, "skipped")
    assert (event["num_rows"], len(event["rows"])) == (0, 4)


def test_a_score_that_is_no_number_is_never_the_best(make, tiny_model):
    model = tiny_model()
    loop = make(model=model, steps=4, validate_every=1, export="best")
    score = iter([-9.0, float("nan"), -3.0, -2.0, -5.0])
    loop.watch = WatchOf(score, loop.watch.pace)
    loop.run()
    assert (loop.progress.best, loop.progress.best_step) == (-2.0, 3)


def test_training_whose_last_steps_and_validation_are_not_finite_is_not_finished(make, tiny_model):
    model = tiny_model()
    loop = make(model=model, steps=6, save_every=1)
    stop_after(loop, 5, lambda: setattr(model, "factor", float("nan")))
    with pytest.raises(UserError, match=r"not finite for the last 2 steps, nor is that of validation; .*step-000003"):
        loop.run()


def test_a_single_bad_step_does_not_stop_training(make, tiny_model):
    model = tiny_model()
    loop = make(model=model, max_skipped_steps=2, validation=False)
    stop_after(loop, 2, lambda: setattr(model, "factor", float("nan")))
    loop.record.show = lambda batch, row: setattr(model, "factor", 1.0) or []
    progress = loop.run()
    assert (progress.step, progress.skipped) == (6, 1)
