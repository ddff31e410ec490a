"""From a mixture on disk to token files: what stands in them, what is dropped, what is not done twice."""

import errno
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import xmtf.tokens.build.encode
from xmtf.artefacts.ownership import claim
from xmtf.errors import ConfigError, DataError, UserError
from xmtf.files import Manifest, alone_in, write_manifest
from xmtf.mixture.validation import held_out_rows, validation_limits
from xmtf.recipe.load import LoadedRecipe
from xmtf.tokens import load_tokenizer, open_store, tokenize_mixture
from xmtf.tokens.build.build import run_token_tasks, write_tokens_plan
from xmtf.tokens.build.sampling import sample_texts, sqrt_quotas
from xmtf.tokens.store.prefixes import store_prefix

Recipe = Callable[..., LoadedRecipe]


def _rows(mixture: Path, language: str) -> list[dict[str, str]]:
    return pq.read_table(mixture / f"language={language}").to_pylist()


def test_a_folder_of_another_stage_is_not_written_into(mixture: Path, recipe: Recipe) -> None:
    before = sorted(mixture.rglob("*"))
    with pytest.raises(ConfigError, match="contains something other than token files"):
        tokenize_mixture(recipe(), mixture, mixture, family="causal")
    assert sorted(mixture.rglob("*")) == before


def test_a_folder_of_other_files_is_not_written_into(mixture: Path, recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "project" / "languages").mkdir(parents=True)
    (tmp_path / "project" / "thesis.tex").write_text("mine")
    with pytest.raises(ConfigError, match="contains something other than token files"):
        tokenize_mixture(recipe(), mixture, tmp_path / "project", family="causal")


def test_two_processes_never_write_into_one_folder(mixture: Path, recipe: Recipe, tmp_path: Path) -> None:
    claim(tmp_path / "tokens", "tokens", "token files")
    with alone_in(tmp_path / "tokens" / "shards"), pytest.raises(UserError, match="another xmtf process works"):
        tokenize_mixture(recipe(), mixture, tmp_path / "tokens", family="causal")
    tokenize_mixture(recipe(), mixture, tmp_path / "tokens", family="causal")
    assert not list((tmp_path / "tokens").rglob(".lock"))


def test_what_killed_runs_left_is_deleted(mixture: Path, recipe: Recipe, tmp_path: Path) -> None:
    out = tmp_path / "tokens"
    tokenize_mixture(recipe(), mixture, out, family="causal")
    names = {path.name for path in out.iterdir()}
    (out / "shards").mkdir()
    (out / f".small_en_clusters.npy.{socket.gethostname()}-99999999.tmp").write_text("half")
    tokenize_mixture(recipe(), mixture, out, family="causal")
    assert {path.name for path in out.iterdir()} == names


def test_a_mixture_that_lacks_a_part_or_has_a_changed_one_is_refused(
    mixture: Path, recipe: Recipe, tmp_path: Path
) -> None:
    mixture = shutil.copytree(mixture, tmp_path / "mixture")
    part = next((mixture / "language=hi").iterdir())
    whole = part.read_bytes()
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 1
    part.write_bytes(changed)
    with pytest.raises(DataError, match="does not match its recorded checksum"):
        tokenize_mixture(recipe(), mixture, tmp_path / "tokens", family="causal")
    part.unlink()
    with pytest.raises(DataError, match=r"language=hi/.*parquet: is missing"):
        tokenize_mixture(recipe(), mixture, tmp_path / "tokens", family="causal")


def test_other_special_tokens_of_a_tokenizer_make_the_folder_anew(
    mixture: Path, recipe: Recipe, tmp_path: Path
) -> None:
    tokenize_mixture(recipe(), mixture, tmp_path / "first", family="causal")
    folder = tmp_path / "first" / "tokenizer"
    for path in (folder, folder / "tokenizer.json"):
        loaded = recipe(f"tokens.tokenizer={{path: {path}}}")
        before = tokenize_mixture(loaded, mixture, tmp_path / path.name, family="causal")
        config = (folder / "tokenizer_config.json").read_text()
        eos, pad = ("</s>", "<pad>") if before.details["special"]["eos"] == 2 else ("<pad>", "</s>")
        (folder / "tokenizer_config.json").write_text(config.replace(f'"eos_token": "{eos}"', f'"eos_token": "{pad}"'))
        after = tokenize_mixture(loaded, mixture, tmp_path / path.name, family="causal", replace=True)
        assert after.details["special"]["eos"] != before.details["special"]["eos"]


