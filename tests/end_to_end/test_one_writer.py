"""Whatever writes into a folder is refused, in one line, where another command writes there."""

import contextlib
import fcntl
import json
import os
import socket

import pytest

from xmtf.cli.app import build_app
from xmtf.errors import UserError

TEMPLATES = """\
language: en
templates:
  - {name: parity, jinja: "Is {{x}} even? ||| {{ answer_choices[x % 2] }}", answer_choices: "yes ||| no"}
"""
RECIPE = """\
name: own
run_folder: run
own_tasks:
  - {id: sums, path: rows.jsonl, templates: own.yaml, language: en}
  - {id: parity, path: asked.jsonl, templates: own.yaml, language: en, kind: rank, role: evaluation, split: test}
  - {id: programs, path: programs.jsonl, language: en, kind: code, role: evaluation, split: test}
mixture: {tasks: [{tasks: [sums]}]}
tokens: {tokenizer: {train_vocab_size: 300}, packing: {sequence_length: 32}}
model: {architecture: bloom, hidden_size: 8, num_layers: 1, num_heads: 1}
training: {steps: 1, global_batch_rows: 2, micro_batch_rows: 2, save_every: 1 steps, device: cpu}
evaluation: {before: false, samples: 0, suites: [{name: ranked, tasks: [{tasks: [parity]}]}]}
"""
PROGRAM = {
    "task_id": "Python/1",
    "prompt": "def f():\n",
    "canonical_solution": "    return 1\n",
    "test": "def check(candidate):\n    assert candidate() == 1\n",
    "entry_point": "f",
}
VERBS = {
    "data build": "data build own-recipe.yaml --out OUT",
    "data plan": "data plan own-recipe.yaml --write --out OUT",
    "data merge": "data merge own-recipe.yaml --out OUT",
    "data pack": "data pack run/mixture --out OUT",
    "data export": "data export run/mixture --to OUT",
    "run": "run own-recipe.yaml run_folder=OUT",
    "train": "train own-recipe.yaml --tokens run/tokens --out OUT",
    "launch local": "launch local own-recipe.yaml run_folder=OUT",
    "launch slurm": "launch slurm own-recipe.yaml --out OUT",
    "evaluate run": "evaluate run own-recipe.yaml --model run/model --label m --out OUT",
    "evaluate run, a share": "evaluate run own-recipe.yaml --model run/model --label m --out OUT --jobs 2 --index 0",
    "evaluate rank": "evaluate rank --model run/model --suite cldr-kinds/fr --limit 1 --out OUT",
    "evaluate generation": "evaluate generation --model run/model --suite cldr-territories/fr --limit 1 --out OUT",
    "evaluate code": "evaluate code --model run/model --recipe own-recipe.yaml --suite programs --unsafe --out OUT",
    "evaluate import": "evaluate import t-zero --out OUT",
    "evaluate export": "evaluate export run/results/after --out OUT",
    "report build": "report build run --out OUT",
    "report tables": "report tables run --out OUT",
    "report figures": "report figures run --format svg --out OUT",
    "checkpoint export": "checkpoint export run --out OUT",
    "checkpoint convert": "checkpoint convert run/model --like run/model --out OUT",
    "analyze taxonomy": "analyze taxonomy run/mixture --out OUT",
}


def xmtf(arguments):
    noun, *_ = arguments.split()
    return build_app(noun)(arguments.split(), prog_name="xmtf", standalone_mode=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a finished run and what else the verbs read."""
    made = tmp_path_factory.mktemp("writers")
    for name, rows in (("rows", range(100, 140)), ("asked", range(8))):
        (made / f"{name}.jsonl").write_text("".join(json.dumps({"x": x}) + "\n" for x in rows))
    (made / "programs.jsonl").write_text(json.dumps(PROGRAM) + "\n")
    (made / "own.yaml").write_text(TEMPLATES)
    (made / "own-recipe.yaml").write_text(RECIPE)
    with contextlib.chdir(made):
        xmtf("run own-recipe.yaml")
        xmtf("evaluate export run/results/after --out t-zero")
    return made


@contextlib.contextmanager
def locked(path):
    """Hold the lock of a file, as another process does: a lock is of an open file, not of a process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_CREAT | os.O_WRONLY)
    fcntl.flock(file, fcntl.LOCK_EX)
    yield
    path.unlink()
    os.close(file)


