"""Runs that know what they are: no old weights under a new recipe, nothing that is finished or the user's is lost."""

import shutil
from pathlib import Path

import pytest

from xmtf.cli.app import _run as xmtf
from xmtf.errors import ConfigError
from xmtf.files import file_sha256, read_json, read_manifest
from xmtf.recipe import load_recipe
from xmtf.runs.pipeline import run_recipe

OWN = Path(__file__).parents[2] / "examples" / "own-data" / "recipe.yaml"
FAST = ("execution.engine=inline", "training.steps=4", "training.threads=1", "training.device=cpu")


def loaded(folder, *overrides, recipe=OWN):
    return load_recipe(recipe, [f"run_folder={folder}", *FAST, *overrides])


def weights(folder):
    return file_sha256(folder / "model" / "model.safetensors")


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """Return the folder of a run of four steps, for tests that copy it."""
    folder = tmp_path_factory.mktemp("once") / "run"
    run_recipe(loaded(folder))
    return folder


@pytest.fixture
def finished(once, tmp_path):
    shutil.copytree(once, tmp_path / "run", symlinks=True)
    return tmp_path / "run"


def snapshot(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock" and path.name not in (".lock", ".xmtf.json")
    }


KEYS = (
    ("tokens.packing.policy=pad", "tokens.packing.sequence_length=32"),
    ("seed=7",),
    # the fingerprints that every key changes are held by tests/unit/recipe/test_effects.py
    pytest.param(("training.micro_batch_rows=2", "training.loss=target_compat"), marks=pytest.mark.slow),
    pytest.param(("tokens.multipliers={sw: 2.0}", "training.optimizer.learning_rate=1e-3"), marks=pytest.mark.slow),
    pytest.param(("model.dropout=0.1",), marks=pytest.mark.slow),
    pytest.param(("tokens.tokenizer.train_vocab_size=320",), marks=pytest.mark.slow),
)


@pytest.mark.parametrize("changed", KEYS, ids=lambda keys: keys[0])
def test_a_changed_key_gives_what_a_fresh_folder_gives(finished, tmp_path, changed):
    before = snapshot(finished)
    with pytest.raises(ConfigError, match=r"the finished model \(step 4\).*would be lost; give run_folder=.*run-2"):
        run_recipe(loaded(finished, *changed))
    assert snapshot(finished) == before  # recipe.yaml included
    run_recipe(loaded(finished, *changed), replace=True)
    run_recipe(loaded(tmp_path / "fresh", *changed))
    assert weights(finished) == weights(tmp_path / "fresh")


RATE = "training.optimizer.learning_rate=1e-3"
LOSSES = {
    "run": (RATE,),
    "train": (RATE,),
    "launch local": (RATE,),
    "launch slurm": (RATE,),
    "data build": ("mixture.validation_fraction=0.3",),
    "data plan": ("mixture.validation_fraction=0.3", "--write"),
    "data merge": ("mixture.validation_fraction=0.3",),
    "data pack": ("tokens.tokenizer.train_vocab_size=320",),
    "evaluate run": (
        "evaluation.suites=[{name: words, tasks: [{tasks: [words], splits: [train]}]}]",
        "evaluation.max_new_tokens=3",
    ),
}


@pytest.mark.parametrize("verb", LOSSES)
def test_what_is_finished_is_replaced_on_purpose_alone(finished, tmp_path, capsys, monkeypatch, verb):
    monkeypatch.chdir(tmp_path)
    keys = [*verb.split(), str(OWN), f"run_folder={finished}", *FAST, *LOSSES[verb]]
    if verb == "evaluate run":
        assert xmtf([*keys, "evaluation.samples=0", "evaluation.max_new_tokens=2"]) == 0
    before = snapshot(tmp_path)
    capsys.readouterr()
    assert xmtf(keys) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "would be lost; give " in said
    assert "-2" in said  # another place
    assert said.endswith("or --replace to replace it")
    assert snapshot(tmp_path) == before


def test_a_run_of_an_earlier_version_counts_by_its_manifests(finished):
    for marker in finished.rglob(".xmtf.json"):
        marker.unlink()
    first = weights(finished)
    run_recipe(loaded(finished))
    assert weights(finished) == first
    run_recipe(loaded(finished, RATE), replace=True)
    assert weights(finished) != first


