"""Own tasks: what a recipe may say of them."""

import pytest

from xmtf.errors import ConfigError
from xmtf.recipe.load import load_recipe, resolve_recipe
from xmtf.recipe.written import portable, write_recipe
from xmtf.tasks.own_tasks import own_tasks

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
        ({"nulls": "keep"}, "'keep' is not one of 'drop', 'empty', 'error'"),
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


SPLITS = {"path": None, "files": {"train": ["a.jsonl", "b.jsonl"], "dev": "d.jsonl", "test": "t.jsonl"}}


def tasks_of(tmp_path, **own):
    data = {"name": "n", "own_tasks": [OWN | own], "mixture": {"tasks": [{}]}, "model": {"base": "b"}}
    loaded = resolve_recipe(data | {"training": {"steps": 1}}, tmp_path / "r.yaml")
    return {task.id: task for task in own_tasks(loaded.recipe.own_tasks, loaded.path)}


def test_files_of_each_split_say_what_they_are_for(tmp_path):
    task = tasks_of(tmp_path, **SPLITS)["mine"]
    assert task.splits == {"train": ("train",), "validation": ("dev",), "shots": ("dev",), "evaluation": ("test",)}
    assert task.source("train").own_files == (str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl"))
    assert task.source("test").own_files == (str(tmp_path / "t.jsonl"),)


def test_subsets_are_tasks_of_their_own_with_their_name_in_paths_and_templates(tmp_path):
    own = {"subsets": {"french": "fra", "swa": "swh"}, "path": "{subset}/r.csv", "templates": "{subset}.yaml"}
    tasks = tasks_of(tmp_path, language=None, parallel=True, **own)
    assert {name: (task.language, task.subset, task.parallel) for name, task in tasks.items()} == {
        "mine/french": ("fr", "french", "mine"),
        "mine/swa": ("sw", "swa", "mine"),
    }
    assert tasks["mine/swa"].source("train").path == str(tmp_path / "swa/r.csv")
    assert tasks["mine/french"].template_file == tmp_path / "french.yaml"
    listed = tasks_of(tmp_path, language=None, subsets=["fra", "sw"], path="{subset}.csv")
    assert [task.language for task in listed.values()] == ["fr", "sw"]


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"path": None}, "path: give the file, or `files`"),
        ({"files": {"train": "a"}}, "path: give the file, or `files`"),
        ({"path": None, "files": {"trian": "a"}}, "'trian' is not a split; did you mean 'train'"),
        (SPLITS | {"split": "x"}, "omit `split` and `role`"),
        ({"path": "{subset}.csv"}, "is replaced by each of `subsets`, but there are none"),
        ({"subsets": ["fr"], "language": None}, "would have the same rows"),
        ({"subsets": {"a": "fr"}, "path": "{subset}"}, "give the languages either there"),
        ({"language": None, "language_column": "c"} | SPLITS, "an evaluated task has a single language"),
        ({"kind": "conversation", "templates": None} | SPLITS, "files: conversations are used as they are"),
        ({"language_column": "c"}, "or `language_column` if each row has its own"),
    ],
)
def test_files_and_subsets_that_contradict_each_other_are_refused(tmp_path, own, said):
    with pytest.raises(ConfigError, match=r"own_tasks\.0.*") as caught:
        resolve(tmp_path, **own)
    assert said in str(caught.value)


def test_a_written_recipe_finds_all_files(tmp_path):
    loaded = resolve_whole(tmp_path, **SPLITS)
    (own,) = portable(loaded).own_tasks
    assert own.files["train"] == (str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl"))
    assert own.files["dev"] == str(tmp_path / "d.jsonl")
