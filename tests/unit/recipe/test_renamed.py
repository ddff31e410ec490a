"""Old names of keys: taken for one minor version with a warning, then one clear line."""

import pytest

from xmtf.errors import ConfigError
from xmtf.recipe import renamed
from xmtf.recipe.load import _fields_at, load_recipe
from xmtf.recipe.renamed import RENAMED, NewName

RECIPE = """\
name: small
mixture: {tasks: [{catalogue: demo, tasks: ["cldr-kinds/*"], tongues: [fr]}]}
model: {architecture: bloom, hidden_size: 64, num_layers: 2, num_heads: 4}
training: {updates: 7}
"""
NAMES = {"training.updates": NewName("steps", "0.4"), "mixture.tasks.*.tongues": NewName("languages", "0.4")}


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.setattr(renamed, "RENAMED", NAMES)
    monkeypatch.setattr(renamed, "__version__", "0.4.3")
    path = tmp_path / "small.yaml"
    path.write_text(RECIPE)
    return path


def test_an_old_name_works_for_one_version_with_a_warning(recipe, capsys):
    loaded = load_recipe(recipe)
    assert (loaded.recipe.training.steps, loaded.recipe.mixture.tasks[0].languages) == (7, ("fr",))
    assert loaded.origins["training.steps"] == "file"
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        f"{recipe}: the key 'training.updates' is called 'steps' since 0.4; the old name works until 0.5",
        f"{recipe}: the key 'mixture.tasks.*.tongues' is called 'languages' since 0.4; the old name works until 0.5",
    ]


def test_overrides_may_use_either_name_and_replace_the_file(recipe, capsys, monkeypatch):
    monkeypatch.setenv("XMTF_OVERRIDES", "training.updates=8")
    loaded = load_recipe(recipe, ["mixture.tasks.0.tongues=[sw]"])
    assert (loaded.recipe.training.steps, loaded.recipe.mixture.tasks[0].languages) == (8, ("sw",))
    assert (loaded.origins["training.steps"], loaded.origins["mixture.tasks.0.languages.0"]) == (
        "environment",
        "override",
    )
    assert load_recipe(recipe, ["training.steps=9"]).recipe.training.steps == 9
    assert "override the key 'training.updates' is called 'steps'" in capsys.readouterr().err


@pytest.mark.parametrize("version", ["0.5.0", "0.10.0", "1.0.0"])
def test_then_it_is_one_line_that_says_the_new_name(recipe, monkeypatch, version):
    monkeypatch.setattr(renamed, "__version__", version)
    with pytest.raises(ConfigError) as raised:
        load_recipe(recipe)
    assert str(raised.value) == f"{recipe}: the key 'training.updates' is called 'steps' since 0.4; write 'steps'"


def test_both_names_are_refused(recipe):
    recipe.write_text(RECIPE.replace("updates: 7", "updates: 7, steps: 9"))
    with pytest.raises(ConfigError, match=r"'training\.updates' and 'steps' are the same key"):
        load_recipe(recipe)


def test_new_names_of_the_table_exist_and_old_ones_do_not():
    for old, new in (RENAMED | NAMES).items():
        *parents, last = (part for part in old.split(".") if part != "*")
        fields = _fields_at(tuple(parents))
        assert new.name in fields
        assert last not in fields
