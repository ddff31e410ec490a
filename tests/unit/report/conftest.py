"""A tiny finished run, written as the stages write it."""

from dataclasses import asdict, replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xmtf.files import Manifest, append_jsonl, write_manifest
from xmtf.recipe import dump_recipe, load_recipe
from xmtf.records import Metric, Provenance, Score
from xmtf.results.items import ITEM_SCHEMA, About, JobInfo, suite_items
from xmtf.results.samples import Sample, write_samples
from xmtf.results.scores import write_scores

RECIPE = """
name: tiny
description: Two suites, <b>one</b> measured change.
mixture: {tasks: [{catalogue: demo}]}
model: {architecture: bloom, hidden_size: 64, num_layers: 2, num_heads: 4}
training: {steps: 20}
"""


HOSTILE = "</script><img src=x onerror=\"document.title='owned'\"> <!-- \u2028 & \u05e9\u05dc\u05d5\u05dd"
WEEKDAY = Provenance("fr", "en", "none", "weekday/fr", "multiple choice", "cldr/weekday", "fr", "test", "plain")
JOB = JobInfo("rows", "rows", "rank", WEEKDAY, "h", ("accuracy",))


def score_of(job, label, *metrics):
    return Score(
        model=label, model_fingerprint=label, suite=job.suite, axis=job.axis, kind=job.kind, scoring="bloomz",
        provenance=job.provenance, template_hash=job.template_hash, metrics=metrics,
    )  # fmt: skip


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
    with suite_items(folder) as items:
        for template in ("plain", "quiz"):
            job = replace(JOB, provenance=replace(WEEKDAY, template=template), template_hash=f"h{template}")
            rows = [{"suite": "rows", **asdict(job.provenance), **rank_item(*pair)} for pair in enumerate(right)]
            items.add(pa.Table.from_pylist(rows, schema=ITEM_SCHEMA), About(job, label, label, "bloomz", {}))
            scores.append(score_of(job, label, Metric("accuracy", float(np.mean(right)), 0.0, 1.0, 0.25, 4)))
    asked = Provenance("sw", "en", "none", "date/sw", "structure to text", "cldr/date", "sw", "test", "plain")
    text = JobInfo("text", "rows", "generation", asked, "h", ("chrf",))
    scores.append(score_of(text, label, Metric("chrf", 40.0, 30.0, 50.0, None, 9)))
    write_scores(folder / "scores.jsonl", scores)
    write_samples(folder, [Sample("text", asked, 0, "Say <hi> & go", ("ok",), label.upper())])
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
