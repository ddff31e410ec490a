"""The whole stage: token files in, model folder out; finished, extended, killed and gone on."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
import torch

from xmtf.errors import ConfigError, DataError, SourceError, UserError
from xmtf.files import alone_in, file_sha256, read_json, read_jsonl, read_manifest
from xmtf.models import load_model
from xmtf.models.dtype import stored_dtype
from xmtf.recipe import load_recipe
from xmtf.training import Measured, Stopped, dry_run, train_in_folder, trainer
from xmtf.training.checkpoint.checkpoint import tensor_shapes
from xmtf.training.export import export_checkpoint
from xmtf.training.loss.texts import present_texts
from xmtf.training.planning.memory import estimate_memory

RECIPE = """
name: tiny
run_folder: {folder}
mixture: {{tasks: [{{}}], validation_fraction: 0.1}}
tokens: {{tokenizer: {{train_vocab_size: 300}}, packing: {{sequence_length: 48}}}}
model: {{architecture: {architecture}, hidden_size: 16, num_layers: 2, num_heads: 2, dropout: 0.1}}
training:
  steps: 6
  global_batch_rows: 4
  micro_batch_rows: 2
  optimizer: {{learning_rate: 0.003}}
  save_every: 2
  validation_rows: 4
  threads: 1
  device: cpu
