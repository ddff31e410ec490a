"""Weights and Adafactor's state that T5X wrote (convert/data/make_t5x_adafactor.py): the next update is T5X's own."""

import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from xmtf.errors import ConfigError, DataError
from xmtf.files import read_jsonl
from xmtf.models.convert.t5x import find_t5x, t5x_path
from xmtf.recipe import load_recipe
from xmtf.training import train_in_folder
from xmtf.training.checkpoint import checkpoint
from xmtf.training.import_state import import_state
from xmtf.training.optim.optimizer import build_optimizer

pytest.importorskip("msgpack")
DATA = Path(__file__).parents[1] / "models" / "convert" / "data" / "t5x_adafactor.tar.gz"
UPDATES = 3
RECIPE = """
name: moved
run_folder: {folder}
mixture: {{tasks: [{{}}], validation_fraction: 0.1}}
tokens: {{tokenizer: {{train_vocab_size: 300}}, packing: {{sequence_length: 32, target_length: 16}}}}
model: {{architecture: mt5, hidden_size: 128, num_layers: 1, num_heads: 2, head_size: 64, feedforward_size: 136}}
training:
  steps: 6
  global_batch_rows: 4
  micro_batch_rows: 2
  optimizer: {{name: adafactor, learning_rate: 0.01}}
  threads: 1
  device: cpu
execution: {{engine: inline}}
"""


def gradient(path, shape, step):
    """Return the gradient of an array of T5X; as in make_t5x_adafactor.py."""
    numbers = np.arange(int(np.prod(shape))) + sum(map(ord, path)) + 5 * step
    pattern = ((numbers % 13 - 6) / 64).astype(np.float32).reshape(shape)
    for axis, period in enumerate((5, 3)[: len(shape)]):
        scale = 1 + np.arange(shape[axis], dtype=np.float32) % period
        pattern = pattern * np.expand_dims(scale, [other for other in range(len(shape)) if other != axis])
    return pattern


def some(tensor):
    """Return some numbers of a tensor; as in make_t5x_adafactor.py."""
    flat = tensor.detach().reshape(-1)
    return flat[:: -(-len(flat) // 9)].tolist()


@pytest.fixture
def source(tmp_path):
    with tarfile.open(DATA) as archive:
        archive.extractall(tmp_path / "t5x", filter="data")
    return tmp_path / "t5x" / "checkpoint_3"


@pytest.fixture
def loaded(tmp_path, make_tokens):
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.format(folder=tmp_path / "moved"))
    recipe = load_recipe(path)
    make_tokens(tmp_path, recipe, "encoder-decoder")
    return recipe


def test_the_next_update_is_that_of_t5x(source, loaded, tmp_path):
    from xmtf.models import load_model

    path, report = import_state(source, loaded, tokens=tmp_path / "tokens", step=2)
    assert report.whole
    model = load_model(str(loaded.run_folder / "initial")).model
    optimizer = build_optimizer(model, loaded.recipe.training.optimizer)
    assert checkpoint.load(path, model, optimizer).step == 2
    turned = {}
    for name, parameter in model.named_parameters():
        theirs = t5x_path(name)
        turned[theirs] = parameter.T if theirs.endswith((".kernel", ".rel_embedding")) else parameter
        grad = torch.from_numpy(gradient(theirs, tuple(turned[theirs].shape), UPDATES).copy())
        parameter.grad = (grad.T if turned[theirs] is not parameter else grad).contiguous()
    kinds = {tuple(sorted(optimizer.state[parameter])) for parameter in model.parameters()}
    assert kinds == {("column", "row", "step"), ("square", "step")}
    optimizer.step()
    for theirs, numbers in json.loads((source / "expected.json").read_text()).items():
        assert some(turned[theirs]) == pytest.approx(numbers, rel=1e-5, abs=1e-7), theirs


def test_training_goes_on_from_it(source, loaded, tmp_path):
    import_state(source, loaded, tokens=tmp_path / "tokens", step=2)
    train_in_folder(loaded, tokens=tmp_path / "tokens")
    steps = [event["step"] for event in read_jsonl(loaded.run_folder / "log.jsonl") if event["event"] == "checkpoint"]
    assert steps == [6]


def test_what_does_not_fit_is_named(source, loaded, tmp_path):
    tokens = {"tokens": tmp_path / "tokens"}
    other = load_recipe(tmp_path / "recipe.yaml", ["training.optimizer.name=adamw"])
    with pytest.raises(ConfigError, match="has the moments of `adafactor`"):
        import_state(source, other, **tokens)
    larger = load_recipe(tmp_path / "recipe.yaml", ["model.vocab_size=512", f"run_folder={tmp_path / 'larger'}"])
    with pytest.raises(DataError, match="its embedding has 384 rows, the model of the recipe 512"):
        import_state(source, larger, **tokens)
    shutil.rmtree(source / "state.param_states.encoder.layers_0.mlp.wo.kernel.v_col")
    with pytest.raises(DataError, match=r"state\.param_states\.encoder\.layers_0\.mlp\.wo\.kernel\.v_col is missing"):
        import_state(source, loaded, **tokens)


def test_momentum_is_refused(source):
    found = find_t5x(source)
    found.states["encoder.encoder_norm.scale.m"] = torch.ones(128)
    with pytest.raises(DataError, match=r"encoder_norm\.scale\.m: trained with momentum"):
        found.second_moments("encoder.final_norm.weight", torch.Size([128]))
