"""Own tasks: what a recipe may say of them."""

import pytest

from xmtf.errors import ConfigError
from xmtf.recipe.load import load_recipe, resolve_recipe
from xmtf.recipe.written import write_recipe

CODE = {"kind": "code", "role": "evaluation", "templates": None}
OWN = {"id": "mine", "path": "a.jsonl", "templates": "t.yaml", "language": "en"}


def resolve(tmp_path, **own):
    return resolve_whole(tmp_path, **own).recipe.own_tasks[0]


def resolve_whole(tmp_path, **own):
    data = {
        "name": "n",
        "run_folder": str(tmp_path / "run"),
        "own_tasks": [OWN | own],
        "mixture": {"tasks": [{}]},
        "model": {"base": "b"},
        "training": {"steps": 1},
    }
    return resolve_recipe(data, tmp_path / "r.yaml")


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"kind": "rank", "metrics": ["exact_match"]}, "a task of kind 'rank' has no 'exact_match'; known: accuracy"),
        ({"kind": "rank", "metrics": ["macro_f2"]}, "has no 'macro_f2'; did you mean 'macro_f1'?"),
        ({"metrics": ["accuracy"]}, "a task of kind 'generation' has no 'accuracy'"),
        ({"metrics": ["chrff"]}, "has no 'chrff'; did you mean 'chrf'?"),
        ({"nulls": "keep"}, "'keep' is none of 'drop', 'empty', 'error'"),
    ],
)
def test_what_a_task_cannot_have_is_refused_when_the_recipe_is_read(tmp_path, own, said):
    with pytest.raises(ConfigError, match=r"own_tasks\.0.*") as caught:
        resolve(tmp_path, **own)
    assert said in str(caught.value)


def test_what_it_can_have(tmp_path):
    assert resolve(tmp_path, kind="rank", metrics=["accuracy", "macro_f1"]).kind == "rank"
    assert resolve(tmp_path, kind="rank").metrics == ("exact_match",)
    assert resolve(tmp_path, metrics=["chrf", "rouge_l"]).metrics == ("chrf", "rouge_l")


@pytest.mark.parametrize(
    "own",
    [
        {"kind": "rank"},
        {"kind": "rank", "metrics": ["macro_f1"]},
        {"kind": "code", "role": "evaluation", "templates": None},
        {},
        {"metrics": ["chrf"]},
    ],
)
def test_the_recipe_that_a_run_keeps_is_read_again(tmp_path, own):
    loaded = resolve_whole(tmp_path, **own)
    write_recipe(loaded)
    assert load_recipe(loaded.run.recipe).recipe.own_tasks[0].metrics == loaded.recipe.own_tasks[0].metrics
