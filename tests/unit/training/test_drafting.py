"""``xmtf train --model M --data FILE``: a recipe is written, what is missing is made, the run is an ordinary one."""

import json

import pytest
from typer.testing import CliRunner

from xmtf.cli.app import build_app
from xmtf.errors import ConfigError
from xmtf.files import file_sha256
from xmtf.models import SpecialTokens, build_model, save_model
from xmtf.recipe import load_recipe
from xmtf.recipe.schema import Model
from xmtf.runs.drafting import draft_recipe
from xmtf.runs.pipeline import run_recipe
from xmtf.tokens import load_tokenizer

SMALL = ("tokens.packing.sequence_length=64", "training.steps=1", "training.threads=1", "execution.engine=inline")
ANSWERED = [(f"What is the capital of country number {n}?", f"It is city {n}.") for n in range(12)]


@pytest.fixture
def here(tmp_path, make_tokens, monkeypatch):
    """A folder with a tiny model, rows and conversations, which is the current one."""
    monkeypatch.chdir(tmp_path)
    shape = "{architecture: bloom, hidden_size: 16, num_layers: 1, num_heads: 2}"
    (tmp_path / "tokens.yaml").write_text(
        f"name: t\nmixture: {{tasks: [{{}}]}}\nmodel: {shape}\ntraining: {{steps: 1}}\n"
        "tokens: {tokenizer: {train_vocab_size: 300}}\nexecution: {engine: inline}\n"
    )
    make_tokens(tmp_path, load_recipe(tmp_path / "tokens.yaml"), "causal")
    config = Model(architecture="bloom", hidden_size=16, num_layers=1, num_heads=2)
    tokenizer = load_tokenizer(tmp_path / "tokens" / "tokenizer")
    special = SpecialTokens(pad=tokenizer.pad, eos=tokenizer.eos, bos=tokenizer.bos)
    model = build_model(config, vocab_size=tokenizer.vocab_size, special=special, seed=1)
    save_model(model, tmp_path / "base", tokenizer=tmp_path / "tokens" / "tokenizer")
    rows = {
        "rows": [{"prompt": asked, "completion": said, "note": 1} for asked, said in ANSWERED],
        "chat": [
            {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]}
            for asked, said in ANSWERED
        ],
        "odd": [{"text": "no pair"}],
    }
    for name, records in rows.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return tmp_path


def invoke(*arguments):
    result = CliRunner().invoke(build_app("train"), ["train", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


def test_a_file_and_a_model_become_a_recipe_that_trains_and_is_resumed_as_any_other(here):
    asked = ("--model", "base", "--data", "rows.jsonl", *SMALL)
    shown = invoke(*asked, "--dry-run")
    assert "base-rows.yaml (new)" in shown
    assert "jinja: '{{ prompt }} ||| {{ completion }}'" in shown
    assert not (here / "base-rows.yaml").exists()
    told = invoke(*asked)
    for line in (
        "12 rows, pairs (prompt and completion)",
        "runs/base-rows/mixture (to be made)",
        "adapters of rank 16",
    ):
        assert line in told
    weights = here / "runs" / "base-rows" / "model" / "adapter_model.safetensors"
    before = file_sha256(weights), weights.stat().st_mtime_ns
    again = invoke(*asked)
    assert "base-rows.yaml (exists)" in again
    assert "runs/base-rows/model (exists)" in again
    run_recipe(load_recipe(here / "base-rows.yaml"))
    assert (file_sha256(weights), weights.stat().st_mtime_ns) == before
    with pytest.raises(ConfigError, match=r"base-rows\.yaml: exists and differs; run it"):
        invoke("--model", "base", "--data", "rows.jsonl", *SMALL, "training.steps=2")


def test_conversations_other_columns_and_mixed_up_arguments(here):
    draft = draft_recipe("base", here / "chat.jsonl", SMALL, language="sw")
    (task,) = draft.loaded.recipe.own_tasks
    assert (task.kind, task.language, task.templates) == ("conversation", "sw", None)
    assert "12 rows, conversations (messages), language sw (as given)" in "\n".join(draft.lines)
    with pytest.raises(ConfigError, match=r"odd\.jsonl: no columns to train on: it has text; it takes messages, or "):
        draft_recipe("base", here / "odd.jsonl", SMALL)
    for arguments, message in (
        (("--model", "base"), "--model and --data go together"),
        (("tokens.yaml", "--model", "base", "--data", "rows.jsonl"), "give either a recipe, or"),
        ((), "give a recipe, or --model M and --data FILE"),
    ):
        with pytest.raises(ConfigError, match=message):
            invoke(*arguments)
