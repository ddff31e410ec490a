"""A tiny finished run, written as the stages write it."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xmtf.files import Manifest, append_jsonl, write_jsonl, write_manifest
from xmtf.recipe import dump_recipe, load_recipe

RECIPE = """
name: tiny
description: Two suites, <b>one</b> measured change.
mixture: {tasks: [{catalogue: demo}]}
model: {architecture: bloom, hidden_size: 64, num_layers: 2, num_heads: 4}
training: {steps: 20}
"""


HOSTILE = "</script><img src=x onerror=\"document.title='owned'\"> <!-- \u2028 & \u05e9\u05dc\u05d5\u05dd"
JOB = {
    "suite": "rows", "axis": "rows", "kind": "rank", "task": "weekday/fr", "split": "test", "dataset": "cldr/weekday",
    "subset": "fr", "cluster": "multiple choice", "language": "fr", "prompt_language": "en", "translation": "none",
}  # fmt: skip


def write_items(path, job, items):
    """Write a file of items as an evaluation does: columns, and the job beside them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {name: [job[name]] * len(items) for name in ("suite", "task", "split", "template")}
    columns |= {name: [item.get(name) for item in items] for name in items[0]}
    about = {"job": job | {"template_hash": "h" + job["template"], "metrics": ["accuracy"], "dropped": {}}}
    pq.write_table(pa.table(columns).replace_schema_metadata({"xmtf": json.dumps(about)}), path)


def rank_item(row, correct, gold=1):
    return {
        "row": row, "prompt": f"Which day is number {row}? {HOSTILE}", "choices": ["lundi", "mardi <b>"],
        "scores": [-2.5, -1.25 if correct else -9.0], "num_tokens": [1, 2], "gold": gold,
        "choice": gold if correct else 1 - gold, "text": None, "references": None, "correct": bool(correct),
        "error": None, "truncated": False,
    }  # fmt: skip


def write_label(folder, label, right):
    """Write one evaluation: ``right`` gives the rightness of the four rows of each of two templates."""
    scores = []
    for template in ("plain", "quiz"):
        job = JOB | {"template": template}
        write_items(folder / "items" / f"{template}.parquet", job, [rank_item(*pair) for pair in enumerate(right)])
        accuracy = {"name": "accuracy", "value": float(np.mean(right)), "low": 0.0, "high": 1.0, "chance": 0.25}
        scores.append(job | {"model": label, "model_fingerprint": label, "metrics": [accuracy | {"num_items": 4}]})
    chrf = {"name": "chrf", "value": 40.0, "low": 30.0, "high": 50.0, "chance": None, "num_items": 9}
    text = {
        "suite": "text", "kind": "generation", "task": "date/sw", "template": "plain", "dataset": "cldr/date",
        "subset": "sw", "cluster": "structure to text", "language": "sw", "model": label, "model_fingerprint": label,
    }  # fmt: skip
    scores.append(JOB | text | {"metrics": [chrf]})
    write_jsonl(folder / "scores.jsonl", scores)
    sample = {"suite": "text", "task": "date/sw", "template": "plain", "prompt": "Say <hi> & go", "references": ["ok"]}
    write_jsonl(folder / "samples.jsonl", [sample | {"text": label.upper()}])
    write_manifest(folder, Manifest("evaluate", f"f-{label}"))


@pytest.fixture
def run_folder(tmp_path):
    folder = tmp_path / "tiny"
    mixture = folder / "mixture" / "language=fr"
    mixture.mkdir(parents=True)
    rows = {
        "inputs": ["one", "three"], "targets": ["1", "3"], "language": ["fr"] * 2, "cluster": ["multiple choice"] * 2,
        "dataset": ["cldr/weekday"] * 2,
    }  # fmt: skip
    pq.write_table(pa.table(rows), mixture / "part-00000.parquet")
    write_manifest(folder / "mixture", Manifest("mixture", "f-mixture", counts={"dropped": {"duplicate": 7}}))
    for step, loss in enumerate([3.0, 2.0, 1.5]):
        append_jsonl(folder / "log.jsonl", {"event": "train", "step": step, "loss": loss})
    append_jsonl(folder / "log.jsonl", {"event": "validation", "step": 2, "group": "held-out mixture", "loss": 1.6})
    write_label(folder / "results" / "before", "before", [0, 0, 1, 0])
    write_label(folder / "results" / "after", "after", [1, 1, 1, 0])
    (tmp_path / "given.yaml").write_text(RECIPE)
    (folder / "recipe.yaml").write_text(dump_recipe(load_recipe(tmp_path / "given.yaml").recipe))
    return folder
