"""The recipes of the released models say what the published scripts and the authors say."""

import csv
from pathlib import Path

import pytest

from xmtf.launch.stages import launch_stages
from xmtf.recipe import load_recipe
from xmtf.tasks import lacking_suites
from xmtf.tokens.rows import splits

ROOT = Path(__file__).parents[3]
RECIPES = sorted((ROOT / "recipes" / "train").glob("*.yaml"))
FIT_ONE_PROCESS = {
    *("bloomz-560m", "bloomz-1b1", "bloomz-1b7", "bloomz-3b"),
    *("mt0-small", "mt0-base", "mt0-large", "mt0-xl"),
}
SCRIPTS = {  # eval-interval, eval-iters, global batch of the scripts in tr13-mtf
    "bloomz-560m": (125, 10, 1024),
    "bloomz-1b1": (250, 5, 1024),
    "bloomz-1b7": (125, 10, 2048),
    "bloomz-3b": (125, 2, 2048),
    "bloomz-7b1": (125, 10, 2048),
    "bloomz-7b1-mt": (125, 10, 2048),
    "bloomz-7b1-p3": (250, 50, 2048),
    "bloomz": (250, 10, 2048),
    "bloomz-mt": (250, 10, 2048),
    "bloomz-p3": (250, 1, 2048),
}
PRETRAINING_TEXT = {"bloomz-560m", "bloomz-1b1", "bloomz-1b7", "bloomz-3b", "bloomz", "bloomz-p3"}


def test_there_are_17():
    assert len(RECIPES) == 17


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_released_recipe_reproduces_the_release(path, monkeypatch):
    monkeypatch.delenv("XMTF_TEMPLATES_ROOT", raising=False)
    loaded = load_recipe(path)
    recipe, name = loaded.recipe, path.stem
    assert (recipe.mixture.mode, recipe.mixture.held_out.overlap) == ("legacy", "flag")
    whole = (None, False) if name.endswith("-p3") else (100_000, True)
    assert (recipe.mixture.cap_examples, recipe.mixture.deduplicate) == whole
    assert [suite.name for suite in recipe.evaluation.suites] == ["validation", "generation"]
    assert list(lacking_suites(loaded)) == ["validation", "generation"]
    stages = [stage.name for stage in launch_stages(loaded, (), building=2, measuring=2)]
    assert {"before", "before_scores", "after", "after_scores"} <= set(stages)
    assert (recipe.training.export == "best") == bool(recipe.training.validation_suites) == (name in FIT_ONE_PROCESS)
    assert recipe.training.keep_checkpoints == 100
    if name.startswith("mt0"):
        packing = recipe.tokens.packing
        assert (packing.overlong, packing.overlong_targets) == ("truncate_right", "truncate")
        assert (packing.sequence_length, packing.target_length) == (1024, 1024)
        return
    every, iterations, rows = SCRIPTS[name]
    assert (recipe.training.validate_every, recipe.training.validation_rows) == (every, iterations * rows)
    assert recipe.training.loss == "target_compat"
    assert {text.name for text in recipe.training.validation_texts if text.optional} == (
        {"validation_pretraining"} if name in PRETRAINING_TEXT else set()
    )
    if not name.endswith("-p3"):
        with Path(splits.__file__).with_name("xp3_weights.csv").open(encoding="utf-8", newline="") as stream:
            published = {row["code"]: float(row["weight"]) for row in csv.DictReader(stream)}
        assert recipe.tokens.weights == published
        assert len(published) == 46
