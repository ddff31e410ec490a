"""A sweep: a run for each combination of values, shared stages made once, one report, resumed after a kill."""

import itertools
import json

import pytest
from tests.end_to_end.test_run import SMALL, SMOKE

from xmtf.cli.app import _run as xmtf
from xmtf.cli.terminal.json_fields import problems
from xmtf.errors import ConfigError, DataError
from xmtf.files import read_manifest
from xmtf.recipe import load_recipe
from xmtf.runs import pipeline, sweep
from xmtf.runs.sweep import plan_sweep, run_sweep, split_values

RATES = "training.optimizer.learning_rate=1e-3,3e-3"
TINY = (*SMALL, "training.steps=4", "training.save_every=2", "evaluation.suites.1.tasks.0.languages=[pt]")


@pytest.mark.parametrize(
    ("sweeps", "message"),
    [
        (["training.optimizer.lerning_rate=1,2"], "unknown key 'training.optimizer.lerning_rate'; did you mean"),
        (["training.micro_batch_rows=4,many"], "training.micro_batch_rows"),
        (["training.micro_batch_rows=4,4"], "another run has the same values"),
        (["seed=1,2", "seed=3"], "seed is given twice"),
        (["training.steps=1,2"], "training.steps is given twice"),  # also an override
        (["seed"], "--sweep seed: expected key=value,value"),
        (["seed=1,,2"], "an empty value"),
        (["name=a,b"], "every run has its own folder"),
        (["run_folder=a,b"], "every run has its own folder"),
        (["seed=[1"], "not valid YAML"),
    ],
)
def test_a_wrong_sweep_is_one_line_before_anything_starts(tmp_path, monkeypatch, capsys, sweeps, message):
    monkeypatch.setattr(sweep, "run_recipe", lambda *_, **__: pytest.fail("a run has started"))
    options = [part for each in sweeps for part in ("--sweep", each)]
    assert xmtf(["run", str(SMOKE), f"run_folder={tmp_path / 'run'}", *TINY, *options]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "run").exists()


def test_values_and_folders():
    assert split_values("1e-5, 2e-5") == ["1e-5", "2e-5"]
    assert split_values('[a, b],{c: 1, d: 2},"x,y"') == ["[a, b]", "{c: 1, d: 2}", '"x,y"']
    given = ["training.optimizer.learning_rate=1e-5,2e-5", "training.schedule.warmup=1 steps,10 steps"]
    planned = plan_sweep(SMOKE, ["run_folder=here"], given)
    assert [point.label for point in planned.points] == [
        "learning_rate-1e-05_warmup-1-steps",
        "learning_rate-1e-05_warmup-10-steps",
        "learning_rate-2e-05_warmup-1-steps",
        "learning_rate-2e-05_warmup-10-steps",
    ]
    assert str(planned.points[0].loaded.run_folder) == f"here/sweep/{planned.points[0].label}"
    assert planned.points[3].loaded.recipe.training.optimizer.learning_rate == 2e-5
    named = plan_sweep(SMOKE, [], ["training.schedule.name=linear,cosine", "training.optimizer.name=adamw,adafactor"])
    assert named.points[0].label == "training.schedule.name-linear_training.optimizer.name-adamw"
    with pytest.raises(ConfigError, match="same folder name"):
        plan_sweep(SMOKE, [], ["description=a b,a-b"])