execution: {{engine: inline}}
"""


@pytest.fixture(scope="module")
def tokens(tmp_path_factory, make_tokens):
    folder = tmp_path_factory.mktemp("data")
    (folder / "recipe.yaml").write_text(RECIPE.format(folder=folder, architecture="bloom"))
    make_tokens(folder, load_recipe(folder / "recipe.yaml"), "causal")
    return folder / "tokens"


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.format(folder=tmp_path / "run", architecture="bloom"))
    return lambda *overrides, folder="run": load_recipe(path, [f"run_folder={tmp_path / folder}", *overrides])


def weights_hash(loaded):
    return file_sha256(loaded.run_folder / "model" / "model.safetensors")


def trained_steps(loaded):
    return [event["step"] for event in read_jsonl(loaded.run_folder / "log.jsonl") if event["event"] == "train"]


def test_exports_a_model_that_loads_and_then_does_nothing_again(recipe, tokens, verify_outputs):
    loaded = recipe()
    manifest = train_in_folder(loaded, tokens=tokens)
    folder = loaded.run_folder / "model"
    event = next(event for event in read_jsonl(loaded.run_folder / "log.jsonl") if event["event"] == "train")
    planned = estimate_memory(load_model(str(folder)).model, loaded.recipe).total
    assert 0 < event["planned_memory_gb"] == round(planned / 1e9, 3) < event["peak_memory_gb"]  # the program on top
    verify_outputs(folder)
    assert read_manifest(folder) == manifest
    assert manifest.counts["step"] == 6
    assert manifest.counts["tokens"] == 6 * 4 * 48
    assert load_model(str(folder)).family == "causal"
    assert (folder / "tokenizer.json").exists()
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert train_in_folder(recipe("training.log_every=1"), tokens=tokens) == manifest
    assert (folder / "model.safetensors").stat().st_mtime_ns == before


def test_a_checkpoint_is_exported_with_the_tokenizer_that_it_was_trained_with(recipe, tokens, tmp_path):
    loaded = recipe("training.steps=2")
    train_in_folder(loaded, tokens=tokens)  # of another folder than the run's own
    assert not (loaded.run_folder / "tokens").exists()
    export_checkpoint(loaded.run_folder, tmp_path / "exported")
    assert file_sha256(tmp_path / "exported" / "tokenizer.json") == file_sha256(tokens / "tokenizer/tokenizer.json")


def test_a_mixture_too_small_to_validate_on_trains_all_the_same(recipe, make_tokens, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XMTF_PROGRESS", "on")
    loaded = recipe("mixture.validation_fraction=0.001")
    make_tokens(tmp_path / "small", loaded, "causal")
    assert train_in_folder(loaded, tokens=tmp_path / "small" / "tokens").counts["step"] == 6
    said = [line for line in capsys.readouterr().err.splitlines() if "without validation" in line]
    assert len(said) == 1
    assert "has no validation examples; change mixture.validation_fraction" in said[0]
    assert {event["event"] for event in read_jsonl(loaded.run_folder / "log.jsonl")} == {"train", "checkpoint"}


def test_a_longer_run_goes_on_where_the_schedule_does_not_depend_on_its_length(recipe, tokens):
    straight = recipe("training.steps=8", folder="straight")
    train_in_folder(straight, tokens=tokens)
    train_in_folder(recipe(), tokens=tokens)
    longer = recipe("training.steps=8")
    train_in_folder(longer, tokens=tokens)
    assert weights_hash(longer) == weights_hash(straight)
    assert trained_steps(longer) == [6, 8]


def test_a_changed_byte_in_the_newest_checkpoint_costs_its_steps_and_no_more(recipe, tokens, tmp_path):
    straight = recipe(folder="straight")
    train_in_folder(straight, tokens=tokens)
    short = recipe("training.steps=4")
    train_in_folder(short, tokens=tokens)
    (shard,) = (short.run_folder / "checkpoints" / "step-000004").glob("*.safetensors")
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(
        DataError, match=r"step-000004: not a complete checkpoint: model-00001.* does not match its recorded checksum"
    ):
        export_checkpoint(short.run_folder, tmp_path / "exported")
    assert not (tmp_path / "exported").exists()
    longer = recipe()
    train_in_folder(longer, tokens=tokens)
    assert trained_steps(longer) == [6]  # what step 4 had logged is taken back with it
    assert weights_hash(longer) == weights_hash(straight)


def test_recomputing_activations_may_begin_half_way(recipe, tokens):
    straight = recipe(folder="straight")
    train_in_folder(straight, tokens=tokens)
    train_in_folder(recipe("training.steps=4"), tokens=tokens)
    recomputed = recipe("training.activation_checkpointing=true")
    train_in_folder(recomputed, tokens=tokens)
    assert trained_steps(recomputed) == [4, 6]
    assert weights_hash(recomputed) == weights_hash(straight)


@pytest.mark.parametrize(
    "override",
    [
        "training.optimizer.learning_rate=0.001",
        "training.loss=token",
        "training.global_batch_rows=2",
        "training.optimizer.name=adafactor",
        "tokens.packing.policy=pad",
        "tokens.packing.sequence_length=56",
        "seed=7",
    ],
)
def test_another_recipe_starts_anew_and_says_so(recipe, tokens, capsys, monkeypatch, override):
    monkeypatch.setenv("XMTF_PROGRESS", "on")
    train_in_folder(recipe(), tokens=tokens)
    assert "starting at step 0" not in capsys.readouterr().err
    other = recipe(override)
    train_in_folder(other, tokens=tokens)
    assert trained_steps(other) == [6]
    assert "starting at step 0" in capsys.readouterr().err


def test_two_processes_do_not_train_in_one_folder(recipe, tokens):
    loaded = recipe()
    with alone_in(loaded.run_folder), pytest.raises(UserError, match="another xmtf process works in this run folder"):
        train_in_folder(loaded, tokens=tokens)
    assert [path.name for path in loaded.run_folder.iterdir()] == [".lock"]
    assert train_in_folder(loaded, tokens=tokens).counts["step"] == 6


def test_the_slot_begins_before_the_model_is_read(recipe, tokens, monkeypatch):
    assembled = trainer.assemble

    def slow(*arguments, **keywords):
        clock = time.monotonic
        loop = assembled(*arguments, **keywords)
        monkeypatch.setattr(time, "monotonic", lambda: clock() + 3000)
        return loop

    monkeypatch.setattr(trainer, "assemble", slow)
    with pytest.raises(Stopped, match="wall_clock_limit"):
        train_in_folder(recipe("training.wall_clock_limit=2000 s"), tokens=tokens)


KILLED = """
import os, signal
from xmtf.cli.app import main
from xmtf.training.loop.step import Step

take = Step.__call__

def take_and_die(self, step, batch):
    if step == 17:
        os.kill(os.getpid(), signal.SIGKILL)
    return take(self, step, batch)

