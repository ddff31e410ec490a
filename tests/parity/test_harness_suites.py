"""The harness's own task files of multilingual suites, on local rows: our engine beside its ``hf`` model, item by item.

The table of docs/evaluation.md is what it says with ``pytest -s``.
The task files are read from the installed package when the test runs; the data come from a mirror.
"""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xmtf.evaluation.harness import register
from xmtf.evaluation.harness.local_data import data_of_mirror
from xmtf.execution import say

pytest.importorskip("lm_eval", reason="needs the extra `harness`")
pytestmark = pytest.mark.filterwarnings("ignore")  # the harness's own

ROWS = 4
FOLDERS = {
    "belebele_fra_Latn": "belebele",
    "global_mmlu_full_fr_high_school_geography": "global_mmlu",
    "mgsm_direct_fr": "mgsm",
}
MIRRORED = {"xcopa_et": "xcopa", "xnli_sw": "xnli"}


def write(root, where, split, rows):
    (root / where).mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), root / where / f"{split}.parquet")


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    root = tmp_path_factory.mktemp("mirror")
    passages = [
        {
            "link": f"https://example.org/{n}",
            "question_number": 1,
            "flores_passage": f"La ville {n} est au bord du lac.",
        }
        | {
            "question": f"Où est la ville {n} ? ",
            "correct_answer_num": str(n % 4 + 1),
            "dialect": "fra_Latn",
            "ds": "x",
        }
        | {f"mc_answer{k}": f"au bord du lac {k}" for k in range(1, 5)}
        for n in range(ROWS)
    ]
    write(root, "facebook/belebele/fra_Latn", "test", passages)
    exams = [
        {
            "sample_id": f"geography/test/{n}",
            "subject": "high_school_geography",
            "subject_category": "STEM",
            "question": f"Combien {n} ?",
        }
        | {f"option_{letter}": f"{letter} ponts {n}" for letter in "abcd"}
        | {"answer": "ABCD"[n % 4]}
        for n in range(ROWS)
    ]
    for split in ("test", "dev"):
        write(root, "CohereLabs/Global-MMLU/fr", split, exams)
    sums = [
        {"question": f"Il y a {n} pommes et {n} poires. Combien ?", "answer": None, "answer_number": 2 * n}
        | {"equation_solution": None}
        for n in range(ROWS)
    ]
    for split in ("test", "train"):
        write(root, "juletxara/mgsm/fr", split, sums)
    for where in ("cambridgeltl/xcopa/et", "facebook/xnli/sw"):
        if data := os.environ.get("XMTF_DATA_ROOT"):
            (root / where).parent.mkdir(parents=True, exist_ok=True)
            (root / where).symlink_to(Path(data) / where)
    return root


def asked(model, folder, tasks, places):
    """Return the samples of tasks of the harness, by task."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    found = Path(lm_eval.__file__).parent / "tasks"
    manager = TaskManager(include_path=[str(found / place) for place in places], include_defaults=False)
    with data_of_mirror():
        told = lm_eval.simple_evaluate(
            model=model,
            model_args={"pretrained": folder, "max_length": 256, "dtype": "float32"},
            tasks=list(tasks),
            limit=ROWS,
            device="cpu",
            batch_size=4,
            bootstrap_iters=0,
            gen_kwargs="max_gen_toks=8",
            task_manager=manager,
        )
    return told["samples"], told["results"]


def agree(mirror, monkeypatch, folder, tasks):
    """Assert that both models say the same to every item; return the number of log-probabilities compared."""
    register()
    monkeypatch.setenv("XMTF_DATA_ROOT", str(mirror))
    theirs, their_results = asked("hf", folder, tasks, set(tasks.values()))
    ours, our_results = asked("xmtf", folder, tasks, set(tasks.values()))
    assert theirs.keys() == ours.keys() == set(tasks)
    compared = 0
    for task, rows in theirs.items():
        differences, texts = [0.0], 0
        assert len(rows) >= ROWS
        for one, other in zip(rows, ours[task], strict=True):
            assert one["arguments"] == other["arguments"]
            if isinstance(one["resps"][0][0], str):
                assert other["resps"] == one["resps"]  # greedy texts, to the letter
                texts += 1
                continue
            mine, their = ([float(resp[0][0]) for resp in sample["resps"]] for sample in (other, one))
            # Sums beyond a thousand nats end at 1.2e-4 in the harness's fp32.
            assert mine == pytest.approx(their, abs=1e-4, rel=3e-7)
            compared += len(mine)
            differences += [abs(a - b) for a, b in zip(mine, their, strict=True)]
        numbers = [
            {name: value for name, value in results[task].items() if isinstance(value, float) and "stderr" not in name}
            for results in (their_results, our_results)
        ]
        assert numbers[0] == numbers[1]  # the harness's own metric, from equal answers
        say(f"{task}: {len(differences) - 1} sums, at most {max(differences):.2g} nats; {texts} texts; {numbers[1]}")
    return compared


def test_suites_of_their_shape(mirror, monkeypatch, tmp_path, tiny_model):
    folder = tiny_model(tmp_path / "model", "causal", seed=3)
    assert agree(mirror, monkeypatch, folder, FOLDERS) == 2 * ROWS * 4


@pytest.mark.skipif("XMTF_DATA_ROOT" not in os.environ, reason="XMTF_DATA_ROOT is not set")
def test_xcopa_and_xnli_of_the_mirror(mirror, monkeypatch, tmp_path, tiny_model):
    folder = tiny_model(tmp_path / "model", "causal", seed=4)
    assert agree(mirror, monkeypatch, folder, MIRRORED) == ROWS * (2 + 3)


def test_what_the_mirror_lacks_goes_to_the_hub(monkeypatch, tmp_path):
    import datasets

    monkeypatch.setenv("XMTF_DATA_ROOT", str(tmp_path))
    asked_of_the_hub = []
    monkeypatch.setattr(datasets, "load_dataset", lambda *args, **options: asked_of_the_hub.append((args, options)))
    with data_of_mirror():
        datasets.load_dataset(path="some/set", name="fr", revision="x")
        datasets.load_dataset("json", data_files={"test": "rows.jsonl"})
    assert asked_of_the_hub == [
        (("some/set", "fr"), {"revision": "x"}),
        (("json", None), {"data_files": {"test": "rows.jsonl"}}),
    ]
