import json

import pytest
from typer.testing import CliRunner

from xmtf.cli.app import build_app
from xmtf.errors import ConfigError, UnknownNameError
from xmtf.models import SpecialTokens, build_model, save_model
from xmtf.recipe.schema import Model


def call(*arguments, **how):
    return CliRunner().invoke(build_app(arguments[0]), list(map(str, arguments)), catch_exceptions=False, **how)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a small random BLOOM with a tokenizer of bytes."""
    from xmtf.tokens.tokenizer.training import train_tokenizer

    folder = tmp_path_factory.mktemp("model")
    tokenizer = train_tokenizer([["some words to learn from, again and again"] * 20], 300, "causal")
    tokenizer.save(folder)
    shape = Model(architecture="bloom", hidden_size=32, num_layers=1, num_heads=2)
    special = SpecialTokens(pad=tokenizer.pad, eos=tokenizer.eos, bos=tokenizer.bos)
    save_model(build_model(shape, vocab_size=384, special=special, seed=1), folder, tokenizer=None)
    return folder


def test_a_prompt_is_answered_from_an_argument_and_from_a_pipe(folder):
    first = call("generate", "words.", "--model", folder, "--max-new-tokens", 8)
    assert first.exit_code == 0
    assert "clear end" not in first.stderr
    assert call("generate", "--model", folder, "--max-new-tokens", 8, input="words.\n").stdout == first.stdout


def test_a_prompt_with_an_open_end_is_answered_with_advice(folder):
    result = call("generate", "Translate: Je t'aime", "--model", folder, "--max-new-tokens", 2)
    assert result.exit_code == 0
    assert "Translate: Je t'aime." in result.stderr


def test_a_file_of_prompts_comes_back_with_answers(folder, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"prompt": "words.", "id": 1}\n{"prompt": "open"}\n')
    arguments = ("--model", folder, "--file", tmp_path / "in.jsonl", "--max-new-tokens", 4)
    result = call("generate", *arguments, "--out", tmp_path / "out.jsonl")
    assert "1 of 2 prompts have no clear end" in result.stderr
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [sorted(line) for line in lines] == [["id", "output", "prompt"], ["output", "prompt"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("hi.",), "--model"),
        (("hi.", "--model", "m", "--file", "f"), "not both"),
        (("hi.", "--model", "m", "--out", "o.jsonl"), "--out"),
        (("--model", "m", "--file", "nowhere.txt"), "nowhere"),
    ],
)
def test_what_does_not_go_together_is_refused_before_a_model_is_loaded(arguments, message):
    with pytest.raises(ConfigError, match=message):
        call("generate", *arguments)


def test_the_released_models_are_listed():
    models = json.loads(call("model", "list", "--json").stdout)
    assert len(models) == 27 + 6
    assert {"BLOOMZ", "mT0"} <= {model["family"] for model in models}
    listed = {model["hub_id"] for model in models}
    assert {model["base"] for model in models} - {""} <= listed
    assert {f"google/mt5-{size}" for size in ("small", "base", "large", "xl", "xxl")} <= listed
    assert "bigscience/mt0-xxl-mt" in call("model", "list", "--family", "mT0").stdout
    with pytest.raises(UnknownNameError, match="'bloom'"):
        call("model", "list", "--family", "bloom")