def test_items_are_the_rows_of_the_mixture_those_for_validation_last(
    mixture: Path, recipe: Recipe, tmp_path: Path, verify_outputs: Callable[[Path], None]
) -> None:
    manifest = tokenize_mixture(recipe(), mixture, tmp_path / "tokens", family="causal")
    tokenizer = load_tokenizer(tmp_path / "tokens" / "tokenizer")
    limits = validation_limits(mixture, 0.1)
    for language in ("en", "fr", "hi"):
        table, files = (
            pq.read_table(mixture / f"language={language}"),
            store_prefix(tmp_path / "tokens", "small", language),
        )
        is_held_out = held_out_rows(table, limits[language])
        rows = [*table.filter(~is_held_out).to_pylist(), *table.filter(is_held_out).to_pylist()]
        assert manifest.details["languages"][language]["validation"] == table.num_rows // 10 == is_held_out.sum()
        inputs, targets = open_store(files.inputs), open_store(files.targets)
        assert [tokenizer.decode(item) for item in inputs] == [row["inputs"] for row in rows]
        assert [tokenizer.decode(item, keep_special=True) for item in targets] == [
            f" {row['targets']}</s>" for row in rows
        ]
        names = [manifest.details["clusters"][number] for number in np.load(files.clusters)]
        assert names == [row["cluster"] for row in rows]
    assert (manifest.counts["in"], manifest.counts["out"]) == (410, 410)
    assert manifest.details["languages"]["hi"]["out"] == 40
    assert manifest.details["tokenizer"] == tokenizer.fingerprint
    assert manifest.details["validation_fraction"] == 0.1
    verify_outputs(tmp_path / "tokens")
    assert not (tmp_path / "tokens" / "shards").exists()


def test_encoder_decoder_has_no_space_and_the_ids_of_mt5(mixture: Path, recipe: Recipe, tmp_path: Path) -> None:
    loaded = recipe("tokens.end_of_inputs=true")
    tokenize_mixture(loaded, mixture, tmp_path / "tokens", family="encoder-decoder")
    tokenizer = load_tokenizer(tmp_path / "tokens" / "tokenizer")
    files, row = store_prefix(tmp_path / "tokens", "small", "fr"), _rows(mixture, "fr")[0]
    assert tokenizer.decode(open_store(files.inputs)[0], keep_special=True) == row["inputs"] + "</s>"
    assert tokenizer.decode(open_store(files.targets)[0], keep_special=True) == row["targets"] + "</s>"
    assert (tokenizer.pad, tokenizer.eos) == (0, 1)


def test_a_finished_folder_is_not_done_again(mixture: Path, recipe: Recipe, tmp_path: Path) -> None:
    first = tokenize_mixture(recipe(), mixture, tmp_path / "tokens", family="causal")
    stamp = (tmp_path / "tokens" / "manifest.json").stat().st_mtime_ns
    packed_otherwise = recipe("tokens.packing.policy=pad", "tokens.weights=equal")
    assert tokenize_mixture(packed_otherwise, mixture, tmp_path / "tokens", family="causal") == first
    assert (tmp_path / "tokens" / "manifest.json").stat().st_mtime_ns == stamp
    loaded = recipe("tokens.end_of_targets=false")
    (tmp_path / "tokens" / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="the finished token files there would be lost"):
        tokenize_mixture(loaded, mixture, tmp_path / "tokens", family="causal")
    other = tokenize_mixture(loaded, mixture, tmp_path / "tokens", family="causal", replace=True)
    assert (tmp_path / "tokens" / "mine.txt").read_text() == "mine"
    assert other.fingerprint != first.fingerprint


