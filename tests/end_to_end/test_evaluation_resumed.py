"""An evaluation that was stopped after any of its batches and resumed has the bytes of one that was not."""

import json
import subprocess

import pytest

from xmtf import versions
from xmtf.evaluation import run as room
from xmtf.evaluation.asking import subject
from xmtf.evaluation.asking.journal import Journal
from xmtf.evaluation.shares import Share, answer_share
from xmtf.recipe import load_recipe

TEMPLATES = """\
language: en
templates:
  - name: is it even
    jinja: "Is {{x}} even?{{' Say so.' * (x % 5)}} ||| {{ answer_choices[x % 2] }}"
    answer_choices: yes ||| no ||| who knows
  - name: what comes
    jinja: "{{'And after' * (x % 3)}} after {{x}} comes ||| {{x + 1}}"
"""
RECIPE = """\
name: own
mixture: {tasks: [{tasks: [parity]}]}
model: {architecture: bloom, hidden_size: 8, num_layers: 1, num_heads: 1}
training: {steps: 1, device: cpu}
own_tasks:
  - {id: parity, path: rows.jsonl, templates: own.yaml, language: en, kind: rank, role: evaluation, split: test}
  - {id: counting, path: rows.jsonl, templates: own.yaml, language: en, role: evaluation, split: test}
evaluation:
  samples: 3
  batch_tokens: 160
  max_new_tokens: 6
  suites:
    - {name: parity, tasks: [{tasks: [parity], templates: [is it even]}]}
    - {name: counting, kind: generation, tasks: [{tasks: [counting], templates: [what comes]}]}
"""
ROWS = 40


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({"x": x}) + "\n" for x in range(ROWS)))
    (tmp_path / "own.yaml").write_text(TEMPLATES)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return lambda *overrides: load_recipe(tmp_path / "recipe.yaml", overrides)


@pytest.fixture
def passes(monkeypatch):
    """Return the batches that were computed, each as the prompts in it."""
    found = []
    for name in ("rank_batches", "generation_batches"):
        real = getattr(subject, name)

        def watched(model, tokenizer, requests, real=real, **options):
            for batch in real(model, tokenizer, requests, **options):
                found.append([requests[index].prompt for index, _ in batch])
                yield batch

        monkeypatch.setattr(subject, name, watched)
    return found


@pytest.fixture
def die_after(monkeypatch):
    """Stop an evaluation, as a kill does, after so many batches; lines of the next one are ``torn`` or missing."""
    real = Journal.add

    def stop(batches, *, torn):
        left = [batches]

        def add(journal, found, plan=""):
            if left[0] == 0:
                if torn:
                    real(journal, found, plan)
                    content = journal.path.read_bytes()
                    journal.path.write_bytes(content[: len(content) - torn * len(content) // 100])
                raise KeyboardInterrupt
            left[0] -= 1
            real(journal, found, plan)

        monkeypatch.setattr(Journal, "add", add)

    yield stop
    monkeypatch.setattr(Journal, "add", real)


def contents(folder):
    """Return the bytes of every file of results; the manifest says how long it took."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name not in ("manifest.json", ".lock")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.mark.parametrize("scoring", ["bloomz", "pmi", "lm_eval"])
def test_stopped_and_resumed(tmp_path, tiny_model, recipe, passes, die_after, monkeypatch, scoring):
    model, loaded, real = tiny_model(tmp_path / "model"), recipe(f"evaluation.scoring={scoring}"), Journal.add

    def evaluate(out):
        passes.clear()
        room.evaluate(loaded, model=model, label="m", out=tmp_path / out)
        return list(passes)

    batches = evaluate("whole")
    total = len(batches)
    assert total > 12
    for stopped, torn in ((0, 0), (1, 2), (3, 0), (total // 2, 1), (total - 1, 0)):
        out = f"stopped-{stopped}"
        die_after(stopped, torn=torn)
        with pytest.raises(KeyboardInterrupt):
            evaluate(out)
        monkeypatch.setattr(Journal, "add", real)
        assert evaluate(out) == batches[stopped:], "no batch is asked again, nor cut"
        assert contents(tmp_path / out) == contents(tmp_path / "whole")


@pytest.fixture
def commit(tmp_path, monkeypatch):
    """Let the program run from a checkout, and commit there."""
    root = tmp_path / "checkout"
    (root / "src" / "xmtf").mkdir(parents=True)
    monkeypatch.setattr(versions, "__file__", str(root / "src" / "xmtf" / "versions.py"))
    git = ("git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run([*git, "init", "-q"], check=True)

    def make():
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "more"], check=True)
        versions.source_commit.cache_clear()
        return versions.source_commit()

    yield make
    versions.source_commit.cache_clear()


def test_a_commit_in_the_checkout_changes_neither_scores_nor_items(tmp_path, tiny_model, recipe, commit, die_after):
    model, loaded = tiny_model(tmp_path / "model"), recipe()
    first = commit()
    whole = room.evaluate(loaded, model=model, label="m", out=tmp_path / "whole")
    die_after(2, torn=0)
    with pytest.raises(KeyboardInterrupt):
        room.evaluate(loaded, model=model, label="m", out=tmp_path / "stopped")
    die_after(-1, torn=0)
    second = commit()
    stopped = room.evaluate(loaded, model=model, label="m", out=tmp_path / "stopped")
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")
    assert whole.outputs == stopped.outputs
    assert whole.details["commit"] == first != second == stopped.details["commit"]


def test_shares_are_resumed_too(tmp_path, tiny_model, recipe, passes, die_after, monkeypatch):
    model, loaded, real = tiny_model(tmp_path / "model"), recipe(), Journal.add

    def share(out, index):
        return answer_share(loaded, Share(index, 2), model=model, label="m", out=tmp_path / out)

    for index in (0, 1):
        share("whole", index)
    room.evaluate(loaded, model=model, label="m", out=tmp_path / "whole")
    assert share("stopped", 1)  # in another order, and the other one stopped
    die_after(2, torn=1)
    with pytest.raises(KeyboardInterrupt):
        share("stopped", 0)
    monkeypatch.setattr(Journal, "add", real)
    share("stopped", 0)
    passes.clear()
    room.evaluate(loaded, model=model, label="m", out=tmp_path / "stopped")
    assert passes == []
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")


def test_more_rows_ask_only_the_new_ones(tmp_path, tiny_model, recipe, passes, die_after, monkeypatch):
    model, real = tiny_model(tmp_path / "model"), Journal.add
    limits = [f"evaluation.suites.{suite}.tasks.0.limit_rows" for suite in (0, 1)]
    few = recipe("evaluation.samples=0", *(f"{limit}=10" for limit in limits))
    more = recipe("evaluation.samples=0", *(f"{limit}=30" for limit in limits))

    def evaluate(loaded, out):
        passes.clear()
        room.evaluate(loaded, model=model, label="m", out=tmp_path / out, replace=True)
        return [prompt for batch in passes for prompt in batch]

    asked = {}
    for out in ("whole", "stopped"):
        first = evaluate(few, out)
        assert len(first) == 2 * 10
        if out == "stopped":
            die_after(4, torn=0)
            with pytest.raises(KeyboardInterrupt):
                evaluate(more, out)
            monkeypatch.setattr(Journal, "add", real)
        asked[out] = evaluate(more, out)
        assert not set(asked[out]) & set(first)
    assert len(asked["whole"]) == 2 * 20
    assert set(asked["stopped"]) < set(asked["whole"])
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")
