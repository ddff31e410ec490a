import pytest

from xmtf.errors import SourceError, UnknownNameError
from xmtf.files import read_jsonl
from xmtf.models.files import references
from xmtf.recipe import load_recipe
from xmtf.runs import pipeline
from xmtf.runs.pipeline import STAGES, run_recipe, stages


@pytest.mark.parametrize("stage", ["tokens", "train"])
def test_an_offline_recipe_looks_for_its_model_in_the_cache_alone(monkeypatch, tmp_path, stage):
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "name: r\noffline: true\nmixture: {tasks: [{catalogue: demo}]}\nmodel: {base: some/model}\n"
        f"training: {{steps: 1}}\nrun_folder: {tmp_path / 'run'}\n"
    )
    asked = []

    def snapshot(reference, patterns, offline):
        asked.append(offline)
        raise SourceError("not there")

    monkeypatch.setattr(references, "_snapshot", snapshot)
    work = {each.name: each.work for each in stages(load_recipe(path))}
    with pytest.raises(SourceError, match="not there"):
        work[stage]()
    assert asked == [True]


RECIPE = """\
name: r
mixture: {tasks: [{catalogue: demo}]}
model: {architecture: bloom, hidden_size: 8, num_layers: 1, num_heads: 1}
training: {steps: 1}
evaluation: {suites: [{name: s, tasks: [{catalogue: demo}]}]}
"""


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return lambda *overrides: load_recipe(tmp_path / "recipe.yaml", [f"run_folder={tmp_path / 'run'}", *overrides])


@pytest.mark.parametrize(
    ("overrides", "without"),
    [
        ([], set()),
        (["model={base: some/model}"], {"initial"}),
        (["evaluation.before=false"], {"before"}),
        (["evaluation.suites=[]"], {"before", "after"}),
    ],
)
def test_a_recipe_has_the_stages_that_it_asks_for_in_order(recipe, overrides, without):
    assert [stage.name for stage in stages(recipe(*overrides))] == [name for name in STAGES if name not in without]


def test_a_run_stops_after_the_stage_that_is_named(recipe, tmp_path, monkeypatch):
    done = []

    def listed(loaded):
        for name in STAGES:
            yield pipeline.Stage(name, lambda name=name: done.append(name))

    monkeypatch.setattr(pipeline, "stages", listed)
    outcome = run_recipe(recipe(), until="initial")
    assert done == ["mixture", "tokens", "initial"]
    assert outcome.summary == (f"{tmp_path / 'run'}: finished up to initial",)
    logged = [event["stage"] for event in read_jsonl(tmp_path / "run" / "log.jsonl")]
    assert logged == done
    assert load_recipe(tmp_path / "run" / "recipe.yaml").recipe == recipe().recipe


def test_an_unknown_stage_is_refused_before_anything_is_written(recipe, tmp_path):
    with pytest.raises(UnknownNameError, match="unknown stage 'token'; did you mean 'tokens'"):
        run_recipe(recipe(), until="token")
    assert not (tmp_path / "run").exists()


def test_a_stage_that_fails_leaves_no_event_and_ends_the_run(recipe, tmp_path, monkeypatch):
    def failing():
        raise SourceError("gone")

    both = (pipeline.Stage("mixture", failing), pipeline.Stage("tokens", lambda: pytest.fail("came to the next stage")))
    monkeypatch.setattr(pipeline, "stages", lambda loaded: iter(both))
    with pytest.raises(SourceError, match="gone"):
        run_recipe(recipe(), until="tokens")
    assert not (tmp_path / "run" / "log.jsonl").exists()
