"""The demo's recipes: what they hold out stays out, and the evaluation stays small."""

from pathlib import Path

import pytest

from xmtf.languages.codes import language_set
from xmtf.recipe import load_recipe
from xmtf.tasks import load_catalogue, prompted_parts

RECIPES = Path(__file__).parents[3] / "recipes"


def slices(name):
    loaded = load_recipe(RECIPES / name)
    catalogue, recipe = load_catalogue(loaded), loaded.recipe
    train = catalogue.select(recipe.mixture.tasks, role="train", held_out=recipe.mixture.held_out)
    suites = {}
    for suite in recipe.evaluation.suites:
        found = catalogue.select(suite.tasks, role="evaluation")
        suites[suite.name] = suite, [part for part in found if suite.kind in (None, part.task.kind)]
    return recipe, train, suites


@pytest.mark.parametrize("name", ["demo.yaml", "demo-mt5.yaml", "demo-smollm2.yaml", "smoke/bloom-tiny.yaml"])
def test_suites_measure_what_the_mixture_does_not_hold(name):
    recipe, train, suites = slices(name)
    held_out = recipe.mixture.held_out
    languages = {part.task.language for part in train}
    clusters = {part.task.cluster for part in train}
    templates = {template.name for part in train for template in part.templates}
    assert {part.split for part in train} == {"train"}
    assert not languages & set(held_out.languages)
    assert not clusters & set(held_out.clusters)
    assert not templates & set(held_out.templates)
    for suite, parts in suites.values():
        assert parts, suite.name
        assert {part.split for part in parts} == {"test"}
        asked = {
            "languages": {part.task.language for part in parts} & languages,
            "clusters": {part.task.cluster for part in parts} & clusters,
            "templates": {template.name for part in parts for template in part.templates} & templates,
        }
        assert not asked.get(suite.axis), suite.name
        if suite.axis != "languages":
            assert {part.task.language for part in parts} <= languages


@pytest.mark.parametrize("name", ["demo.yaml", "demo-mt5.yaml"])
def test_the_demo_is_broad_and_its_evaluation_short(name):
    recipe, train, suites = slices(name)
    assert len({part.task.language for part in train}) >= 46
    assert len({part.task.language for part in train} & set(language_set("bloom"))) == 39
    assert len({part.task.cluster for part in train}) >= 8
    assert {suite.axis for suite, _ in suites.values()} == {"rows", "templates", "languages", "clusters"}
    requests = sum(
        prompted.table.num_rows
        for _, parts in suites.values()
        for part in parts
        for prompted in prompted_parts(part, seed=recipe.seed)
    )
    assert 2500 <= requests <= 4000


def test_both_demos_see_the_same_data():
    causal, encoder_decoder = (load_recipe(RECIPES / name).recipe for name in ("demo.yaml", "demo-mt5.yaml"))
    assert causal.mixture == encoder_decoder.mixture
    assert causal.evaluation == encoder_decoder.evaluation
