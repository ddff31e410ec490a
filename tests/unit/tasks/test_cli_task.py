import json

import pytest
from typer.testing import CliRunner

from xmtf.cli.task import app
from xmtf.errors import ConfigError, UnknownNameError


@pytest.fixture
def call(monkeypatch):
    monkeypatch.setenv("XMTF_PROGRESS", "off")

    def run(*arguments):
        result = CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)
        assert result.exit_code == 0
        return result.stdout

    return run


@pytest.fixture
def recipe(catalogue_file):
    path = catalogue_file.with_name("recipe.yaml")
    path.write_text(
        "name: tiny\ncatalogues: [tiny.yaml]\n"
        "mixture: {tasks: [{catalogue: tiny}], held_out: {languages: [ja]}}\n"
        "model: {architecture: bloom, hidden_size: 16, num_layers: 1, num_heads: 2}\ntraining: {steps: 1}\n"
    )
    return path


def test_list_filters_by_catalogue_cluster_language_and_role(call, recipe):
    lines = call("list", "--catalogue", "tiny", "--recipe", recipe).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["tiny/en", "tiny/fra", "tiny/jp", "pair/en-fr", "judge"]
    rows = call("list", "--recipe", recipe, "--catalogue", "tiny", "--language", "fra", "--role", "train", "--json")
    assert [json.loads(row)["task"] for row in rows.splitlines()] == ["tiny/fra", "pair/en-fr"]
    assert "xnli/sw" in call("list", "xnli/*", "--cluster", "natural*")


def test_a_list_without_tasks_is_an_error(recipe):
    with pytest.raises(ConfigError, match="no task matches"):
        CliRunner().invoke(app, ["list", "--recipe", str(recipe), "--catalogue", "nowhere"], catch_exceptions=False)
    with pytest.raises(ConfigError, match=r"no task matches; did you mean 'xnli/\*'"):
        CliRunner().invoke(app, ["list", "xnly/*"], catch_exceptions=False)


def test_show_renders_one_row_under_every_template(call, recipe, mirror):
    shown = call("show", "tiny/fra", "--recipe", recipe, "--row", 1, "--offline")
    for part in ("cluster          sentiment", "mal Oui ou non ?", ">>> Non", "choices: Non | Oui", "does not apply"):
        assert part in shown
    data = json.loads(call("show", "tiny/fra", "--recipe", recipe, "--template", "ask", "--json"))
    assert data["examples"][0]["inputs"] == "bien Yes or no?"


def test_an_unknown_task_names_the_nearest(recipe):
    with pytest.raises(UnknownNameError, match="did you mean 'xnli/fr'"):
        CliRunner().invoke(app, ["show", "xnli/frr"], catch_exceptions=False)


def test_outline_counts_what_a_recipe_takes_without_reading_it(call, recipe):
    lines = [line.split() for line in call("outline", recipe, "--by", "language").splitlines()]
    assert lines == [["language", "tasks", "splits", "templates"], ["en", "1", "1", "-"], ["fr", "2", "2", "-"]]
    rows = [json.loads(line) for line in call("outline", recipe, "--json").splitlines()]
    assert [(row["task"], row["split"]) for row in rows] == [
        ("tiny/en", "train"),
        ("tiny/fra", "train"),
        ("pair/en-fr", "train"),
    ]
