"""A tiny finished run, written as the stages write it."""

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


def write_label(folder, label, right):
    """Write one evaluation: ``right`` gives the rightness of the four rows of each of two templates."""
    (folder / "items").mkdir(parents=True)
    scores = []
    for template in ("plain", "quiz"):
        items = {
            "suite": ["rows"] * 4,
            "task": ["weekday/fr"] * 4,
            "split": ["test"] * 4,
            "template": [template] * 4,
            "row": [0, 1, 2, 3],
            "correct": list(right),
        }
        pq.write_table(pa.table(items), folder / "items" / f"{template}.parquet")
        accuracy = {"name": "accuracy", "value": float(np.mean(right)), "low": 0.0, "high": 1.0, "chance": 0.25}
        scores.append({
            "suite": "rows", "axis": "rows", "task": "weekday/fr", "split": "test", "template": template,
            "dataset": "cldr/weekday", "subset": "fr",
            "cluster": "multiple choice", "language": "fr", "metrics": [accuracy | {"num_items": 4}],
        })  # fmt: skip
    scores.append({
        "suite": "text", "axis": "none", "task": "date/sw", "split": "test", "template": "plain",
        "dataset": "cldr/date", "subset": "sw",
        "cluster": "structure to text", "language": "sw",
        "metrics": [{"name": "chrf", "value": 40.0, "low": 30.0, "high": 50.0, "chance": None, "num_items": 9}],
    })  # fmt: skip
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
