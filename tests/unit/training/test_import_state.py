"""A training that began elsewhere goes on here with the next losses of the one that was never moved."""

import errno
import re

import pytest
import torch
from typer.testing import CliRunner

from xmtf.cli.app import build_app
from xmtf.errors import ConfigError, DataError
from xmtf.files import read_jsonl
from xmtf.models import load_model
from xmtf.recipe import load_recipe
from xmtf.training import train_in_folder
from xmtf.training.checkpoint import checkpoint
from xmtf.training.checkpoint.checkpoint import list_checkpoints
from xmtf.training.import_state import import_state
from xmtf.training.optim.optimizer import build_optimizer

RECIPE = """
name: moved
run_folder: {folder}
mixture: {{tasks: [{{}}], validation_fraction: 0.1}}
tokens: {{tokenizer: {{train_vocab_size: 300}}, packing: {{sequence_length: 48}}}}
model: {{architecture: bloom, hidden_size: 16, num_layers: 2, num_heads: 2, dropout: 0.1}}
training:
  steps: 6
  global_batch_rows: 4
  micro_batch_rows: 2
  optimizer: {{learning_rate: 0.003}}
  save_every: 3
  validation_rows: 4
  log_every: 1
  threads: 1
  device: cpu
execution: {{engine: inline}}
"""


@pytest.fixture
def straight(tmp_path, make_tokens):
    """Train six steps without a break; return the recipe and its token files."""
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.format(folder=tmp_path / "straight"))
    loaded = load_recipe(path)
    make_tokens(tmp_path, loaded, "causal")
    train_in_folder(loaded, tokens=tmp_path / "tokens")
    return loaded, tmp_path / "tokens"


def write_universal(model, optimizer, folder):
    """Write a model and Adam's moments as a universal checkpoint: a folder for each parameter, Megatron's names."""
    for name, parameter in model.named_parameters():
        block = re.match(r"h\.(\d+)\.(.+)", name)
        if block is not None:
            theirs = f"{int(block[1]) + 3}.{block[2]}"
        elif name.startswith("ln_f."):
            theirs = f"{model.config.num_layers + 4}.{name.removeprefix('ln_f.')}"
        else:
            theirs = "tied_modules.embed." + name.replace("word_embeddings_layernorm", "word_embeddings.norm")
        place = folder / "zero" / theirs
        place.mkdir(parents=True)
        for kind, value in (("fp32", parameter.detach()), *optimizer.state[parameter].items()):
            if kind != "step":
                torch.save({"param": value}, place / f"{kind}.pt")
    torch.save({"iteration": 3}, folder / "mp_rank_00_model_states.pt")
    return folder


@pytest.fixture
def universal(straight, tmp_path):
    loaded, _ = straight
    model = load_model(str(loaded.run_folder / "initial")).model
    optimizer = build_optimizer(model, loaded.recipe.training.optimizer)
    checkpoint.load(list_checkpoints(loaded.run_folder / "checkpoints")[0], model, optimizer)
    return write_universal(model, optimizer, tmp_path / "universal")


def losses(loaded):
    return {
        event["step"]: event["loss"] for event in read_jsonl(loaded.run_folder / "log.jsonl") if "grad_norm" in event
    }


def test_the_next_losses_are_those_of_the_training_that_was_never_moved(straight, universal, tmp_path):
    loaded, tokens = straight
    moved = load_recipe(tmp_path / "recipe.yaml", [f"run_folder={tmp_path / 'moved'}"])
    path, report = import_state(universal, moved, tokens=tokens, step=3)
    assert report.whole
    assert path == tmp_path / "moved" / "checkpoints" / "step-000003"
    train_in_folder(moved, tokens=tokens)
    expected = losses(loaded)
    assert losses(moved) == {step: expected[step] for step in (4, 5, 6)}


def test_a_full_disk_leaves_no_half_checkpoint(straight, universal, tmp_path, monkeypatch):
    def fills_up(folder, *rest):
        (folder / "half").write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device", str(folder / "half"))

    moved = load_recipe(tmp_path / "recipe.yaml", [f"run_folder={tmp_path / 'moved'}"])
    monkeypatch.setattr(checkpoint, "write_shards", fills_up)
    with pytest.raises(OSError, match="No space left"):  # the edge of the command line says it in one line
        import_state(universal, moved, tokens=straight[1], step=3)
    left = {path.name for path in (tmp_path / "moved" / "checkpoints").iterdir() if path.is_dir()}
    assert left == {"tokenizer"}
    monkeypatch.undo()
    path, report = import_state(universal, moved, tokens=straight[1], step=3)
    assert report.whole
    assert list_checkpoints(path.parent) == [path]


def test_the_command_takes_overrides_of_the_recipe(straight, universal, tmp_path):
    loaded, tokens = straight
    recipe, moved = str(tmp_path / "recipe.yaml"), tmp_path / "moved"
    convert = ["checkpoint", "convert", str(universal), "--recipe", recipe, "--tokens", str(tokens), "--step", "3"]
    result = CliRunner().invoke(build_app("checkpoint"), [*convert, f"run_folder={moved}"])
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == str(moved / "checkpoints" / "step-000003")
    train_in_folder(load_recipe(tmp_path / "recipe.yaml", [f"run_folder={moved}"]), tokens=tokens)
    assert losses(load_recipe(moved / "recipe.yaml"))[6] == losses(loaded)[6]
    refused = CliRunner().invoke(build_app("checkpoint"), [*convert, "training.stepz=9"])
    assert "stepz" in str(refused.exception)
    refused = CliRunner().invoke(
        build_app("checkpoint"), ["checkpoint", "convert", str(universal), "training.steps=9", "--out", "x"]
    )
    assert "training.steps=9: overrides need --recipe" in str(refused.exception)


def test_another_optimizer_an_unknown_count_and_another_shape_are_refused(straight, universal, tmp_path):
    _, tokens = straight
    other = load_recipe(tmp_path / "recipe.yaml", ["training.optimizer.name=adafactor"])
    with pytest.raises(ConfigError, match="has the moments of `adamw`"):
        import_state(universal, other, tokens=tokens)
    (universal / "mp_rank_00_model_states.pt").unlink()
    with pytest.raises(ConfigError, match="--adam-steps N"):
        import_state(universal, load_recipe(tmp_path / "recipe.yaml"), tokens=tokens)
    deeper = load_recipe(tmp_path / "recipe.yaml", ["model.num_layers=3", f"run_folder={tmp_path / 'deeper'}"])
    with pytest.raises(DataError, match="has 2 layers, but the model given by --like has 3"):
        import_state(universal, deeper, tokens=tokens, adam_steps=3)