def test_more_steps_under_other_packing_do_not_resume_the_old_checkpoint(finished, tmp_path):
    pad = ("tokens.packing.policy=pad", "tokens.packing.sequence_length=32", "training.steps=8")
    assert xmtf(["train", str(OWN), f"run_folder={finished}", *FAST, *pad]) == 2
    assert xmtf(["train", str(OWN), f"run_folder={finished}", *FAST, *pad, "--replace"]) == 0
    run_recipe(loaded(tmp_path / "fresh", *pad))
    assert weights(finished) == weights(tmp_path / "fresh")


def test_more_steps_of_the_same_training_need_no_leave_and_fewer_do(finished, tmp_path):
    run_recipe(loaded(finished, "training.steps=8"))
    run_recipe(loaded(tmp_path / "fresh", "training.steps=8"))
    assert weights(finished) == weights(tmp_path / "fresh")
    with pytest.raises(ConfigError, match="step 8"):
        run_recipe(loaded(finished))


def test_micro_batches_of_target_compat_make_another_training(tmp_path):
    compat = ("training.loss=target_compat",)
    run_recipe(loaded(tmp_path / "run", *compat), until="train")
    with pytest.raises(ConfigError, match="would be lost"):
        run_recipe(loaded(tmp_path / "run", *compat, "training.micro_batch_rows=1"))
    run_recipe(loaded(tmp_path / "run", *compat, "training.micro_batch_rows=1"), replace=True)
    run_recipe(loaded(tmp_path / "fresh", *compat, "training.micro_batch_rows=1"))
    assert weights(tmp_path / "run") == weights(tmp_path / "fresh")


def test_export_takes_the_weights_that_card_and_results_speak_of(tmp_path):
    linear = ("training.schedule.name=linear", "training.save_every=1")
    run_recipe(loaded(tmp_path / "linear", *linear))
    run_recipe(loaded(tmp_path / "linear", *linear, "training.steps=2"), replace=True)
    out = tmp_path / "exported"
    assert xmtf(["checkpoint", "export", str(tmp_path / "linear"), "--out", str(out)]) == 0
    assert file_sha256(out / "model.safetensors") == weights(tmp_path / "linear")
    assert read_manifest(out).details["step"] == 2
    assert xmtf(["checkpoint", "export", str(tmp_path / "linear"), "--out", str(out)]) == 2  # a model stands there
    assert xmtf(["checkpoint", "export", str(tmp_path / "linear"), "--out", str(out), "--step", "1", "--replace"]) == 0
    assert read_manifest(out).details["step"] == 1


def test_the_checkpoint_of_another_training_is_exported_as_such_alone(finished, tmp_path, capsys):
    marker = finished / "checkpoints" / ".xmtf.json"
    marker.write_text(marker.read_text().replace(read_json(marker)["training"], "another"))
    export = ["checkpoint", "export", str(finished), "--out", str(tmp_path / "exported")]
    assert xmtf(export) == 2
    assert "its checkpoints do not match its recipe.yaml" in capsys.readouterr().err
    assert xmtf([*export, "--foreign"]) == 0
    assert "it was not evaluated" in (tmp_path / "exported" / "README.md").read_text()


