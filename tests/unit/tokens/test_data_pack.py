"""`xmtf data pack`, `peek --row` and `split-files` as a user calls them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from xmtf.cli.data.verbs import app
from xmtf.errors import ConfigError, UnknownNameError
from xmtf.files import read_json, write_json
from xmtf.recipe.load import LoadedRecipe
from xmtf.tokens import load_tokenizer, open_store, read_split_file
from xmtf.tokens.store.prefixes import store_prefix


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def texts(folder: Path, side: str, prefix: str = "mixture", language: str = "fr") -> list[str]:
    tokenizer = load_tokenizer(folder / "tokenizer")
    store = open_store(getattr(store_prefix(folder, prefix, language), side))
    return [tokenizer.decode(item, keep_special=True) for item in store]


def test_a_bare_folder_with_a_tokenizer(mixture: Path, tokens: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    printed = json.loads(run("pack", mixture, "--tokenizer", tokens / "tokenizer", "--out", out, "--json"))
    assert (printed["folder"], printed["in"], printed["out"]) == (str(out), 410, 410)
    assert texts(out, "inputs")[0] == "Quelle est la capitale du pays numéro 0 ?"
    assert texts(out, "targets")[0] == " la ville 0</s>"


def test_counts_are_a_table_by_language(mixture: Path, tokens: Path, tmp_path: Path) -> None:
    heading, *rows, _, last = run(
        "pack", mixture, "--tokenizer", tokens / "tokenizer", "--out", tmp_path / "out"
    ).splitlines()
    assert heading.split("  ") == ["language", "examples", "input tokens", "target tokens", "bytes per token"]
    assert [row.split()[:2] for row in rows] == [["en", "250"], ["fr", "120"], ["hi", "40"]]
    assert last.startswith(f"{tmp_path / 'out'}: 410 of 410 examples, ")


def test_a_tokenizer_json_and_every_end(mixture: Path, tokens: Path, tmp_path: Path) -> None:
    ends = ("--no-space-before-targets", "--begin-of-inputs", "--end-of-inputs", "--no-end-of-targets")
    tokenizer = tokens / "tokenizer" / "tokenizer.json"
    run("pack", mixture, "name=xp3", "--tokenizer", tokenizer, "--out", tmp_path / "out", *ends)
    assert texts(tmp_path / "out", "inputs", "xp3")[0] == "<s>Quelle est la capitale du pays numéro 0 ?</s>"
    assert texts(tmp_path / "out", "targets", "xp3")[0] == "la ville 0"


def test_an_encoder_decoder_has_no_space(mixture: Path, tokens_of_mt5: Path, tmp_path: Path) -> None:
    family = ("--family", "encoder-decoder")
    run("pack", mixture, "--tokenizer", tokens_of_mt5 / "tokenizer", "--out", tmp_path / "out", *family)
    assert texts(tmp_path / "out", "targets")[0] == "la ville 0</s>"
    assert "decoder targets" in run("peek", tmp_path / "out", "--row", 1)


def test_a_recipe_and_its_folders(
    mixture: Path, recipe: Callable[..., LoadedRecipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = recipe().path
    shutil.copytree(mixture, "runs/small/mixture")
    with pytest.raises(ConfigError, match="there are no finished token files; build them with `xmtf data pack"):
        run("peek", path, "--row", 0)
    printed = json.loads(run("pack", path, "tokens.tokenizer.train_vocab_size=350", "--json"))
    assert printed["folder"] == "runs/small/tokens"
    assert load_tokenizer("runs/small/tokens/tokenizer").vocab_size == 350
    elsewhere = json.loads(run("pack", path, "--mixture", mixture, "--out", "elsewhere", "--json"))
    assert elsewhere["out"] == printed["out"]
    in_a_run = run("peek", path, "--row", 2, "tokens.packing.policy=pad")
    assert in_a_run.startswith("row 2 (")
    assert run("peek", path, "--tokens", "elsewhere", "--row", 2) != in_a_run


def test_a_folder_needs_out(mixture: Path) -> None:
    with pytest.raises(ConfigError, match="give --out FOLDER"):
        run("pack", mixture)


def test_rows_of_a_bare_folder_take_overrides(tokens: Path) -> None:
    text = run("peek", tokens, "--row", 0, "tokens.packing.policy=pad", "tokens.packing.sequence_length=40")
    lines = text.splitlines()
    spelt = "".join(line.removeprefix("token").replace(" ", "") for line in lines if line.startswith("token"))
    assert spelt.endswith("</s>")
    assert {"token", "id", "segment", "loss"} <= {line.split(" ")[0] for line in lines}
    used, empty = (int(word) for word in lines[-1].split() if word.isdigit())
    assert used + empty == 41


def test_split_files_are_what_megatron_reads(tokens: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tokens"
    shutil.copytree(tokens, folder)
    assert run("split-files", folder, "--weights", "equal", "--multiplier", "hi=1.5").splitlines() == [
        f"{folder / 'train.txt'}: 3 languages",
        f"{folder / 'validation.txt'}: 3 languages",
    ]
    assert (folder / "train.txt").read_text() == (
        f'"train: 0.33333333 0.0:0.9 {folder}/small_en, 0.33333333 0.0:0.9 {folder}/small_fr, '
        f'0.5 0.0:0.9 {folder}/small_hi"\n'
    )
    (validation,) = read_split_file(folder / "validation.txt")
    assert [(item.start, item.end) for item in validation.items] == [(0.9, 1.0)] * 3
    run("split-files", folder, "--replace")
    (group,) = read_split_file(folder / "train.txt")
    assert sum(item.weight for item in group.items) == pytest.approx(1)
    assert group.items[0].weight > group.items[1].weight > group.items[2].weight
    run("split-files", folder, "--weights", "xp3", "--replace")
    (published,) = read_split_file(folder / "train.txt")
    assert published.items[0].weight > 5 * published.items[1].weight


def test_mistakes_in_split_files(mixture: Path, tokens: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a mixture folder"):
        run("split-files", mixture)
    with pytest.raises(ConfigError, match="there are no finished token files"):
        run("split-files", tmp_path)
    with pytest.raises(ConfigError, match="expected LANGUAGE=FACTOR"):
        run("split-files", tokens, "--multiplier", "code")
    with pytest.raises(UnknownNameError, match="unknown language"):
        run("split-files", tokens, "--multiplier", "code=1.3")
    manifest = read_json(tokens / "manifest.json")
    manifest["details"]["languages"]["de"] = manifest["details"]["languages"].pop("fr")
    del manifest["hash"]
    write_json(tmp_path / "manifest.json", manifest)
    with pytest.raises(UnknownNameError, match=r"published weights of xP3: unknown language 'de'"):
        run("split-files", tmp_path, "--weights", "xp3")
