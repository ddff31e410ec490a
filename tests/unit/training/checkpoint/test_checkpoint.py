import json
import shutil
import socket
from dataclasses import replace

import pytest
import torch

from xmtf.errors import DataError, UserError
from xmtf.recipe.schema import Optimizer
from xmtf.training.checkpoint import checkpoint
from xmtf.training.checkpoint.optimizer_state import optimizer_tensors
from xmtf.training.checkpoint.state import STATE, State, TrainingProgress
from xmtf.training.optim.optimizer import build_optimizer


def trained(model):
    optimizer = build_optimizer(model, Optimizer())
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return optimizer


def test_round_trip_is_exact(tmp_path, tiny_model):
    model = tiny_model()
    optimizer = trained(model)
    progress = TrainingProgress(step=3, tokens=144, real_tokens=100, seconds=1.5)
    path = checkpoint.save(tmp_path, model, optimizer, progress, "f")
    assert path == tmp_path / "step-000003"
    assert not [item for item in path.iterdir() if item.suffix not in (".safetensors", ".json")]

    twin = tiny_model(seed=9)
    other = build_optimizer(twin, Optimizer())
    assert checkpoint.load(path, twin, other) == progress
    for name, value in model.state_dict().items():
        assert torch.equal(twin.state_dict()[name], value)
    expected = optimizer_tensors(model, optimizer)
    assert set(optimizer_tensors(twin, other)) == set(expected)
    for name, value in optimizer_tensors(twin, other).items():
        assert torch.equal(value, expected[name])


def test_newest_whole_checkpoint_of_this_training_is_found(tmp_path, tiny_model):
    model = tiny_model()
    optimizer = trained(model)
    for step in (2, 4, 6):
        checkpoint.save(tmp_path, model, optimizer, TrainingProgress(step=step), "f")
    checkpoint.save(tmp_path, model, optimizer, TrainingProgress(step=8), "another")
    assert checkpoint.find_checkpoint(tmp_path, "f", 100) == tmp_path / "step-000006"
    assert checkpoint.find_checkpoint(tmp_path, "f", 5) == tmp_path / "step-000004"
    assert checkpoint.find_checkpoint(tmp_path / "missing", "f", 5) is None


@pytest.mark.parametrize("harm", ["cut", "lost file", "no state"])
def test_a_torn_checkpoint_is_passed_over(tmp_path, tiny_model, harm):
    model = tiny_model()
    optimizer = trained(model)
    good = checkpoint.save(tmp_path, model, optimizer, TrainingProgress(step=2), "f")
    torn = checkpoint.save(tmp_path, model, optimizer, TrainingProgress(step=4), "f")
    weights = next(torn.glob("*.safetensors"))
    if harm == "cut":
        weights.write_bytes(weights.read_bytes()[:-1])
    elif harm == "lost file":
        weights.unlink()
    else:
        (torn / STATE).unlink()
    assert checkpoint.find_checkpoint(tmp_path, "f", 100) == good
    assert checkpoint.list_checkpoints(tmp_path) == [good]


@pytest.mark.parametrize("place", [0, 100, -1])
def test_a_changed_byte_is_noticed_and_its_file_named(tmp_path, tiny_model, place, monkeypatch, capsys):
    monkeypatch.setenv("XMTF_PROGRESS", "on")
    model = tiny_model()
    optimizer = trained(model)
    good = checkpoint.save(tmp_path, model, optimizer, TrainingProgress(step=2), "f")
    bad = checkpoint.save(tmp_path, model, optimizer, TrainingProgress(step=4), "f")
    (weights,) = bad.glob("*.safetensors")
    content = bytearray(weights.read_bytes())
    content[place] ^= 16
    weights.write_bytes(content)
    assert checkpoint.find_checkpoint(tmp_path, "f", 100) == good
    said = f"{bad}: skipped: {weights.name} does not match its recorded checksum"
    assert said in capsys.readouterr().err


