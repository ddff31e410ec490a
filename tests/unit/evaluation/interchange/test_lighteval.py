"""Results of lighteval, in the layouts of its earlier and newer versions."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xmtf.errors import DataError, SourceError
from xmtf.evaluation.interchange import import_results
from xmtf.evaluation.scoring.rescore import rescore

DATE = "2026-05-05T10-01-31.876443"
CONFIG = {"hf_repo": "cambridgeltl/xcopa", "hf_subset": "et", "evaluation_splits": ["validation"]}


def written(root, results, configs, **general):
    folder = root / "results" / "org" / "small"
    folder.mkdir(parents=True)
    told = {
        "config_general": {"model_name": "org/small", "lighteval_sha": "abc", **general},
        "results": results | {"all": {"acc": 0.1}},
        "versions": {},
        "config_tasks": configs,
    }
    (folder / f"results_{DATE}.json").write_text(json.dumps(told))


def details(root, key, rows):
    folder = root / "details" / "org" / "small" / DATE
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / f"details_{key}_{DATE}.parquet")


def row(number, gold, logprobs, text, choices=(" a", " b")):
    doc = {"id": str(number), "query": f"Q{number}", "choices": list(choices), "gold_index": gold, "task_name": "x"}
    return {"doc": doc, "model_response": {"logprobs": logprobs, "text": text}, "metric": {"acc": 1.0}}


def test_results_and_items_are_read(tmp_path):
    results = {
        "xcopa_est|0": {"acc": 0.5, "acc_stderr": 0.35},
        "lighteval|mgsm:fr|5": {"extractive_match": 0.25, "extractive_match_stderr": 0.1, "other": float("nan")},
        "lighteval|mgsm:_average|5": {"extractive_match": 0.9},
    }
    configs = {"xcopa_est|0": CONFIG, "lighteval|mgsm:fr": {"hf_repo": "juletxara/mgsm", "hf_subset": "fr"}}
    written(tmp_path, results, configs)
    details(tmp_path, "xcopa_est|0", [row(0, [0], [-1.0, -2.0], []), row(1, [1], [-1.0, -2.0], [])])
    details(tmp_path, "lighteval|mgsm:fr|5", [row(0, 0, [], ["12", "13"], choices=("12",))])
    ranked, wrote = import_results(tmp_path, tmp_path / "out")
    assert (ranked.model, ranked.suite, ranked.kind) == ("small", "lighteval", "rank")
    asked = ranked.provenance
    assert (asked.task, asked.language, asked.split, asked.template) == ("xcopa/et", "et", "validation", "xcopa_est")
    metric = ranked.metrics[0]
    assert (metric.name, metric.value, metric.chance, metric.num_items) == ("accuracy", 0.5, 0.5, 2)
    assert (wrote.kind, wrote.provenance.subset, wrote.provenance.template) == ("generation", "fr", "mgsm:fr, 5 shots")
    assert [each.name for each in wrote.metrics] == ["extractive_match"]
    again = {score.suite: score for score in rescore(tmp_path / "out") if score.kind == "rank"}
    assert again["lighteval"].metrics[0].value == 0.5


def test_results_without_items_and_broken_ones(tmp_path, capsys):
    results = {"xcopa_est|0": {"acc": 0.5, "acc_stderr": 0.1}}
    written(tmp_path, results, {"xcopa_est|0": CONFIG}, max_samples=25)
    (only,) = import_results(tmp_path, tmp_path / "one", layout="lighteval")
    assert (only.kind, only.metrics[0].num_items) == ("rank", 25)
    details(tmp_path, "xcopa_est|0", [{"example": "x", "predictions": []}])
    assert len(import_results(tmp_path, tmp_path / "two")) == 1
    assert "earlier version of lighteval are skipped" in capsys.readouterr().err
    details(tmp_path, "xcopa_est|0", [row(0, [7], [-1.0, -2.0], [])])
    with pytest.raises(DataError, match="row 0 is not in the layout"):
        import_results(tmp_path, tmp_path / "three")
    with pytest.raises(SourceError, match="no results of lm-eval or lighteval"):
        import_results(tmp_path, tmp_path / "four", layout="t-zero")
