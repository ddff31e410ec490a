"""What is measured while training, and which checkpoint is kept for it."""

import numpy as np
import pytest
import torch

from xmtf.errors import SourceError
from xmtf.files import read_jsonl
from xmtf.recipe.schema import Packing, ValidationText
from xmtf.run_folder import stop_file
from xmtf.tokens.tokenizer.training import train_tokenizer
from xmtf.training.assembly import LoopInputs, LoopOutputs, training_loop
from xmtf.training.checkpoint import checkpoint
from xmtf.training.loop.events import Log
from xmtf.training.loop.stop import Stopped
from xmtf.training.loop.validation import Measured, Pace, composite
from xmtf.training.loss.targets import select_targets
from xmtf.training.loss.texts import text_rows
from xmtf.training.start import Start


class Scripted:
    """A measure that gives the numbers it was told to, one a call."""

    def __init__(self, kind, values):
        self.name, self.kind, self.values = f"suite of {kind}", kind, list(values)
        self.modes = []

    def __call__(self, model):
        self.modes.append((model.training, torch.is_grad_enabled()))
        value = self.values.pop(0)
        return Measured(value, {"task": value})


@pytest.fixture
def make(tmp_path, tiny_model, tiny_loader, recipe):
    def build(*measures, **training):
        settings = {"steps": 5, "validate_every": 1, "keep_checkpoints": 1} | training
        inputs = LoopInputs(tiny_loader(), tiny_loader(), measures=measures)
        outputs = LoopOutputs(tmp_path / "checkpoints", Log(tmp_path / "log.jsonl"), "f")
        return training_loop(Start(tiny_model(), "causal"), recipe(**settings), inputs, outputs)

    return build


def saved(loop):
    return [int(path.name[5:]) for path in checkpoint.list_checkpoints(loop.checkpoints)]


def events(loop, kind):
    return [event for event in read_jsonl(loop.log.path) if event["event"] == kind]


# before training, then after each step: accuracy still rises when writing has begun to decay
ACCURACY = (0.3, 0.40, 0.50, 0.52, 0.53, 0.54)
WRITING = (0.0, 0.10, 0.16, 0.12, 0.09, 0.08)


def test_the_best_is_chosen_on_both_kinds_and_kept_beside_the_newest(make):
    loop = make(Scripted("rank", ACCURACY), Scripted("generation", WRITING), export="best")
    loop.run()
    assert saved(loop) == [2, 5]
    assert (loop.progress.best_step, loop.progress.best_by) == (2, "rank and generation")
    assert loop.progress.best == pytest.approx((0.5 * 0.16) ** 0.5)
    assert [event["step"] for event in events(loop, "selection")] == [1, 2]
    measured = events(loop, "measure")
    assert [event["value"] for event in measured if event["kind"] == "rank"] == list(ACCURACY)
    assert measured[0]["by_task"] == {"task": 0.3}


def test_accuracy_alone_chooses_the_last(make):
    loop = make(Scripted("rank", ACCURACY), export="best")
    loop.run()
    assert (saved(loop), loop.progress.best_by) == ([5], "rank")


def test_without_export_best_only_checkpoints_that_are_saved_anyway_compete(make):
    loop = make(Scripted("rank", ACCURACY), Scripted("generation", WRITING), save_every=3)
    loop.run()
    assert saved(loop) == [3, 5]
    assert loop.progress.best_step == 3


def test_measures_see_the_model_in_evaluation_mode_and_training_goes_on_as_without(make):
    measure = Scripted("rank", ACCURACY)
    loop = make(measure)
    loop.run()
    assert set(measure.modes) == {(False, False)}
    assert loop.step.model.training