@pytest.mark.parametrize("verb", VERBS)
def test_a_second_writer_is_refused(folder, monkeypatch, verb):
    monkeypatch.setattr("xmtf.guards.alone._PATIENCE_S", 0.0)
    monkeypatch.chdir(folder)
    out = folder / verb.replace(" ", "-") / "out"
    works_in_it = out / ".lock"
    replaces_it = out.with_name(f".out.{socket.gethostname()}-99999999.tmp")
    for path in (works_in_it, replaces_it):
        with locked(path), pytest.raises(UserError, match=r"another xmtf process .*wait for it, or") as refused:
            xmtf(VERBS[verb].replace("OUT", str(out)))
        assert "\n" not in str(refused.value)
        left = [path.name for path in out.rglob("*")] if out.exists() else []
        assert set(left) <= {".lock", ".launch.lock"}, "nothing was written"


def test_of_one_share_there_is_one(folder, monkeypatch):
    monkeypatch.setattr("xmtf.guards.alone._PATIENCE_S", 0.0)
    monkeypatch.chdir(folder)
    out = folder / "shares"
    share = VERBS["evaluate run, a share"].replace("OUT", str(out))
    xmtf(share.replace("--index 0", "--index 1"))
    with locked(out / ".0-of-2.lock"):
        with pytest.raises(UserError, match="another xmtf process works in this results folder"):
            xmtf(share)
        xmtf(share.replace("--index 0", "--index 1"))
    xmtf(share)


def test_split_files_and_answers_to_prompts(folder, monkeypatch):
    monkeypatch.setattr("xmtf.guards.alone._PATIENCE_S", 0.0)
    monkeypatch.chdir(folder)
    with locked(folder / "run" / f".tokens.{socket.gethostname()}-99999999.tmp"), pytest.raises(UserError):
        xmtf("data split-files run/tokens")
    assert not (folder / "run" / "tokens" / "train.txt").exists()
    (folder / "prompts.jsonl").write_text('"a"\n')
    with locked(folder / ".answers.jsonl.work" / ".lock"), pytest.raises(UserError, match="another xmtf process"):
        xmtf("generate --model run/model --file prompts.jsonl --out answers.jsonl")


def test_the_next_start_sweeps_what_killed_commands_left(folder, monkeypatch):
    monkeypatch.chdir(folder)
    run, here = folder / "run", f"{socket.gethostname()}-99999999"
    left = [
        run / f".model.{here}.tmp" / "model.safetensors",
        run / f".report.{here}.old" / "index.html",
        run / "results" / "after" / "items" / f".ranked.parquet.{here}.tmp",
        run / "checkpoints" / "step-000009" / "model-00001-of-00001.safetensors",
        run / "checkpoints" / f".step-000009.{here}.tmp" / "model-00001-of-00001.safetensors",
        run / "tokens" / f".own_en.bin.{here}.tmp",
        run / ".mixture.work.discarded" / "shards",
    ]
    stays = [run / ".model.elsewhere-1.tmp", run / "checkpoints" / "step-by-step" / "mine.txt"]
    for path in (*left, *stays):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("half")
    in_use = run / f".model.{socket.gethostname()}-1.tmp"
    with locked(in_use):
        xmtf("run own-recipe.yaml")
        found = set(run.rglob("*"))
        assert not {str(path) for path in left if path.exists()}
        assert in_use in found
    assert set(stays) <= found
    for path in stays:
        path.unlink()
    folders = {path.parent for path in left} - {run / "results" / "after" / "items", run / "tokens"}
    assert folders.isdisjoint(found)