def test_shared_stages_are_made_once(tmp_path, capsys):
    planned = plan_sweep(SMOKE, [f"run_folder={tmp_path / 'run'}", *TINY], [RATES])
    result = run_sweep(planned, until="tokens")
    assert [each.finished for each in result.outcomes.values()] == [("mixture", "tokens")] * 2
    assert result.page is None
    first, second = (point.loaded.run for point in planned.points)
    for stage in ("mixture", "tokens"):
        outputs = read_manifest(first.path / stage).outputs
        assert all((first.path / stage / name).samefile(second.path / stage / name) for name in outputs)
    assert capsys.readouterr().err.count("shared with learning_rate-0.001") == 2


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Return a sweep of two rates that was stopped in its second run, and then carried out."""
    folder = tmp_path_factory.mktemp("sweep") / "run"
    planned = plan_sweep(SMOKE, [f"run_folder={folder}", *TINY], [RATES])
    whole, done = pipeline.run_recipe, []

    def stopped(loaded, **how):
        done.append(loaded.run_folder.name)
        if len(done) == 2:
            whole(loaded, **how | {"until": "tokens"})
            raise KeyboardInterrupt
        return whole(loaded, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "run_recipe", stopped)
        with pytest.raises(KeyboardInterrupt):
            run_sweep(planned)
    assert done == [point.label for point in planned.points]
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("model/*.safetensors")}
    assert len(before) == 1
    result = run_sweep(planned)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    return planned, result


@pytest.mark.slow
def test_a_sweep_shares_what_its_keys_do_not_affect_and_reports_all_runs(swept):
    planned, result = swept
    assert list(result.outcomes) == ["learning_rate-0.001", "learning_rate-0.003"]
    assert result.failures == {}
    first, second = (point.loaded.run for point in planned.points)
    for stage in ("mixture", "tokens", "initial", "results/before"):
        folders = [run.path / stage for run in (first, second)]
        outputs = read_manifest(folders[0]).outputs
        assert read_manifest(folders[1]).outputs == outputs
        assert all((folders[0] / name).samefile(folders[1] / name) for name in outputs)
    journals = [path.name for path in first.results("before").glob("answers-*")]  # appended to
    assert journals
    assert not any((first.results("before") / name).samefile(second.results("before") / name) for name in journals)
    assert not (second.results("before") / ".lock").exists()
    weights = [(run.model / "model.safetensors").read_bytes() for run in (first, second)]
    assert weights[0] != weights[1]
    page = result.page.read_text()
    assert all(f"{label}: after" in page for label in result.outcomes)
    assert "0.001: before" not in page  # it is one measurement


@pytest.mark.slow
def test_a_run_of_a_sweep_is_the_run_of_its_recipe_alone(swept, tmp_path):
    point = swept[0].points[1]
    recipe = load_recipe(SMOKE, [f"run_folder={tmp_path}", *TINY, "training.optimizer.learning_rate=3e-3"])
    alone = pipeline.run_recipe(recipe, until="train").folder
    weights = [(folder / "model" / "model.safetensors").read_bytes() for folder in (alone, point.loaded.run_folder)]
    assert weights[0] == weights[1]


@pytest.mark.slow
def test_what_a_key_affects_is_not_shared(tmp_path):
    planned = plan_sweep(SMOKE, [f"run_folder={tmp_path / 'run'}", *TINY], ["seed=1,2", "mixture.cap_examples=null,9"])
    assert len(planned.points) == 4
    run_sweep(planned, until="mixture")
    mixtures = [point.loaded.run.mixture for point in planned.points]
    assert len({read_manifest(mixture).fingerprint for mixture in mixtures}) == 4
    parts = [next(mixture.rglob("part-*.parquet")) for mixture in mixtures]
    assert not any(one.samefile(other) for one, other in itertools.combinations(parts, 2))


@pytest.mark.slow
def test_a_finished_sweep_is_printed_and_a_failed_run_keeps_no_other_from_running(swept, monkeypatch, capsys):
    planned, _ = swept
    command = ["run", str(SMOKE), f"run_folder={planned.folder.parent}", *TINY, "--sweep", RATES]
    whole = pipeline.run_recipe

    def first_fails(loaded, **how):
        if loaded.run_folder.name == planned.points[0].label:
            raise DataError("the loss is not finite")
        return whole(loaded, **how)

    monkeypatch.setattr(sweep, "run_recipe", first_fails)
    assert xmtf([*command, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert problems("run", told) == []
    assert [each["failure"] for each in told["runs"]] == ["the loss is not finite", None]
    assert [each["values"] for each in told["runs"]] == [
        {"training.optimizer.learning_rate": 1e-3},
        {"training.optimizer.learning_rate": 3e-3},
    ]
    assert {label for each in told["results"] for label in each["values"]} == {"before", "after"}
    assert xmtf([*command, "--estimate"]) == 2
    assert "--estimate: is for one run" in capsys.readouterr().err
