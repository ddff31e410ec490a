"""An evaluation that is killed without warning goes on where it was, and no model sees another's answers."""

import json
import os
import signal

import orjson
import pytest

from xmtf.evaluation import run as room
from xmtf.evaluation.asking import subject
from xmtf.evaluation.asking.journal import Journal
from xmtf.recipe import load_recipe
from xmtf.results.scores import read_scores

TEMPLATES = """\
language: en
templates:
  - name: is it even
    jinja: "Is {{x}} even? ||| {{ answer_choices[x % 2] }}"
    answer_choices: yes ||| no ||| who knows
  - name: parity of
    jinja: "The parity of {{x}}: ||| {{ answer_choices[x % 2] }}"
    answer_choices: even ||| odd
"""
RECIPE = """\
name: own
mixture: {tasks: [{tasks: [parity]}]}
model: {architecture: bloom, hidden_size: 8, num_layers: 1, num_heads: 1}
training: {steps: 1, device: cpu}
own_tasks:
  - {id: parity, path: rows.jsonl, templates: own.yaml, language: en, kind: rank, role: evaluation, split: test}
evaluation:
  samples: 0
  batch_tokens: 64
  suites: [{name: parity, tasks: [{tasks: [parity]}]}]
"""
ROWS = 600


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({"x": x}) + "\n" for x in range(ROWS)))
    (tmp_path / "own.yaml").write_text(TEMPLATES)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return load_recipe(tmp_path / "recipe.yaml")


def kill_after(answers, recipe, model, out):
    """Evaluate in a forked process and kill it as soon as its journal holds so many answers."""
    child = os.fork()
    if child == 0:
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            add, written = Journal.add, []

            def add_and_die(journal, found, plan=""):
                add(journal, found, plan)
                written.extend(found)
                if len(written) >= answers:
                    os.kill(os.getpid(), signal.SIGKILL)

            Journal.add = add_and_die
            room.evaluate(recipe, model=model, label="m", out=out)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the evaluation ended before it was killed"


@pytest.fixture
def counted(monkeypatch):
    """Count the requests that are computed, and the passes that compute them."""
    counts = {"requests": 0, "passes": 0}
    real = subject.rank_batches

    def watched(model, tokenizer, requests, **options):
        for batch in real(model, tokenizer, requests, **options):
            counts["requests"] += len(batch)
            counts["passes"] += bool(batch)
            yield batch

    monkeypatch.setattr(subject, "rank_batches", watched)
    return counts


def test_a_killed_evaluation_repeats_nothing(tmp_path, tiny_model, recipe, counted):
    model, other = (tiny_model(tmp_path / name, seed=seed) for seed, name in enumerate(("one", "two")))
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    kill_after(100, recipe, model, killed)
    (journal,) = killed.glob("answers-*.jsonl")
    kept = journal.read_bytes().count(b"\n")
    assert 100 <= kept < 2 * ROWS
    assert not (killed / "scores.jsonl").exists()

    room.evaluate(recipe, model=model, label="m", out=killed)
    assert counted["requests"] == 2 * ROWS - kept
    lines = journal.read_bytes().splitlines()
    assert len({orjson.loads(line)["key"] for line in lines}) == len(lines) == 2 * ROWS

    before = dict(counted)
    room.evaluate(recipe, model=model, label="m", out=killed)
    assert counted == before  # finished: not one pass
    room.evaluate(recipe, model=model, label="m", out=whole)
    assert counted["passes"] > before["passes"]
    scores = read_scores(killed / "scores.jsonl")
    assert [score.metrics for score in scores] == [score.metrics for score in read_scores(whole / "scores.jsonl")]

    computed = counted["requests"]
    room.evaluate(recipe, model=other, label="m", out=killed, replace=True)
    assert counted["requests"] == computed + 2 * ROWS  # nothing of the first model's was taken
    (theirs, _) = read_scores(killed / "scores.jsonl")
    assert theirs.hashes["weights"] != scores[0].hashes["weights"]
    assert theirs.hashes["prompts"] == scores[0].hashes["prompts"]
    assert theirs.hashes["tokenizer"] == scores[0].hashes["tokenizer"]
