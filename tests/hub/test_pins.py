"""Recipes held to commits: written down where they are read from, and read again when the hub has moved on."""

import json

import pytest
from tests.hub.repositories import CONVERTED, Repository, parquet
from typer.testing import CliRunner

from xmtf.cli.app import build_app
from xmtf.errors import ConfigError, SourceError, UnknownNameError
from xmtf.recipe import load_recipe
from xmtf.sources import read_source
from xmtf.sources.sidecar import read_sidecar
from xmtf.tasks import load_catalogue

RECIPE = """
name: pinned
catalogues: [mine.yaml]
mixture: {tasks: [{tasks: [mine]}]}
model: {architecture: bloom, hidden_size: 8, num_layers: 1, num_heads: 1}
training: {steps: 1}
"""
ENTRY = """
tasks:
  - {id: mine, cluster: x, dataset: own/set, language: en, templates: gsm8k, splits: {train: [train]},
     revision: REVISION}
"""
PLACES = {CONVERTED: "default/train/0000.parquet", "main": "train.parquet"}


def run(*arguments):
    result = CliRunner().invoke(build_app("data"), ["data", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def rows_of(recipe, *, offline=False):
    task = load_catalogue(load_recipe(recipe)).tasks["mine"]
    return read_source(task.source("train"), offline=offline).table.column("text").to_pylist()


@pytest.fixture(params=PLACES)
def published(request, hub, tmp_path):
    """A recipe, and what publishes a version of its dataset; a commit that was published stays on the hub."""
    revision, place = request.param, PLACES[request.param]
    repository = hub.add(Repository("own/set"))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE)
    (tmp_path / "mine.yaml").write_text(ENTRY.replace("REVISION", revision))

    def publish(text):
        if place in repository.revisions.get(revision, {}):
            repository.revisions[f"kept before {text}"] = dict(repository.revisions[revision])
        repository.add({place: parquet([{"text": text}])}, revision)
        return repository.commit(revision)

    return recipe, revision, publish


def forget(hub_cache):
    from xmtf.sources.hub import listing

    listing._listed.cache_clear()
    for path in sorted(hub_cache.rglob("*"), reverse=True):
        path.unlink() if path.is_file() or path.is_symlink() else path.rmdir()


def test_a_pinned_recipe_reads_its_commit_when_the_hub_has_another(published, tmp_path, monkeypatch):
    recipe, revision, publish = published
    first = publish("first")
    told = run("pin", recipe).output
    pins = tmp_path / "recipe.pins.yaml"
    assert pins.read_text() == f"own/set:\n  {revision}: {first}\n"
    assert first in told
    assert "add `pins: recipe.pins.yaml` to the recipe" in told
    second = publish("second")
    forget(tmp_path / "hf")
    assert rows_of(recipe) == ["second"]
    recipe.write_text(f"{RECIPE}pins: recipe.pins.yaml\n")
    forget(tmp_path / "hf")
    assert rows_of(recipe) == ["first"]
    assert rows_of(recipe, offline=True) == ["first"]  # from the cache
    run("fetch", recipe, "--to", tmp_path / "mirror")
    (file,) = (tmp_path / "mirror").rglob("*.parquet")
    assert (read_sidecar(file).commit, read_sidecar(file).revision) == (first, revision)
    monkeypatch.setenv("XMTF_DATA_ROOT", str(tmp_path / "mirror"))
    assert rows_of(recipe, offline=True) == ["first"]
    pins.write_text(pins.read_text().replace(first, second))
    with pytest.raises(SourceError, match=f"is of commit {first[:12]}, and own/set is pinned to {second[:12]}"):
        rows_of(recipe, offline=True)
    assert run("fetch", recipe, "--to", tmp_path / "mirror").exit_code == 1
    with pytest.raises(ConfigError, match="already exists"):
        run("pin", recipe)
    told = json.loads(run("pin", recipe, "--replace", "--json").output)  # what the mirror has
    assert told == {"file": str(pins), "pins": {"own/set": {revision: first}}, "not_pinned": {}}
    assert first in pins.read_text()
    file.with_name(f"{file.name}.source.json").unlink()
    with pytest.raises(SourceError, match="does not say its commit"):
        rows_of(recipe, offline=True)
    with pytest.raises(ConfigError, match=r"no dataset can be pinned: own/set \[train\]: its commit is not recorded"):
        run("pin", recipe, "--replace")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("own/sett: {main: x}", UnknownNameError, "own/sett"),
        ("own/set: {main: abc}", ConfigError, "own/set: main: 'abc' is not a commit of 40 hexadecimal digits"),
        (f"own/set: {{other: {'a' * 40}}}", UnknownNameError, "other"),
        ("[own/set]", ConfigError, "pins are a mapping from datasets"),
    ],
)
def test_pins_that_pin_nothing_are_refused(tmp_path, text, error, message):
    (tmp_path / "mine.yaml").write_text(ENTRY.replace("REVISION", "main"))
    (tmp_path / "recipe.yaml").write_text(f"{RECIPE}pins: p.yaml\n")
    pins = tmp_path / "p.yaml"
    pins.write_text(text.replace("main: x", f"main: {'a' * 40}"))
    with pytest.raises(error, match=message):
        load_catalogue(load_recipe(tmp_path / "recipe.yaml"))


def test_suites_by_name_are_held_to_pins_of_what_they_have(tmp_path):
    (tmp_path / "mine.yaml").write_text(ENTRY.replace("REVISION", "main"))
    pins = tmp_path / "p.yaml"
    pins.write_text(f"own/set: {{main: {'a' * 40}}}\nelsewhere/set: {{main: {'b' * 40}}}\n")
    tasks = load_catalogue(files=[tmp_path / "mine.yaml"]).pinned_by(pins).tasks
    assert {name: task.commit for name, task in tasks.items() if task.commit} == {"mine": "a" * 40}