Step.__call__ = take_and_die
main()
"""


def test_a_run_that_went_on_leaves_the_same_bytes_in_its_checkpoints(recipe, tokens):
    def last_shard(loaded):
        return file_sha256(next((loaded.run_folder / "checkpoints" / "step-000006").glob("*.safetensors")))

    straight = recipe(folder="straight")
    train_in_folder(straight, tokens=tokens)
    train_in_folder(recipe("training.steps=4"), tokens=tokens)
    train_in_folder(recipe(), tokens=tokens)
    assert last_shard(recipe()) == last_shard(straight)


def test_killed_and_gone_on_equals_never_killed_bit_for_bit(recipe, tokens, tmp_path):
    steps = ("training.steps=60", "training.save_every=10")
    straight = recipe(*steps, folder="straight")
    train_in_folder(straight, tokens=tokens)
    killed = recipe(*steps, folder="killed")
    command = ["train", str(killed.path), *steps, "--tokens", str(tokens), "--out", str(killed.run_folder)]
    process = subprocess.run([sys.executable, "-c", KILLED, *command], env=os.environ | {"XMTF_PROGRESS": "off"})
    assert process.returncode == -signal.SIGKILL
    assert not (killed.run_folder / "model").exists()
    assert [path.name for path in sorted((killed.run_folder / "checkpoints").glob("step-*"))] == ["step-000010"]
    train_in_folder(killed, tokens=tokens)
    assert weights_hash(killed) == weights_hash(straight)
    assert trained_steps(killed) == trained_steps(straight)


def test_an_encoder_decoder_trains(make_tokens, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.format(folder=tmp_path / "run", architecture="mt5"))
    loaded = load_recipe(path, ["training.optimizer.name=adafactor", "training.steps=2"])
    make_tokens(tmp_path, loaded, "encoder-decoder")
    train_in_folder(loaded, tokens=tmp_path / "tokens")
    assert load_model(str(tmp_path / "run" / "model")).family == "encoder-decoder"
    text = dry_run(loaded, tokens=tmp_path / "tokens")
    assert "decoder targets" in text
    assert "encoder-decoder" in text


def test_dry_run_shows_the_first_example_and_its_row(recipe, tokens):
    text = dry_run(recipe(), tokens=tokens)
    assert "inputs   'Capital of number" in text
    assert "segment  1" in text
    assert "loss     0" in text
    assert "estimated for one process" in text


def test_rows_that_do_not_divide_are_refused(recipe, tokens):
    with pytest.raises(
        ConfigError, match=r"training\.global_batch_rows: 4 rows are not divisible into micro-batches of 3"
    ):
        train_in_folder(recipe("training.micro_batch_rows=3"), tokens=tokens)


def test_missing_token_files_are_named(recipe, tmp_path):
    with pytest.raises(ConfigError, match=r"there are no finished token files; build them with .*--until tokens"):
        train_in_folder(recipe(), tokens=tmp_path / "nothing")


def test_memory_limit_refuses_before_training(recipe, tokens):
    with pytest.raises(ConfigError, match=r"memory_limit: training is estimated to need .* more than"):
        train_in_folder(recipe("memory_limit=100 kB"), tokens=tokens)


class Falling:
    """A measure that likes every model less than the one before."""

    name, kind = "falling", "rank"

    def __init__(self):
        self.left = 10

    fingerprint = "falling"

    def __call__(self, model):
        self.left -= 1
        return Measured(self.left / 10, {})


def test_the_best_weights_are_exported_where_the_recipe_says_so(recipe, tokens):
    watched = ("training.validation_suites=[falling]", "training.validate_every=2", "training.steps=4")
    last = recipe(*watched, folder="last")
    train_in_folder(last, tokens=tokens, measures=[Falling()])
    best = recipe(*watched, "training.export=best", folder="best")
    train_in_folder(best, tokens=tokens, measures=[Falling()])
    early = recipe("training.steps=2", folder="early")
    train_in_folder(early, tokens=tokens)
    assert weights_hash(best) == weights_hash(early) != weights_hash(last)
    with pytest.raises(ConfigError, match="no measures were given for them"):
        train_in_folder(recipe(*watched, folder="none"), tokens=tokens)


def test_loss_on_plain_text_stands_beside_that_of_the_mixture(recipe, tokens, tmp_path):
    (tmp_path / "text.jsonl").write_text('{"text": "Capital of number 5? city 5"}\n' * 20)
    loaded = recipe("training.validation_texts=[{path: text.jsonl, rows: 3}]", "training.steps=2")
    train_in_folder(loaded, tokens=tokens)
    events = [event for event in read_jsonl(loaded.run_folder / "log.jsonl") if event["event"] == "validation"]
    assert {event["group"] for event in events} == {"mixture", "pretraining text"}
    assert all(event["loss"] > 0 for event in events)


def test_a_text_that_is_not_there_is_left_out_by_name_where_it_is_optional(recipe, tokens, capsys, monkeypatch):
    monkeypatch.setenv("XMTF_PROGRESS", "on")
    loaded = recipe("training.validation_texts=[{path: none.jsonl, optional: true}]", "training.steps=2")
    assert present_texts(loaded) == []
    assert "'pretraining text' is skipped: there is no file" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(SourceError, match=r"training\.validation_texts: there is no file .*none\.jsonl"):
        present_texts(recipe("training.validation_texts=[{path: none.jsonl}]", folder="other"))


ADAPTED = ("model.lora={rank: 4, dropout: 0.1}", "training.optimizer.learning_rate=0.01")


def adapter_hash(loaded):
    return file_sha256(loaded.run_folder / "model" / "adapter_model.safetensors")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_adapters_train_resume_to_the_same_bytes_and_load_onto_their_base(recipe, tokens, precision, verify_outputs):
    options = (*ADAPTED, f"training.precision={precision}")
    straight = recipe(*options, folder="straight")
    train_in_folder(straight, tokens=tokens)
    cut = recipe(*options, "training.wall_clock_limit=0", folder="cut")
    for _ in range(5):
        with pytest.raises(Stopped):
            train_in_folder(cut, tokens=tokens)
    train_in_folder(cut, tokens=tokens)
    assert adapter_hash(cut) == adapter_hash(straight)
    folder = straight.run_folder / "model"
    verify_outputs(folder)
    assert (folder / "tokenizer.json").exists()
    assert not (folder / "config.json").exists()
    names = set(tensor_shapes(straight.run_folder / "checkpoints" / "step-000006"))
    assert {name.rpartition(".")[2] for name in names if name.startswith("model.")} == {"lora_A", "lora_B"}
    model, start = (load_model(str(straight.run_folder / name)).model for name in ("model", "initial"))
    ids = torch.tensor([[5, 6, 7, 8]])
    assert not torch.allclose(model.hidden_states(ids), start.hidden_states(ids), atol=1e-4)


def test_adapters_beside_quantised_weights_resume_load_and_are_merged_in_full_precision(
    recipe, tokens, capsys, monkeypatch
):
    pytest.importorskip("bitsandbytes", reason="the package bitsandbytes is not installed")
    monkeypatch.setenv("XMTF_PROGRESS", "on")
    options = (*ADAPTED, "model.quantize=nf4", "training.steps=2", "training.activation_checkpointing=true")
    text = dry_run(recipe(*options), tokens=tokens)
    assert "in adapters" in text
    straight, merged = recipe(*options, folder="straight"), recipe(*options, "model.lora.merge=true", folder="merged")
    plain = recipe(*(option for option in options if "quantize" not in option), folder="plain")
    cut = recipe(*options, "training.wall_clock_limit=0", folder="cut")
    for loaded in (straight, plain, merged):
        train_in_folder(loaded, tokens=tokens)
    assert "merged into the base in full precision" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(Stopped):
        train_in_folder(cut, tokens=tokens)
    train_in_folder(cut, tokens=tokens)
    assert adapter_hash(cut) == adapter_hash(straight) != adapter_hash(plain)
    names = set(tensor_shapes(straight.run_folder / "checkpoints" / "step-000002"))
    assert {name.rpartition(".")[2] for name in names if name.startswith("model.")} == {"lora_A", "lora_B"}
    apart, whole = (load_model(str(loaded.run_folder / "model")).model for loaded in (straight, merged))
    ids = torch.tensor([[5, 6, 7, 8]])
    torch.testing.assert_close(apart.hidden_states(ids), whole.hidden_states(ids), atol=1e-5, rtol=1e-5)
    further = load_recipe(straight.path, [
        f"model={{base: '{straight.run_folder / 'model'}', quantize: nf4, lora: {{rank: 4, dropout: 0.1}}}}",
        f"run_folder={straight.run_folder.parent / 'further'}", "training.steps=1",
    ])  # fmt: skip
    train_in_folder(further, tokens=tokens)
    assert adapter_hash(further) != adapter_hash(straight)


def test_quantised_weights_without_adapters_are_refused_and_with_shards_too(recipe, tokens):
    with pytest.raises(
        ConfigError, match="quantize stores frozen weights in few bits while adapters train; give `lora`"
    ):
        recipe("model.quantize=nf4")
    with pytest.raises(ConfigError, match=r"quantised weights \(model.quantize\) cannot be sharded"):
        dry_run(recipe(*ADAPTED, "model.quantize=int8", "training.parallel.dp_shard=2"), tokens=tokens)


def test_quantised_weights_without_bitsandbytes_are_one_line_before_any_work(recipe, tokens, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(UserError, match=r"bitsandbytes.*xmtf\[gpu\]"):
        train_in_folder(recipe(*ADAPTED, "model.quantize=nf4", folder="none"), tokens=tokens)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_adapters_are_merged_on_request_into_weights_in_fp32(recipe, tokens, tmp_path, precision):
    options = (*ADAPTED, f"training.precision={precision}")
    apart, merged = recipe(*options, folder="apart"), recipe(*options, "model.lora.merge=true", folder="merged")
    train_in_folder(apart, tokens=tokens)
    train_in_folder(merged, tokens=tokens)
    (apart.run_folder / "tokens").symlink_to(tokens)
    export_checkpoint(apart.run_folder, tmp_path / "exported", merge=True)
    export_checkpoint(apart.run_folder, tmp_path / "wide", merge=True, dtype="fp32")
    folders = (merged.run_folder / "model", tmp_path / "exported", tmp_path / "wide", apart.run_folder / "model")
    models = [load_model(str(folder)).model for folder in folders]
    assert file_sha256(folders[0] / "model.safetensors") == file_sha256(folders[1] / "model.safetensors")
    ids = torch.tensor([[5, 6, 7, 8]])
    torch.testing.assert_close(models[2].hidden_states(ids), models[3].hidden_states(ids), rtol=1e-4, atol=1e-5)
    stored = stored_dtype(str(folders[0]))
    assert stored == (torch.float32 if precision == "fp32" else torch.bfloat16)
    for ours, wide in zip(models[0].parameters(), models[2].parameters(), strict=True):
        assert torch.equal(ours, wide.to(stored).float())


def test_training_goes_on_from_adapters_or_merges_them(recipe, tokens):
    first = recipe(*ADAPTED, folder="first")
    train_in_folder(first, tokens=tokens)
    base = f"model={{base: {first.run_folder / 'model'}"
    further = recipe(f"{base}, lora: {{rank: 4}}}}", folder="further")
    train_in_folder(further, tokens=tokens)
    about = read_json(further.run_folder / "model" / "adapter_config.json")
    assert about["base_model_name_or_path"] == str(first.run_folder / "initial")
    whole = recipe(f"{base}}}", folder="whole")
    train_in_folder(whole, tokens=tokens)
    assert (whole.run_folder / "model" / "model.safetensors").exists()
    with pytest.raises(ConfigError, match="has no trained adapters"):
        export_checkpoint(whole.run_folder, whole.run_folder / "exported", merge=True)
    with pytest.raises(ConfigError, match="have rank 4 and alpha 32; give the same"):
        train_in_folder(recipe(f"{base}, lora: {{rank: 8}}}}", folder="other"), tokens=tokens)


def test_a_dry_run_counts_what_trains(recipe, tokens):
    assert re.search(r"; [\d,]+ train, in adapters", dry_run(recipe(*ADAPTED), tokens=tokens))