def test_killed_half_way_finished_shards_stay(
    mixture: Path, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode_shard, done = xmtf.tokens.build.encode.encode_shard, []

    def fails_on_the_third(spec: dict[str, str], folder: Path) -> dict[str, object]:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(spec["shard"])
        return encode_shard(spec, folder)

    monkeypatch.setattr(xmtf.tokens.build.encode, "encode_shard", fails_on_the_third)
    with pytest.raises(KeyboardInterrupt):
        tokenize_mixture(recipe(), mixture, tmp_path / "tokens", family="causal")
    assert not (tmp_path / "tokens" / "manifest.json").exists()
    again: list[str] = []

    def counts(spec: dict[str, str], folder: Path) -> dict[str, object]:
        again.append(spec["shard"])
        return encode_shard(spec, folder)

    monkeypatch.setattr(xmtf.tokens.build.encode, "encode_shard", counts)
    resumed = tokenize_mixture(recipe(), mixture, tmp_path / "tokens", family="causal")
    assert len(again) == 4
    assert not set(again) & set(done)
    monkeypatch.undo()
    whole = tokenize_mixture(recipe(), mixture, tmp_path / "whole", family="causal")
    assert whole.outputs == resumed.outputs


def test_a_full_disk_ends_a_job_in_one_line_and_leaves_whole_shards_alone(
    mixture: Path, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, save, saved = tmp_path / "tokens", np.save, list[Path]()

    def fills_up(path: Path, *array: object, **how: object) -> None:
        saved.append(path)
        if len(saved) == 3:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        save(path, *array, **how)

    tasks = write_tokens_plan(recipe(), mixture, out, family="causal")
    monkeypatch.setattr(np, "save", fills_up)
    with pytest.raises(UserError, match=r"the disk is full; free some space and run the same command again to resume$"):
        list(run_token_tasks(out, 0, 1))
    assert [path.name for path in (out / "shards").iterdir() if path.is_dir()] == [saved[0].parts[-3].split(".")[1]]
    monkeypatch.undo()
    assert len(list(run_token_tasks(out, 0, 1))) == tasks


def test_a_tokenizer_of_ones_own(mixture: Path, recipe: Recipe, tmp_path: Path) -> None:
    trained = tokenize_mixture(recipe(), mixture, tmp_path / "tokens", family="causal")
    folder = tmp_path / "tokens" / "tokenizer"
    beside_the_recipe = recipe("tokens.tokenizer.path=tokens/tokenizer")
    named = tokenize_mixture(beside_the_recipe, mixture, tmp_path / "named", family="causal")
    base = tokenize_mixture(
        recipe("tokens.tokenizer.train_vocab_size="), mixture, tmp_path / "base", family="causal", base=str(folder)
    )
    assert named.outputs == base.outputs == trained.outputs
    changed = folder / "tokenizer.json"
    changed.write_text(changed.read_text(encoding="utf-8").replace("<unk>", "<new>"), encoding="utf-8")
    again = tokenize_mixture(beside_the_recipe, mixture, tmp_path / "named", family="causal", replace=True)
    assert again.fingerprint != named.fingerprint


@pytest.mark.parametrize(
    ("overrides", "base", "says"),
    [
        (["model.vocab_size=320"], None, r"has 400 tokens, but model\.vocab_size of .* has room for 320"),
        ([], "some/model", "some/model already has a tokenizer; remove it"),
    ],
)
def test_what_does_not_fit(
    mixture: Path, recipe: Recipe, tmp_path: Path, overrides: list[str], base: str | None, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        tokenize_mixture(recipe(*overrides), mixture, tmp_path / "tokens", family="causal", base=base)


def test_a_mixture_that_is_not_there_or_empty(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="build it first"):
        tokenize_mixture(recipe(), tmp_path / "nowhere", tmp_path / "tokens", family="causal")
    (tmp_path / "empty").mkdir()
    write_manifest(tmp_path / "empty", Manifest("mixture", "x"))
    with pytest.raises(DataError, match="there is no mixture"):
        tokenize_mixture(recipe(), tmp_path / "empty", tmp_path / "tokens", family="causal")


def test_small_languages_are_sampled_more() -> None:
    assert sqrt_quotas({"en": 900, "fr": 100}, 400) == {"en": 300, "fr": 100}
    assert sqrt_quotas({"en": 900, "yo": 4, "no": 0}, 400) == {"en": 396, "yo": 4, "no": 0}
    assert sqrt_quotas({"en": 9, "yo": 4}, 400) == {"en": 9, "yo": 4}


def test_the_tail_that_is_validation_is_not_sampled(mixture: Path) -> None:
    batches = list(sample_texts(mixture, 10_000, 0.1, space=True))
    texts = [text for batch in batches for text in batch]
    assert len(texts) == 2 * (225 + 108 + 36)
    assert " city 224 of the north" in texts
    assert " city 225 of the north" not in texts
