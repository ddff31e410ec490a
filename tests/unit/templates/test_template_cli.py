"""The verbs of ``xmtf template`` on a small mirror."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from xmtf.cli.template.verbs import app
from xmtf.errors import ConfigError, SourceError, TemplateError, UnknownNameError
from xmtf.templates import Template


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    folder = tmp_path / "google-research-datasets" / "paws-x" / "en"
    folder.mkdir(parents=True)
    rows = {"id": [1, 2], "sentence1": ["A b.", "C d."], "sentence2": ["B a.", "D."], "label": [1, 0]}
    for split in ("train", "validation", "test"):
        pq.write_table(pa.table(rows), folder / f"{split}.parquet")
    monkeypatch.setenv("XMTF_DATA_ROOT", str(tmp_path))
    return tmp_path


def call(*arguments):
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_render_shows_prompt_and_target(mirror):
    shown = call("render", "paws-x/en", "--row", "0").stdout
    assert "A b." in shown
    assert "paws-x/en [validation] row 0" in shown
    lines = call("render", "paws-x/en", "--row", "1", "--json").stdout.splitlines()
    assert all("D." in json.loads(line)["inputs"] for line in lines)


def test_wrong_task_and_row(mirror):
    with pytest.raises(UnknownNameError, match="paws-x/en"):
        call("render", "paws-x/em")
    with pytest.raises(UnknownNameError, match="paws-x/en"):
        call("lint", "paws-x/em")
    with pytest.raises(SourceError, match="has 2 rows"):
        call("render", "paws-x/en", "--row", "7")
    with pytest.raises(UnknownNameError, match="template"):
        call("render", "paws-x/en", "--template", "nosuch")


def test_list_and_show():
    listed = [json.loads(line) for line in call("list", "paws-x", "--json").stdout.splitlines()]
    assert {each["key"] for each in listed} == {"paws-x"}
    name = listed[0]["name"]
    assert f"--- {name} (en" in call("show", "paws-x/en", "--template", name).stdout


def test_lint_says_what_and_where_and_exits_with_one_for_errors(tmp_path, mirror, write_templates):
    assert call("lint", "paws-x/en").exit_code == 0
    path = tmp_path / "mine" / "templates.yaml"
    write_templates(path, [Template("t", "{{a}} ||| {{answer_choices[0]}}")])
    result = call("lint", str(path), "--json")
    assert result.exit_code == 1
    found = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    assert [(each["severity"], each["check"]) for each in found] == [
        ("error", "no-choices"),
        ("warning", "no-clear-end"),
        ("info", "assumed-language"),
    ]
    assert call("lint", "--root", str(tmp_path), "mine").exit_code == 1


@pytest.mark.parametrize("text", ["", "hello: 1\n", "templates: {}\n", "templates: []\n", "templates:\n"])
def test_lint_refuses_a_file_without_templates(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(TemplateError, match=r"mine\.yaml: holds no template; expected is `templates:`"):
        call("lint", str(path))


def test_lint_says_of_a_folder_that_it_reads_files(tmp_path):
    with pytest.raises(ConfigError, match="is a folder; give its YAML files"):
        call("lint", str(tmp_path))
    with pytest.raises(ConfigError, match=r"holds no templates\.yaml"):
        call("lint", "--root", str(tmp_path))


def test_own_tasks_of_a_recipe_are_linted_on_their_rows(tmp_path):
    (tmp_path / "rows.jsonl").write_text("".join(f'{{"text": "a{n}", "label": -1}}\n' for n in range(12)))
    (tmp_path / "t.yaml").write_text(
        'templates: [{name: t, jinja: "{{text}}? ||| {{answer_choices[label]}}", answer_choices: "no ||| yes"}]'
    )
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        "name: n\nown_tasks: [{id: mine, path: rows.jsonl, templates: t.yaml, language: en}]\n"
        "mixture: {tasks: [{tasks: [mine]}]}\nmodel: {base: b}\ntraining: {steps: 1}\n"
    )
    result = CliRunner().invoke(app, ["lint", "--recipe", str(recipe)])
    assert result.exit_code == 1
    assert "hidden-label" in result.stdout
    assert "negative label on 12 of 12 rows, first row 0: the label is -1, of 2 answer choices" in result.stdout