def test_the_best_survives_stopping_and_going_on(make):
    first = make(Scripted("rank", (0.3, 0.9)), export="best")
    first.checkpoints.mkdir(parents=True)
    stop_file(first.checkpoints).touch()
    with pytest.raises(Stopped):
        first.run()
    second = make(Scripted("rank", (0.4, 0.5, 0.6, 0.7)), export="best")
    second.run()
    assert saved(second) == [1, 5]
    assert second.progress.best == 0.9


def test_another_criterion_forgets_the_old_best(make):
    first = make(steps=2)
    first.run()
    assert first.progress.best_by == "loss of mixture"
    second = make(Scripted("rank", (0.2, 0.3, 0.4)), export="best")
    assert second.run().best == 0.4


PUBLISHED = {  # model -> tokens in billions of the checkpoint that both kinds together speak for
    "BLOOMZ-176B": ((0, 1.04, 2.09, 3.13, 4.18, 5.22, 6.27, 7.31, 8.36), 2.09),
    "BLOOMZ-7.1B": ((0, 2.1, 4.19, 6.29, 8.39), 2.1),
}
CURVES = {
    "BLOOMZ-176B": (
        (34.3, 52.0, 52.5, 53.8, 54.2, 54.3, 53.2, 54.1, 54.1),
        (7.1, 13.8, 16.0, 14.4, 14.3, 12.2, 10.2, 8.7, 10.8),
    ),
    "BLOOMZ-7.1B": ((34.5, 48.2, 49.9, 50.1, 50.0), (4.7, 10.5, 9.9, 9.3, 9.6)),
}


@pytest.mark.parametrize("model", CURVES)
def test_published_curves_choose_the_checkpoint_before_writing_decays(model):
    accuracy, bleu = CURVES[model]
    scores = [composite({"rank": [a / 100], "generation": [b / 100]}) for a, b in zip(accuracy, bleu, strict=True)]
    tokens, expected = PUBLISHED[model]
    assert tokens[int(np.argmax(scores))] == expected


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([["one two three four five six"] * 20], 300, "causal")


def test_rows_of_text_predict_every_token_but_the_first(tmp_path, tokenizer):
    (tmp_path / "text.jsonl").write_text('{"text": "one two three four"}\n{"text": "five six one two"}\n')
    stream = []
    for text in ("one two three four", "five six one two"):
        stream += [*tokenizer.encode([text])[0].tolist(), tokenizer.eos]
    length = (len(stream) - 1) // 2
    rows = text_rows(
        ValidationText(path="text.jsonl", rows=8),
        tmp_path,
        tokenizer,
        Packing(sequence_length=max(8, length)),
        "causal",
        4,
    )
    batch = rows.batch(0, micro=0, num_micro=1)
    targets = select_targets(batch, "token")
    width = max(8, length) + 1
    assert batch.tokens[0][batch.segment_ids[0] > 0].tolist() == stream[:width]
    assert targets.labels.tolist()[: width - 1] == stream[1:width]
    assert set(targets.loss_weights) == {1.0}
    assert set(targets.groups) == {-1}


def test_an_encoder_decoder_reads_the_beginning_and_predicts_the_rest(tmp_path, tokenizer):
    (tmp_path / "text.jsonl").write_text('{"text": "%s"}\n' % ("one two three four five six " * 8))
    rows = text_rows(
        ValidationText(path="text.jsonl", rows=1), tmp_path, tokenizer, Packing(sequence_length=8, target_length=4),
        "encoder-decoder", 4,
    )  # fmt: skip
    batch = rows.batch(0, micro=0, num_micro=4)
    stream = tokenizer.encode(["one two three four five six " * 8])[0].tolist()
    assert batch.encoder_tokens[0].tolist() == stream[:8]
    assert batch.decoder_targets[0].tolist() == stream[8:12]
    assert batch.decoder_inputs[0].tolist() == [tokenizer.pad, *stream[8:11]]