def test_a_run_never_writes_into_a_folder_of_the_users(tmp_path, monkeypatch, capsys):
    for path in OWN.parent.iterdir():
        shutil.copy(path, tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.txt").write_text("mine")
    before = snapshot(tmp_path)
    monkeypatch.chdir(tmp_path)
    for verb in ("run", "train"):
        assert xmtf([verb, "recipe.yaml", "run_folder=.", *FAST]) == 2
    assert "recipe.yaml" in capsys.readouterr().err
    assert snapshot(tmp_path) == before
    assert not (tmp_path / ".lock").exists()


@pytest.mark.parametrize("part", ["model", "initial", "mixture", "tokens", "report", "checkpoints"])
def test_a_folder_that_the_user_put_into_a_run_folder_stays(once, tmp_path, part):
    folder = tmp_path / "run"
    shutil.copytree(once, folder, ignore=shutil.ignore_patterns(part, "report", "model"))
    (folder / part).mkdir()  # training is done again where the model is gone
    (folder / part / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match=f"{part}: contains something other than .* \\(mine.txt\\)"):
        run_recipe(loaded(folder), replace=True)
    assert (folder / part / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("part", ["model", "initial", "mixture", "report", "checkpoints/step-000004", "results/after"])
def test_a_file_that_the_user_put_into_a_finished_folder_is_never_deleted_with_it(finished, part):
    if part.startswith("results"):
        shutil.copytree(finished / "report", finished / part)  # whatever stage it is of
    mine = finished / part / "mine.txt"
    mine.write_text("mine")
    before = snapshot(finished)
    changed = {"model": "training.optimizer.learning_rate=1e-3", "initial": "seed=7", "report": "report.title=other"}
    keys = ["seed=7" if part == "initial" else changed.get(part, "mixture.validation_fraction=0.3")]
    with pytest.raises(
        ConfigError, match=f"{part}: contains something other than what xmtf wrote \\(mine.txt\\); move it"
    ):
        run_recipe(loaded(finished, *keys), replace=True)
    assert mine.read_text() == "mine"
    if part in ("model", "checkpoints/step-000004", "results/after"):
        assert snapshot(finished) == before


def test_checkpoints_that_are_pruned_leave_what_the_user_put_there(finished):
    longer = ("training.save_every=2", "training.keep_checkpoints=1")
    run_recipe(loaded(finished, "training.steps=8", *longer))
    mine = finished / "checkpoints" / "step-000008" / "mine.txt"  # the one after 4 steps is the best and stays
    mine.write_text("mine")
    run_recipe(loaded(finished, "training.steps=12", *longer))
    assert [path.name for path in mine.parent.iterdir()] == ["mine.txt"]


def test_the_recipe_of_a_run_runs_again_from_anywhere_and_moves_with_its_folder(finished, tmp_path, monkeypatch):
    first = weights(finished)
    stamp = (finished / "model" / "model.safetensors").stat().st_mtime_ns
    monkeypatch.chdir(tmp_path)
    moved = finished.rename(tmp_path / "elsewhere")
    run_recipe(load_recipe(moved / "recipe.yaml"))
    assert (moved / "model" / "model.safetensors").stat().st_mtime_ns == stamp
    assert not finished.exists()
    run_recipe(load_recipe(moved / "recipe.yaml", [f"run_folder={tmp_path / 'again'}"]))
    assert weights(tmp_path / "again") == first


DAMAGED = (
    "model/model.safetensors",
    "model/config.json",
    "initial/model.safetensors",
    "tokens/*.bin",
    "tokens/*.idx",
    "tokens/tokenizer/tokenizer.json",
    "mixture/language=*/*.parquet",
    "mixture/composition.jsonl",
    "mixture/manifest.json",
    "checkpoints/step-*/*.safetensors",
    "checkpoints/step-*/state.json",
    "report/index.html",
    "report/tables/*.csv",
    "checkpoints/tokenizer/tokenizer.json",
    "recipe.yaml",
    "log.jsonl",
    ".xmtf.json",
    "*/.xmtf.json",
)


@pytest.mark.parametrize("pattern", DAMAGED)
@pytest.mark.parametrize("how", ["flipped", "cut", "emptied", "removed"])
def test_verify_names_the_file_that_is_not_what_was_written(finished, capsys, pattern, how):
    path = sorted(finished.glob(pattern))[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    changed = {"flipped": bytes(content), "cut": bytes(content[: len(content) // 2]), "emptied": b"", "removed": None}
    path.unlink()
    if changed[how] is not None:
        path.write_bytes(changed[how])
    assert xmtf(["verify", str(finished)]) == 1
    said = capsys.readouterr().out
    assert path.name in said
    assert "Traceback" not in said


def test_verify_finds_nothing_in_a_run_that_is_as_it_was_written(finished, capsys):
    assert xmtf(["verify", str(finished)]) == 0
    assert "match their checksums" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["..", "a/b", "../../escape", ".hidden", "a\nb", "x" * 300])
def test_the_name_of_a_run_is_one_file_name(name):
    with pytest.raises(ConfigError, match="is not a file name"):
        load_recipe(OWN, [f"name={name!r}" if "\n" not in name else 'name="a\\nb"'])
