"""Recipes that come with the package are found by name, from any folder, and it is said which was taken."""

from pathlib import Path

import pytest

from xmtf.errors import ConfigError
from xmtf.recipe import load_recipe
from xmtf.recipe.packaged import packaged_recipes, recipe_file

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch, tmp_path):
    monkeypatch.delenv("XMTF_PROGRESS", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("demo", "recipes/demo.yaml"),
        ("demo.yaml", "recipes/demo.yaml"),
        ("recipes/demo.yaml", "recipes/demo.yaml"),
        ("smoke/bloom-tiny", "recipes/smoke/bloom-tiny.yaml"),
        ("bloomz-560m", "recipes/train/bloomz-560m.yaml"),
        ("own-data", "examples/own-data/recipe.yaml"),
        ("examples/own-data/recipe.yaml", "examples/own-data/recipe.yaml"),
    ],
)
def test_a_name_finds_the_packaged_recipe(capsys, name, file):
    assert load_recipe(Path(name)).path == ROOT / file
    assert capsys.readouterr().err == (f"{name}: no such file; using the one packaged with xmtf: {ROOT / file}\n")


def test_every_packaged_recipe_is_found_by_its_path():
    assert len(packaged_recipes()) > 20
    assert all(recipe_file(name) == file for name, file in packaged_recipes().items())


def test_a_file_of_ones_own_goes_first(tmp_path, capsys):
    own = tmp_path / "recipes" / "demo.yaml"
    own.parent.mkdir()
    own.write_text("name: mine")
    assert recipe_file(Path("recipes/demo.yaml")) == Path("recipes/demo.yaml")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("demmo.yaml", "demmo.yaml: no such file; did you mean recipes/demo.yaml?"),
        ("mine/demo.yaml", "mine/demo.yaml: no such file; did you mean recipes/demo.yaml?"),
        ("/nowhere/at-all.yaml", "/nowhere/at-all.yaml: no such file; looked in /nowhere"),
        ("recipe.yaml", "recipe.yaml: no such file; "),
        ("yaml", "yaml: no such file; "),
    ],
)
def test_other_names_are_errors(name, message):
    with pytest.raises(ConfigError) as error:
        load_recipe(Path(name))
    assert str(error.value).startswith(message)
