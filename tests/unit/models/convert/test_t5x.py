"""A checkpoint that tensorstore and flax wrote in T5X's layout (data/make_t5x.py), read without either."""

import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from xmtf.errors import DataError, SourceError
from xmtf.models import load_model
from xmtf.models.convert import convert_model, detect_format, inspect_foreign
from xmtf.models.convert.t5x import find_t5x

pytest.importorskip("msgpack")


def weight(name, shape):
    """Return the weight of that name in transformers; as in data/make_t5x.py."""
    numbers = np.arange(int(np.prod(shape)), dtype=np.float64) + sum(map(ord, name))
    return (0.4 * np.sin(numbers * 1.7)).astype(np.float32).reshape(shape)


@pytest.fixture
def theirs():
    transformers = pytest.importorskip("transformers")
    config = transformers.MT5Config(
        vocab_size=24, d_model=12, d_kv=4, d_ff=20, num_layers=2, num_heads=2, tie_word_embeddings=False
    )
    model = transformers.MT5ForConditionalGeneration(config).eval()
    model.lm_head.weight = torch.nn.Parameter(torch.empty(24, 12))  # transformers ties it whatever the config says
    model.config.tie_word_embeddings = False
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(weight(name, tuple(parameter.shape))))
    return model


@pytest.fixture
def source(tmp_path):
    with tarfile.open(Path(__file__).parent / "data" / "t5x.tar.gz") as archive:
        archive.extractall(tmp_path / "t5x", filter="data")
    return tmp_path / "t5x" / "float32"


def logits(model, inputs, targets):
    with torch.no_grad():
        return model(input_ids=inputs, decoder_input_ids=targets).logits


def test_logits_are_those_of_the_model_in_transformers(theirs, source, tmp_path):
    assert detect_format(str(source)) == "t5x"
    report = convert_model(str(source), tmp_path / "out")
    assert report.whole
    assert report.parameters == sum(parameter.numel() for parameter in theirs.parameters())
    inputs, targets = torch.tensor([[3, 9, 17, 5, 1]]), torch.tensor([[0, 7, 20]])
    expected = logits(theirs, inputs, targets)
    again = type(theirs).from_pretrained(tmp_path / "out").eval()
    assert torch.equal(logits(again, inputs, targets), expected)
    ours = load_model(str(tmp_path / "out")).model
    with torch.no_grad():
        hidden = ours.decode(targets, ours.encode(inputs))
        torch.testing.assert_close(ours.logits(hidden), expected, atol=1e-5, rtol=1e-5)


def test_bfloat16_is_kept(theirs, source, tmp_path):
    report = convert_model(str(source.with_name("bfloat16")), tmp_path / "out")
    assert report.dtypes.keys() == {"bfloat16"}
    ours = load_model(str(tmp_path / "out")).model
    assert torch.equal(ours.lm_head.weight, theirs.lm_head.weight.bfloat16().float())


def test_step_and_shape_are_read_from_the_tree(source):
    found = find_t5x(source)
    assert (found.step, found.folder.name) == (1_000_000, "checkpoint_1000000")
    shape = found.config(None)
    assert (shape.num_heads, shape.head_size, shape.feedforward_size) == (2, 4, 20)
    with pytest.raises(DataError, match="d_ff is 20, but the model given by --like has 1024"):
        found.config({"d_ff": 1024})


@pytest.mark.parametrize("harm", ["lost chunk", "cut chunk", "lost array"])
def test_torn_arrays_are_named(source, harm):
    folder = source / "checkpoint_1000000" / "target.encoder.layers_1.mlp.wo.kernel"
    chunk = folder / "1.0"
    if harm == "lost chunk":
        chunk.unlink()
    elif harm == "cut chunk":
        chunk.write_bytes(chunk.read_bytes()[:-20])
    else:
        shutil.rmtree(folder)
    with pytest.raises(DataError, match=r"target\.encoder\.layers_1\.mlp\.wo\.kernel"):
        inspect_foreign(str(source))


def test_a_torn_tree_and_other_formats_are_named(source, tmp_path):
    path = source / "checkpoint_1000000" / "checkpoint"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="not msgpack, or cut short"):
        find_t5x(source)
    path.write_bytes(b'model_checkpoint_path: "model.ckpt-1000000"')
    with pytest.raises(DataError, match="a TensorFlow checkpoint"):
        find_t5x(source)
    with pytest.raises(SourceError, match="contains no T5X checkpoint"):
        find_t5x(tmp_path)
