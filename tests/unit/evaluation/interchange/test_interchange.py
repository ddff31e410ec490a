"""Results of other harnesses, in the layouts in which they are published."""

import csv
import json

import pytest

from xmtf.errors import DataError, SourceError, UnknownNameError
from xmtf.evaluation.interchange import export_t_zero, import_results
from xmtf.evaluation.interchange.datasets import describe_dataset, old_name
from xmtf.evaluation.interchange.imported import Imported, metric_of, write_imported
from xmtf.evaluation.scoring.rescore import rescore
from xmtf.files import write_jsonl
from xmtf.intervals import wilson
from xmtf.records import Metric
from xmtf.results.items import item_files
from xmtf.results.scores import write_scores


def t_zero(folder, dataset, config, template, accuracy):
    path = folder / dataset.replace("/", "_") / (config or "") / template.replace(" ", "_") / "results.json"
    path.parent.mkdir(parents=True)
    told = {
        "dataset_name": dataset,
        "dataset_config_name": config,
        "template_name": template,
        "evaluation": {"accuracy": accuracy},
        "arguments": "Namespace(nospace=True)",
    }
    path.write_text(json.dumps(told))


def test_the_tree_of_t_zero_is_read(tmp_path):
    t_zero(tmp_path / "t", "xnli", "fr", "GPT-3 style_frht", 0.5)
    t_zero(tmp_path / "t", "Muennighoff/xwinograd", "jp", "Replace", 0.25)
    t_zero(tmp_path / "t", "anli", "dev_r1", "can we infer", 0.75)
    scores = {
        score.provenance.task: score for score in import_results(tmp_path / "t", tmp_path / "out", model="bloomz")
    }
    french = scores["xnli/fr"].provenance
    assert (french.dataset, french.subset, french.split) == ("facebook/xnli", "fr", "validation")
    assert (french.language, french.prompt_language, french.translation) == ("fr", "fr", "human")
    assert scores["xnli/fr"].metrics == (Metric("accuracy", 0.5, None, None, None, 0),)
    japanese = scores["xwinograd/jp"].provenance
    assert (japanese.language, japanese.cluster) == ("ja", "coreference resolution")
    assert scores["anli/dev_r1"].provenance.split == "dev_r1"
    assert not list((tmp_path / "out").glob("items/*"))


def test_merged_csv_is_read_without_its_medians(tmp_path):
    rows = (
        "super_glue_copa,best_option,accuracy,0.6",
        "super_glue_copa,median,accuracy,0.6",
        "wmt14_fr_en_en-fr,version-en-fr-target,bleu,0.25",
        "multiple,average,multiple,0.425",
    )
    (tmp_path / "merged.csv").write_text("\n".join(["dataset,prompt,metric,value", *rows]) + "\n")
    copa, french = import_results(tmp_path, tmp_path / "out")
    asked = copa.provenance
    assert (asked.task, asked.dataset, asked.subset) == ("super_glue/copa", "aps/super_glue", "copa")
    assert (french.metrics[0].name, french.metrics[0].value) == ("bleu", 25.0)
    (tmp_path / "merged.csv").write_text("dataset,prompt,value\nx,y,1\n")
    with pytest.raises(DataError, match=r"merged.csv: not a merged.csv of t-zero"):
        import_results(tmp_path, tmp_path / "again")


def scores_of(folder, *jobs):
    metrics = lambda name, value: (metric_of(name, value, items=4),)  # noqa: E731
    jobs = [
        Imported("t", dataset, config, "", prompt, metrics(name, value))
        for dataset, config, prompt, name, value in jobs
    ]
    return write_imported(jobs, folder, model="m")


def test_what_is_written_for_t_zero_reads_back(tmp_path):
    jobs = [
        ("xnli", "fr", "can we infer", "accuracy", 0.5),
        ("xnli", "fr", "GPT-3 style_frmt", "accuracy", 0.25),
        ("xcopa", "zh", "C1 or C2? premise, so/because…", "accuracy", 1.0),
        ("mlsum_es", "", "palm_prompt", "bleu", 12.5),
    ]
    written = scores_of(tmp_path / "ours", *jobs)
    assert export_t_zero(tmp_path / "ours", tmp_path / "t") == 3
    assert (tmp_path / "t" / "xcopa" / "zh" / "C1_or_C2?_premise,_so_because…" / "results.json").exists()
    with (tmp_path / "t" / "merged.csv").open(newline="") as stream:
        rows = [tuple(row.values()) for row in csv.DictReader(stream)]
    assert rows == [
        ("mlsum_es", "palm_prompt", "bleu", "0.125"),
        ("mlsum_es", "median", "bleu", "0.125"),
        ("xcopa_zh", "C1 or C2? premise, so/because…", "accuracy", "1.0"),
        ("xcopa_zh", "median", "accuracy", "1.0"),
        ("xnli_fr", "GPT-3 style_frmt", "accuracy", "0.25"),
        ("xnli_fr", "can we infer", "accuracy", "0.5"),
        ("xnli_fr", "median", "accuracy", "0.375"),
        ("multiple", "average", "multiple", "0.5"),
    ]

    def facts(score):
        asked = score.provenance
        return asked.task, asked.template, asked.translation, score.metrics[0].value

    accuracies = {facts(score) for score in written if score.metrics[0].name == "accuracy"}
    assert {facts(score) for score in import_results(tmp_path / "t", tmp_path / "back")} == accuracies
    assert "xnli_fr" in json.loads((tmp_path / "t" / "merged.json").read_text())