@pytest.mark.parametrize(
    ("content", "message"),
    [('{"body": "x"}\n', "has no column 'text'; it has body"), ('{"text": ""}\n', "has no text")],
)
def test_a_file_without_text_is_refused(tmp_path, tokenizer, content, message):
    (tmp_path / "text.jsonl").write_text(content)
    with pytest.raises(SourceError, match=message):
        text_rows(ValidationText(path="text.jsonl"), tmp_path, tokenizer, Packing(), "causal", 4)


class Counting:
    """A loader that counts the rows that it gives."""

    def __init__(self, loader):
        self.loader, self.rows = loader, 0

    def __getattr__(self, name):
        return getattr(self.loader, name)

    def batch(self, step, *, micro, num_micro):
        self.rows += self.loader.rows_per_step // num_micro
        return self.loader.batch(step, micro=micro, num_micro=num_micro)


@pytest.mark.parametrize(("steps", "times", "most"), [(3, 1, 1), (8, 3, 3), (20, 8, 8), (60, 11, 24)])
def test_without_keys_a_tenth_of_the_rows_is_validated_on(
    tmp_path, tiny_model, tiny_loader, recipe, steps, times, most
):
    held_out = Counting(tiny_loader())
    loop = training_loop(
        Start(tiny_model(), "causal"),
        recipe(steps=steps, global_batch_rows=4, micro_batch_rows=4),
        LoopInputs(tiny_loader(), held_out),
        LoopOutputs(tmp_path / "checkpoints", Log(tmp_path / "log.jsonl"), "f"),
    )
    loop.run()
    assert len(events(loop, "validation")) == times
    assert events(loop, "validation")[-1]["step"] == steps
    assert 0 < held_out.rows <= most <= max(1, steps * 4 // 10)


def test_given_rows_are_kept(recipe):
    training = recipe(steps=8, validation_rows=9).training
    assert Pace.of(training, 8, 4) == Pace(1, 9)
    assert Pace.of(recipe(steps=700, validate_every=70).training, 700, 16) == Pace(70, 64)


class Short(Counting):
    """A loader that has so many rows and no more."""

    def __init__(self, loader, there):
        super().__init__(loader)
        self.there = there

    def available(self, most):
        return min(most, self.there)


@pytest.mark.parametrize(
    ("there", "asked", "read"), [(5, 64, 5), (9, 12, 9), (12, 12, 12), (1, 12, 1), (99, 12, 12), (3, None, 1)]
)
def test_a_validation_reads_no_row_twice(tmp_path, tiny_model, tiny_loader, recipe, there, asked, read, monkeypatch):
    said = []
    monkeypatch.setattr("xmtf.training.assembly.warn", said.append)
    held_out = Short(tiny_loader(), there)
    keys = {} if asked is None else {"validation_rows": asked}
    loop = training_loop(
        Start(tiny_model(), "causal"),
        recipe(steps=8, global_batch_rows=4, micro_batch_rows=4, validate_every=8, **keys),
        LoopInputs(tiny_loader(), held_out),
        LoopOutputs(tmp_path / "checkpoints", Log(tmp_path / "log.jsonl"), "f"),
    )
    loop.run()
    times = len(events(loop, "validation"))
    assert held_out.rows == read * times
    short = f"training.validation_rows: {read} of {asked} rows are used: no row is used twice"
    assert said == ([short] if read < (asked or 0) else [])


@pytest.mark.parametrize("weighting", ["target", "target_compat", "token"])
def test_the_logged_loss_is_what_is_minimised(make, monkeypatch, weighting):
    loop = make(loss=weighting, steps=6, log_every=3, validate_every=None)
    outcomes, take = [], loop._one_step

    def noted():
        outcomes.append(take())
        return outcomes[-1]

    monkeypatch.setattr(type(loop), "_one_step", lambda self: noted())
    loop.run()
    losses = [outcome.loss for outcome in outcomes]
    assert [event["loss"] for event in events(loop, "train")] == pytest.approx(
        [sum(losses[:3]) / 3, sum(losses[3:]) / 3], abs=1e-6
    )
