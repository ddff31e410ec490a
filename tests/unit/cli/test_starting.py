"""The first minutes: recipes of the package listed and copied, a folder to begin with, a packed row before a build."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from xmtf.cli.app import _run as xmtf
from xmtf.recipe import load_recipe
from xmtf.recipe.json_schema import leaf_values, recipe_schema
from xmtf.recipe.packaged import named_recipes
from xmtf.recipe.starting import start_folder


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_key_of_the_schema_is_described():
    schema = recipe_schema()
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert schema["$id"].startswith("urn:xmtf:recipe:")
    sections = {"Recipe": schema, **schema["$defs"]}
    bare = [
        f"{name}.{key}"
        for name, section in sections.items()
        for key, value in section.get("properties", {}).items()
        if not value.get("description", "").strip()
    ]
    assert bare == []
    assert {"training.optimizer.learning_rate", "model.lora.rank"} <= leaf_values().keys()


def test_a_schema_is_written_once(capsys):
    assert xmtf(["recipe", "schema", "--out", "s.json"]) == 0
    assert json.loads(Path("s.json").read_text()) == recipe_schema()
    assert xmtf(["recipe", "schema", "--out", "s.json"]) == 2
    assert "s.json: already exists" in capsys.readouterr().err


def test_recipes_of_the_package_are_listed_and_copied(capsys):
    assert xmtf(["recipe", "list", "--json"]) == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"demo", "smoke/bloom-tiny", "own-data", "data/xp3"} <= {each["name"] for each in listed}
    for each in listed:
        assert each["description"]
        assert len(named_recipes(Path(each["name"]))) == 1
    assert xmtf(["recipe", "copy", "demo"]) == 0
    assert (
        load_recipe(Path("demo.yaml")).recipe
        == load_recipe(named_recipes(Path("demo"))[Path("recipes/demo.yaml")]).recipe
    )
    assert xmtf(["recipe", "copy", "own-data", "--to", "words"]) == 0
    assert sorted(path.name for path in Path("words").iterdir()) == ["recipe.yaml", "templates.yaml", "words.jsonl"]
    Path("demo.yaml").write_text("mine")
    assert xmtf(["recipe", "copy", "demo"]) == 2
    assert Path("demo.yaml").read_text() == "mine"
    assert xmtf(["recipe", "copy", "demmo"]) == 2
    assert "did you mean" in capsys.readouterr().err


def test_a_folder_to_begin_with_is_a_recipe_that_loads(capsys):
    assert xmtf(["init", "my words"]) == 0
    loaded = load_recipe(Path("my words/recipe.yaml"))
    assert (loaded.recipe.name, loaded.recipe.own_tasks[0].path) == ("my-words", "data.jsonl")
    first = Path("my words/recipe.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=./recipe.schema.json"
    assert Path("my words/.gitignore").read_text() == "runs/\n"
    assert xmtf(["init", "my words"]) == 2
    assert "my words: is not empty" in capsys.readouterr().err
    Path("file").write_text("mine")
    assert xmtf(["init", "file"]) == 2
    assert Path("file").read_text() == "mine"


@pytest.mark.parametrize(
    ("command", "place"),
    [(["init", "mine"], "mine"), (["recipe", "copy", "own-data", "--to", "mine"], "mine"),
     (["recipe", "copy", "demo", "--to", "demo.yaml"], "demo.yaml")],
)  # fmt: skip
def test_what_a_full_disk_stops_begins_anew(command, place, monkeypatch, capsys):
    copy = shutil.copyfile

    def full(source, target):
        Path(target).write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    assert xmtf(command) == 2
    assert "the disk is full" in capsys.readouterr().err
    assert not Path(place).exists()
    monkeypatch.setattr(shutil, "copyfile", copy)
    assert xmtf(command) == 0


def test_a_dry_run_shows_a_row_before_anything_is_built(here, capsys):
    start_folder(here / "mine")
    assert xmtf(["train", "mine/recipe.yaml", "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "first example" in told
    assert "row 0" in told
    assert "rows: there are no token files yet" in told
    assert not Path("runs").exists()


def test_bars_of_libraries_stay_out_of_logs():
    program = (
        "import xmtf.cli.app as app; "
        "app._run = lambda _: [None for _ in __import__('tqdm').tqdm(range(3))] and 0; app.main()"
    )
    environment = {name: value for name, value in os.environ.items() if name not in ("TQDM_DISABLE",)}
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert told.stderr == ""