def test_jobs_that_t_zero_cannot_tell_apart_are_refused(tmp_path):
    job = ("xnli", "fr", "can we infer", "accuracy", 0.5)
    scores = scores_of(tmp_path, job, job)
    write_scores(tmp_path / "scores.jsonl", scores)
    with pytest.raises(SourceError, match="xnli_fr, 'can we infer' occurs twice"):
        export_t_zero(tmp_path, tmp_path / "t")


def test_bigsciences_files_are_read(tmp_path):
    name = "model=hf-causal.task=mlsum_es.templates=all.fewshot=0"
    common = {"task_name": "mlsum_es", "prompt_name": "palm_prompt", "dataset_path": "GEM/mlsum", "dataset_name": "es"}
    results = [
        {**common, "subset": "", "bleu": 3.5, "bleu_stderr": 0.5, "prompt_jinja": "{{text}}", "comment": ""},
        {**common, "subset": "", "rougeL_fmeasure": 0.2, "rougeL_fmeasure_stderr": 0.01},
    ]
    config = {"model": "hf-causal", "model_args": "pretrained=bigscience/bloomz-560m,use_accelerate=True"}
    for kind in ("agg", "slim"):
        (tmp_path / f"{kind}.{name}.json").write_text(json.dumps({"results": results, "config": config}))
    examples = [
        {"doc_id": 1, "prompt_name": "palm_prompt", "ctx": "b", "target": ["dos"], "pred": "tres"},
        {"doc_id": 0, "prompt_name": "palm_prompt", "ctx": "a", "target": ["uno"], "pred": " uno "},
    ]
    write_jsonl(tmp_path / f"examples.{name}.jsonl", examples)
    (score,) = import_results(tmp_path, tmp_path / "out")
    assert (score.model, score.provenance.task, score.kind) == ("bloomz-560m", "mlsum/es", "generation")
    assert [(metric.name, metric.value) for metric in score.metrics] == [("bleu", 3.5), ("rougeL_fmeasure", 0.2)]
    assert score.metrics[0].low == pytest.approx(3.5 - 1.96 * 0.5, abs=1e-4)
    (again,) = rescore(tmp_path / "out", metrics=("exact_match",))
    assert again.metrics[0].value == 0.5


def test_choices_without_scores_are_judged_by_their_texts(tmp_path):
    name = "model=hf-causal.task=copa"
    entry = {"task_name": "copa", "prompt_name": "best_option", "dataset_path": "super_glue", "dataset_name": "copa"}
    (tmp_path / f"slim.{name}.json").write_text(json.dumps({"results": [{**entry, "acc": 0.5}], "config": {}}))
    row = {"prompt_name": "best_option", "ctx": "?", "answer_choices_list": ["no", "yes"], "target": "yes"}
    write_jsonl(
        tmp_path / f"examples.{name}.jsonl", [{**row, "doc_id": 0, "pred": 1}, {**row, "doc_id": 1, "pred": "no"}]
    )
    (score,) = import_results(tmp_path, tmp_path / "out")
    assert (score.kind, score.metrics[0].name, score.metrics[0].num_items) == ("rank", "accuracy", 2)
    (file,) = item_files(tmp_path / "out")
    assert file.read()["correct"].to_pylist() == [True, False]


def test_mistakes_are_named(tmp_path):
    with pytest.raises(SourceError, match="no results of lm-eval"):
        import_results(tmp_path, tmp_path / "out")
    with pytest.raises(SourceError, match="no such file or folder"):
        import_results(tmp_path / "nothing", tmp_path / "out")
    with pytest.raises(UnknownNameError, match="unknown layout 'tzero'; did you mean 't-zero'"):
        import_results(tmp_path, tmp_path / "out", layout="tzero")
    (tmp_path / "results.json").write_text('{"accuracy": 1}')
    with pytest.raises(DataError, match=r"not a results\.json of t-zero"):
        import_results(tmp_path, tmp_path / "out")


def test_old_names_lead_to_todays_and_back():
    assert describe_dataset("xcopa", "id").dataset == "cambridgeltl/xcopa"
    assert describe_dataset("facebook/xnli", "sw").task == "xnli/sw"
    assert describe_dataset("own", "pt").language == "pt"
    assert old_name("facebook/xnli", "sw", "validation") == ("xnli", "sw")
    assert old_name("facebook/anli", "", "dev_r2") == ("anli", "dev_r2")
    assert old_name("own", "x", "test") == ("own", "x")


def test_a_share_with_a_standard_error_keeps_its_interval_between_zero_and_one():
    near_one = metric_of("acc", 0.98, error=0.02)
    assert (near_one.low, near_one.high) == wilson(0.98, 49)
    assert near_one.high < 1.0
    bleu = metric_of("bleu", 1.0, error=2.0)
    assert bleu.low == 0.0
    assert metric_of("acc", 1.0, error=0.0).low is None
