"""How long a run takes, by a sample: what is counted is what the run asks and trains on, and nothing stays behind."""

import json

import pytest

from xmtf.cli.app import _run as xmtf
from xmtf.recipe import load_recipe
from xmtf.recipe.starting import start_folder
from xmtf.runs.pipeline import run_recipe
from xmtf.runs.timing import Spent, StageTime, estimate_run, lines

SUITES = """
evaluation:
  suites:
    - {name: words, kind: generation, tasks: [{tasks: [words], limit_rows: 7, splits: [train]}]}
"""
SMALL = ["training.steps=3", "training.validate_every=2", "training.validation_suites=[words]"]


@pytest.fixture
def recipe(tmp_path):
    start_folder(tmp_path / "mine")
    path = tmp_path / "mine" / "recipe.yaml"
    path.write_text(path.read_text() + SUITES)
    return path


def test_the_work_is_that_of_the_run(recipe, tmp_path):
    loaded = load_recipe(recipe, [*SMALL, f"run_folder={tmp_path / 'run'}"])
    stages = estimate_run(loaded)
    assert not (tmp_path / "run").exists()
    assert [stage.stage for stage in stages] == ["before", "train", "suites while training", "after"]
    assert all(stage.spent is not None and stage.spent.wall > 0 for stage in stages)
    run_recipe(loaded)
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    asked = json.loads((tmp_path / "run" / "results" / "after" / "manifest.json").read_text())["counts"]["items"]
    measured = sum(event["event"] == "measure" for event in log)
    tokens = next(event["tokens"] for event in log if event["event"] == "train" and event["step"] == 3)
    assert [stage.work for stage in stages] == [
        f"{asked} requests", f"3 steps of {tokens // 3} tokens", f"{measured} times {asked} requests",
        f"{asked} requests",
    ]  # fmt: skip
    assert all(event["cpu_seconds"] >= 0 for event in log if event["event"] == "stage")


def test_the_command_prints_one_line_a_stage(recipe, capsys):
    assert xmtf(["run", str(recipe), "--estimate", "evaluation.suites=[]"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed] == ["stage", "train", "together"]


def test_what_is_not_known_is_not_summed_as_nothing():
    known = StageTime("before", "2 requests", Spent(7200, 3600))
    assert lines([known, StageTime("train", "", None)])[-1].endswith("  2.0 h and more  1.0 h and more")


def test_without_its_data_a_run_is_not_estimated_as_nothing(recipe, monkeypatch, capsys):
    monkeypatch.setattr("xmtf.runs.sampling.is_here", lambda source: False)
    stages = estimate_run(load_recipe(recipe))
    assert [(stage.stage, stage.spent) for stage in stages] == [("before", None), ("train", None), ("after", None)]
    assert "not on this machine" in capsys.readouterr().err
