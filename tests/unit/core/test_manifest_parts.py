from pathlib import Path

import pytest

from xmtf.artefacts.manifest_parts import (
    EvaluationDetails,
    MixtureCounts,
    MixtureDetails,
    ModelDetails,
    ReportDetails,
    TokenDetails,
    TrainCounts,
)
from xmtf.errors import DataError
from xmtf.files import Manifest

HELD = {
    "in": 3,
    "out": 2,
    "input_tokens": 9,
    "target_tokens": 4,
    "bytes": 40,
    "dropped": {"empty inputs": 1},
    "special_texts": {"</s>": 1},
    "validation": 1,
    "composed_texts": 2,
    "conversations": 0,
    "shortened": 0,
}
FOUND = {"task": "a/x", "split": "train", "template": "t", "check": "c", "severity": "error", "message": "m"}
FIRST = {"task": "a/x", "split": "train", "template": "t", "row": 3, "detail": ""}
WRITTEN = [
    (
        MixtureDetails,
        {
            "validation_fraction": 0.05,
            "rows": {"language=fr/part-00000.parquet": 2},
            "card": {"name": "m", "description": ""},
            "suites": [{"suite": "s", "axis": "rows", "held_out": ["rows"]}],
            "firsts": {"null target": FIRST},
            "notes": [{"task": "a/x", "split": "train", "template": "t", "note": "n"}],
            "findings": [FOUND],
            "relatives": {"no": ["nn"]},
            "missing": [{"task": "a/y", "dataset": "o/a", "subset": "y", "split": "train", "problem": "not there"}],
            "partial": ["o/a/x [train]"],
            "versions": {"o/a": [{"revision": "main", "commit": "c"}]},
        },
    ),
    (
        TokenDetails,
        {
            "languages": {"in": HELD},
            "clusters": ["a"],
            "dtype": "uint16",
            "family": "causal",
            "prefix": "m",
            "validation_fraction": 0.05,
            "ends": {
                "space_before_targets": True,
                "begin_of_inputs": [1],
                "end_of_inputs": "bos",
                "end_of_targets": True,
            },
            "begin_of_inputs": "<s>",
            "tokenizer": "t",
            "vocab_size": 10,
            "special": {"pad": 0, "eos": 1, "bos": None},
        },
    ),
    (ModelDetails, {"identity": "i"}),
    (ModelDetails, {"training": "t", "step": 3}),
    (ModelDetails, {"source": "a/b"}),
    (
        ModelDetails,
        {"layout": "one process", "hardware": "CPU", "versions": {"torch": "2"}, "training": "t", "identity": "i"},
    ),
    (
        EvaluationDetails,
        {
            "model": "m",
            "family": "causal",
            "rules": {"also": []},
            "dtype": "fp32",
            "rounding": None,
            "ranking": None,
            "layout": None,
            "answers": {"answers-0123456789abcdef.jsonl": 12},
            "server": None,
            "commit": "8a+",
            "versions": {},
        },
    ),
    (ReportDetails, {}),
    (ReportDetails, {"missing_fonts": ["no font"]}),
]


@pytest.mark.parametrize(("kind", "value"), WRITTEN)
def test_what_is_read_is_written_again_to_the_letter(kind, value):
    read = kind.of(Manifest("stage", "f", details=value), Path("run"))
    assert str(read.to_json()) == str(value)  # in the same order, too


def test_counts_have_a_key_that_no_field_can_be_named_after():
    counts = MixtureCounts.of(Manifest("mixture", "f", counts={"in": 5, "out": 3, "dropped": {"x": 2}}), Path("m"))
    assert (counts.rendered, counts.out, counts.dropped) == (5, 3, {"x": 2})
    assert list(counts.to_json())[:4] == ["in", "out", "dropped", "overlaps"]


def test_manifests_of_earlier_versions_lack_keys_and_have_others():
    manifest = Manifest("train", "f", counts={"step": 2, "old": 1}, details={"layout": "one process", "old": 1})
    assert TrainCounts.of(manifest, Path("model")).real_tokens is None
    assert ModelDetails.of(manifest, Path("model")) == ModelDetails("one process")


def test_a_value_of_another_type_is_named():
    with pytest.raises(DataError, match=r"model/manifest.json: counts.step: .*integer.*; delete model to rebuild"):
        TrainCounts.of(Manifest("train", "f", counts={"step": "two"}), Path("model"))
    with pytest.raises(DataError, match=r"tokens/manifest.json: details.languages.fr.in: is missing"):
        rest = {name: value for name, value in HELD.items() if name != "in"}
        TokenDetails.of(Manifest("tokens", "f", details=WRITTEN[1][1] | {"languages": {"fr": rest}}), Path("tokens"))
