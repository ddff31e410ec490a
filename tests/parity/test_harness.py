"""lm-evaluation-harness's tasks on our engine and on its own, end to end, and the results read back."""

import errno
import json
import logging

import pytest

from xmtf.errors import ConfigError, SourceError, UserError
from xmtf.evaluation.harness import register, run_harness
from xmtf.evaluation.interchange import import_results
from xmtf.evaluation.scoring.compare import compare_results
from xmtf.evaluation.scoring.rescore import rescore

pytest.importorskip("lm_eval", reason="needs the extra `harness`")
pytestmark = pytest.mark.filterwarnings("ignore")  # the harness's own

NLI = {
    "task": "local_nli",
    "output_type": "multiple_choice",
    "doc_to_text": "{{premise}}\nQuestion: {{hypothesis}} True, False or Neither?",
    "doc_to_choice": ["True", "Neither", "False, by no means"],
    "doc_to_target": "label",
    "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
}
WRITING = {
    "task": "local_writing",
    "output_type": "generate_until",
    "doc_to_text": "{{premise}}",
    "doc_to_target": "{{hypothesis}}",
    "generation_kwargs": {"until": ["e", "\n"], "max_gen_toks": 6},
    "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
}
TEXTS = {
    "task": "local_texts",
    "output_type": "loglikelihood_rolling",
    "doc_to_text": "",
    "doc_to_target": "{{premise}} {{premise}}",
    "metric_list": [{"metric": "bits_per_byte"}],
}


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tasks")
    rows = [
        {"premise": f"Cat {i} sleeps, {i}.", "hypothesis": f"A cat {'sleeps' if i % 3 else 'runs'}.", "label": i % 3}
        for i in range(7)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = {"data_files": {"test": str(folder / "rows.jsonl")}, "cache_dir": str(folder / "cache")}
    return [
        {**task, "dataset_path": "json", "dataset_kwargs": data, "test_split": "test"} for task in (NLI, WRITING, TEXTS)
    ]


@pytest.mark.parametrize(
    ("module", "raised", "error"),
    [
        ("lm_eval.config", "ValueError", ConfigError),
        ("datasets.load", "ConnectionError", SourceError),
        ("xmtf.models", "ValueError", ValueError),
    ],
)
def test_what_the_harness_refuses_is_said_in_one_line_and_our_faults_are_not_hidden(monkeypatch, module, raised, error):
    refusing = {"__name__": module}
    exec(f"def cli_evaluate():\n    raise {raised}('Tasks not found: nly')", refusing)
    monkeypatch.setattr("lm_eval.__main__.cli_evaluate", refusing["cli_evaluate"])
    with pytest.raises(error, match="Tasks not found: nly"):
        run_harness(["--tasks", "nly"])


@pytest.mark.parametrize("text", ["", '{"results": '])
def test_results_that_the_harness_could_not_write_are_an_error_and_none_is_half_written(monkeypatch, tmp_path, text):
    def cli_evaluate():
        for name in ("results_now.json", "samples_local_nli_now.jsonl"):
            try:
                (tmp_path / "model").mkdir(exist_ok=True)
                (tmp_path / "model" / name).write_text(text)
                raise OSError(errno.ENOSPC, "No space left on device")
            except OSError:  # as the harness's tracker does
                logging.getLogger("lm_eval.loggers.evaluation_tracker").warning("Could not save results aggregated")

    monkeypatch.setattr("lm_eval.__main__.cli_evaluate", cli_evaluate)
    with pytest.raises(OSError, match="No space left"):
        run_harness(["--tasks", "local_nli", f"--output_path={tmp_path}"])
    assert list((tmp_path / "model").iterdir()) == []
    monkeypatch.setattr("lm_eval.__main__.cli_evaluate", lambda: None)
    with pytest.raises(UserError, match="could not write its results"):
        run_harness(["--tasks", "local_nli", "-o", str(tmp_path)])


def test_a_model_has_to_be_named():
    from xmtf.evaluation.harness.model import HarnessModel

    with pytest.raises(ConfigError, match="give the model, such as --model_args pretrained=runs/demo/model"):
        HarnessModel()


def test_without_a_gpu_the_device_that_the_harness_names_is_the_cpu(monkeypatch, tiny_model, tmp_path):
    from xmtf.evaluation.harness.model import HarnessModel

    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    folder = tiny_model(tmp_path / "model", "causal")
    assert HarnessModel(folder, device="cuda:0").get_model_info()["model_num_parameters"] > 0


def measured(model, folder, tasks, out):
    """Run the harness and write its two kinds of file as its tracker does."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    told = lm_eval.simple_evaluate(
        model=model,
        model_args={"pretrained": folder, "max_length": 64, "dtype": "float32"},
        tasks=[dict(task) for task in tasks],
        device="cpu",
        batch_size=3,
        bootstrap_iters=0,
        task_manager=TaskManager(include_defaults=False),
        log_samples=True,
    )
    samples = told.pop("samples")
    out.mkdir()
    (out / "results_now.json").write_text(json.dumps(told, default=str))
    for task, rows in samples.items():
        for row in rows:  # as the harness's tracker stores the arguments of requests
            calls = enumerate(row["arguments"])
            row["arguments"] = {f"gen_args_{i}": {f"arg_{j}": value for j, value in enumerate(c)} for i, c in calls}
        (out / f"samples_{task}_now.jsonl").write_text("".join(json.dumps(r, default=str) + "\n" for r in rows))
    return samples


@pytest.mark.parametrize("family", ["causal", "encoder-decoder"])
def test_tasks_of_the_harness_score_as_on_its_own_model(tmp_path, tiny_model, tasks, family):
    register()
    register()
    folder = tiny_model(tmp_path / "model", family, seed=5)
    theirs = measured("hf", folder, tasks, tmp_path / "theirs")
    ours = measured("xmtf", folder, tasks, tmp_path / "ours")
    assert theirs.keys() == ours.keys() == {"local_nli", "local_writing", "local_texts"}
    for task, rows in theirs.items():
        for one, other in zip(rows, ours[task], strict=True):
            if task == "local_nli":
                assert [s for s, _ in other["filtered_resps"]] == pytest.approx(
                    [s for s, _ in one["filtered_resps"]], abs=1e-4
                )
                assert [g for _, g in other["filtered_resps"]] == [g for _, g in one["filtered_resps"]]
            elif task == "local_texts":
                assert other["filtered_resps"] == pytest.approx(one["filtered_resps"], abs=1e-3)
            else:
                assert other["filtered_resps"] == one["filtered_resps"]
    scores = {
        score.provenance.template: score for score in import_results(tmp_path / "ours", tmp_path / "read", model="ours")
    }
    import_results(tmp_path / "theirs", tmp_path / "read-theirs", model="theirs")
    assert scores["local_nli"].kind == "rank"
    assert scores["local_nli"].metrics[0].chance == pytest.approx(1 / 3)
    again = {score.provenance.template: score.metrics[0].value for score in rescore(tmp_path / "read")}
    assert again["local_nli"] == scores["local_nli"].metrics[0].value
    assert again["local_writing"] == scores["local_writing"].metrics[0].value
    assert all(row.change == 0 for row in compare_results(tmp_path / "read", tmp_path / "read-theirs"))
