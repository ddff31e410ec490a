"""The pages that are made from the code: nothing of it is left out, and what is wrong stops the build."""

import json
from pathlib import Path

import pytest

from docs_pages import environment, formats, notebooks, recipe_keys, units, verbs
from docs_pages.languages import language_of
from xmtf.recipe.effects import leaf_keys
from xmtf.recipe.schema import Recipe

DOCS = Path(__file__).parents[3] / "docs"


def test_every_key_of_a_recipe_has_its_default_its_kind_and_what_a_change_costs():
    pages = recipe_keys.recipe_pages()
    text = "\n".join(pages.values())
    keys = list(leaf_keys(Recipe))
    assert [key.name.replace("[]", "") for key in recipe_keys.all_keys()] == keys
    assert [text.count(part) for part in ("{confval}", ":type: ", ":default: ", "\nA change")] == [len(keys)] * 4
    assert ":type: \n" not in text
    wall_clock = text.partition("{confval} training.wall_clock_limit\n")[2].partition("{confval}")[0]
    assert "Unit: seconds" in wall_clock
    steps = text.partition("{confval} training.steps\n")[2].partition("{confval}")[0]
    assert "training starts over (`result`); depends on the recipe: more steps resume" in steps


def test_a_number_without_a_unit_stops_the_build(monkeypatch):
    monkeypatch.delitem(units.UNITS, "max_run")
    with pytest.raises(LookupError, match="max_run is a number"):
        recipe_keys.recipe_pages()


def test_a_variable_that_is_not_described_stops_the_build(monkeypatch):
    assert "{envvar} XMTF_DATA_ROOT" in environment.environment_page()
    monkeypatch.delitem(environment.VARIABLES, "XMTF_CACHE")
    with pytest.raises(LookupError, match="XMTF_CACHE"):
        environment.environment_page()


def test_every_exit_code_has_its_errors():
    rows = [row.split(" | ") for row in environment.exit_code_page().splitlines() if row[:3].strip("| ").isdigit()]
    assert [row[0].strip("| ") for row in rows] == ["0", "1", "2", "130"]
    assert "`config`" in rows[2][-1]


def test_columns_and_events_are_those_of_the_code():
    page = formats.format_page()
    assert "| `prompt_language` | `string` |" in page
    assert {"train", "validation", "skipped"} <= set(formats.log_events())
    assert "loss_by_language" in page


@pytest.fixture(scope="module")
def pages():
    return verbs.verb_pages()


def test_every_verb_has_its_options(pages):
    assert "[`xmtf evaluate rank`](evaluate.md#verb-xmtf-evaluate-rank)" in pages["index"]
    rank = pages["evaluate"].partition("{program} xmtf evaluate rank\n")[2].partition("{program}")[0]
    assert "{option} --truncation-side left|right" in rank
    assert "default: left" in rank
    assert "xmtf evaluate rank --model runs/demo/model" in pages["evaluate"]


def test_notebooks_have_no_outputs(tmp_path):
    assert sorted(path.stem for path in (DOCS / "notebooks").glob("*.ipynb")) == ["evaluation", "figures", "mixture"]
    assert notebooks.with_outputs(DOCS / "notebooks") == []
    book = json.loads((DOCS / "notebooks" / "mixture.ipynb").read_text(encoding="utf-8"))
    next(cell for cell in book["cells"] if cell["cell_type"] == "code")["execution_count"] = 1
    (tmp_path / "run.ipynb").write_text(json.dumps(book), encoding="utf-8")
    assert notebooks.with_outputs(tmp_path) == ["run.ipynb"]


@pytest.mark.parametrize(
    ("block", "language"),
    [
        ("XMTF_DATA_ROOT=mirror xmtf data build recipes/open.yaml", "bash"),
        ("# a comment\nmixture:\n  mode: legacy", "yaml"),
        ("- {tasks: [mine]}", "yaml"),
        ("def answered(text: str) -> float:", "python"),
        ('{"error": {}}', "json"),
        ("token     5    6", "none"),
    ],
)
def test_blocks_are_highlighted_by_what_they_are(block, language):
    assert language_of(block) == language