def test_any_changed_bit_of_the_state_is_noticed(tmp_path, tiny_model):
    model = tiny_model()
    optimizer = trained(model)
    good = checkpoint.save(tmp_path, model, optimizer, TrainingProgress(step=2), "f")
    bad = checkpoint.save(tmp_path, model, optimizer, TrainingProgress(step=4, tokens=19), "f")
    written = (bad / STATE).read_bytes()
    for place in range(len(written)):
        for bit in (1, 4):
            changed = bytearray(written)
            changed[place] ^= bit
            (bad / STATE).write_bytes(changed)
            assert checkpoint.list_checkpoints(tmp_path) == [good], changed.decode(errors="replace")
    assert checkpoint.find_checkpoint(tmp_path, "f", 100) == good
    with pytest.raises(DataError, match=f"not a complete checkpoint: {STATE} does not match its recorded checksum"):
        checkpoint.read_progress(bad)


def test_checkpoints_without_hashes_are_still_read(tmp_path, tiny_model):
    model = tiny_model()
    path = checkpoint.save(tmp_path, model, trained(model), TrainingProgress(step=2), "f")
    value = json.loads((path / STATE).read_text())
    del value["hashes"], value["hash"]
    (path / STATE).write_text(json.dumps(value))
    assert checkpoint.find_checkpoint(tmp_path, "f", 100) == path


def test_a_crash_while_saving_leaves_the_old_ones_alone(tmp_path, tiny_model, monkeypatch):
    model = tiny_model()
    optimizer = trained(model)
    good = checkpoint.save(tmp_path, model, optimizer, TrainingProgress(step=2), "f")

    def crash(*args):
        raise RuntimeError("crash")

    monkeypatch.setattr(State, "write", crash)
    with pytest.raises(RuntimeError, match="crash"):
        checkpoint.save(tmp_path, model, optimizer, TrainingProgress(step=4), "f")
    assert list(tmp_path.iterdir()) == [good]


def test_steps_of_seven_digits_come_after_those_of_six(tmp_path, tiny_model):
    model = tiny_model()
    optimizer = trained(model)
    for step in (999_999, 1_000_000, 5):
        checkpoint.save(tmp_path, model, optimizer, TrainingProgress(step=step), "f")
    assert checkpoint.find_checkpoint(tmp_path, "f", 2_000_000).name == "step-1000000"
    checkpoint.prune(tmp_path, "f", 2)
    assert [path.name for path in checkpoint.list_checkpoints(tmp_path)] == ["step-999999", "step-1000000"]


def test_pruning_keeps_the_newest_of_this_training_and_all_of_others(tmp_path, tiny_model):
    model = tiny_model()
    optimizer = trained(model)
    for step, fingerprint in ((1, "another"), (2, "f"), (3, "f"), (4, "f"), (5, "f")):
        checkpoint.save(tmp_path, model, optimizer, TrainingProgress(step=step), fingerprint)
    checkpoint.prune(tmp_path, "f", 2, also=2)
    assert [path.name[-1] for path in sorted(tmp_path.iterdir())] == ["1", "2", "4", "5"]


def test_a_model_of_another_shape_is_refused(tmp_path, tiny_model):
    model = tiny_model()
    path = checkpoint.save(tmp_path, model, trained(model), TrainingProgress(step=1), "f")
    other = tiny_model(hidden_size=16)
    with pytest.raises(DataError, match="another model"):
        checkpoint.load(path, other, build_optimizer(other, Optimizer()))


def test_a_full_disk_is_noticed_before_writing(tmp_path, tiny_model, monkeypatch):
    model = tiny_model()
    optimizer = trained(model)
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(UserError, match=r"takes 1\.\d MB and the disk has 0\.0 MB left"):
        checkpoint.save(tmp_path, model, optimizer, replace(TrainingProgress(), step=1), "f")
    assert list(tmp_path.iterdir()) == []


def test_what_killed_trainings_left_is_swept_and_nothing_else(tmp_path, tiny_model):
    model = tiny_model()
    good = checkpoint.save(tmp_path, model, trained(model), TrainingProgress(step=2), "f")
    for name in ("step-000004", ".step-000006.saving", f".step-000008.{socket.gethostname()}-99999999.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model-00001-of-00001.safetensors").write_bytes(b"half")
    mine = tmp_path / "step-by-step"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    checkpoint.sweep_checkpoints(tmp_path)
    assert sorted(tmp_path.iterdir()) == [good, mine]
