"""Mixture and tokens as arrays of jobs: what the job scripts run, in any order, makes the bytes of one process."""

import json
import shlex
import sys

import pytest
import typer.testing

from xmtf.cli.data.verbs import app
from xmtf.files import read_manifest
from xmtf.launch import Cluster, write_scripts
from xmtf.mixture import build_mixture
from xmtf.recipe import load_recipe
from xmtf.tokens import tokenize_mixture

OVERRIDES = ("execution.engine=inline",)
BUILT = ["plan", "render", "order", "parts", "mixture", "tokenizer", "encode", "tokens"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A recipe of two languages, in parts of 40 examples, and what one process makes of it."""
    folder = tmp_path_factory.mktemp("arrays")
    template = "{name: t, jinja: '{{text}} {{number}} ||| {{number + 1}}', original_task: true}"
    (folder / "templates.yaml").write_text(f"templates: [{template}]\n")
    own = []
    for language in ("de", "fr"):
        rows = [{"text": f"{language} {row % 90}", "number": row % 7} for row in range(120)]
        (folder / f"{language}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        own.append({"id": language, "path": f"{language}.jsonl", "templates": "templates.yaml", "language": language})
    recipe = {
        "name": "small",
        "own_tasks": own,
        "mixture": {"tasks": [{"catalogue": "own"}], "shard_rows": 40},
        "tokens": {"tokenizer": {"train_vocab_size": 300}},
        "model": {"architecture": "bloom", "hidden_size": 8, "num_layers": 1, "num_heads": 1},
        "training": {"steps": 1},
    }
    (folder / "recipe.yaml").write_text(json.dumps(recipe))
    loaded = load_recipe(folder / "recipe.yaml", OVERRIDES)
    build_mixture(loaded, folder / "mixture")
    tokenize_mixture(loaded, folder / "mixture", folder / "tokens", family="causal")
    return folder


def commands(folder, jobs):
    """Return of each written script its name, the arguments of xmtf, and the numbers of its jobs."""
    loaded = load_recipe(folder / "recipe.yaml", OVERRIDES)
    scripts = write_scripts(loaded, OVERRIDES, Cluster(jobs=jobs), folder / f"jobs{jobs}")
    found = {}
    for path in scripts:
        if path.stem not in BUILT:
            continue
        text = path.read_text()
        words = shlex.split(next(line for line in text.splitlines() if line.startswith("run_stage")))
        numbers = range(jobs) if f"--array=0-{jobs - 1}" in text else [None]
        found[path.stem] = words[words.index("xmtf.cli") + 1 :], numbers
    return found


def run(arguments, number):
    """Carry out ``data ...`` as job ``number`` of an array; return what it prints."""
    environment = {} if number is None else {"SLURM_ARRAY_TASK_ID": str(number)}
    result = typer.testing.CliRunner().invoke(app, arguments[1:], env=environment, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_arrays_make_the_bytes_of_one_process(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "executable", "python")
    of = commands(folder, 3)
    assert list(of) == BUILT
    printed = {}
    for name in BUILT[:-1]:
        arguments, numbers = of[name]
        printed[name] = [run(arguments, number) for number in reversed(numbers)]
    assert [len(texts) for texts in printed.values()] == [1, 3, 1, 3, 1, 1, 3]
    assert all("examples" in text for name in ("parts", "encode") for text in printed[name])  # each had a share
    loaded, run_ = load_recipe(folder / "recipe.yaml", OVERRIDES), folder / "runs" / "small"
    monkeypatch.setattr("xmtf.execution.run.run_task", only_finished)
    tokenize_mixture(loaded, run_ / "mixture", run_ / "tokens", family="causal")
    for stage in ("mixture", "tokens"):
        one, many = read_manifest(folder / stage), read_manifest(run_ / stage)
        assert many.outputs == one.outputs
        assert many.counts == one.counts
        assert many.fingerprint == one.fingerprint
    for name in ("order", "tokenizer"):  # submitted again, the jobs of what is finished have nothing to do
        assert "already finished" in run(of[name][0], None)
    assert run(of["parts"][0], 0) + run(of["encode"][0], 0) == ""


def only_finished(plan, index, folder):
    """Refuse to encode in the last job what the array has encoded."""
    from xmtf.execution.plan import run_task, shard_result

    assert "encode" not in plan.function or shard_result(plan.tasks[index], folder) is not None
    return run_task(plan, index, folder)


@pytest.mark.parametrize(("step", "name"), [("parts", "parts.jsonl"), ("tokens", "plan.jsonl")])
def test_a_share_without_a_plan_names_the_command(folder, tmp_path, step, name):
    result = typer.testing.CliRunner().invoke(
        app, ["run-task", str(folder / "recipe.yaml"), "--step", step, "--out", str(tmp_path / "none")]
    )
    assert f"--write --step {step}" in str(result.exception)
    assert name in str(result.exception)
