import json

import pytest
from huggingface_hub import ModelCard

from xmtf.files import Manifest, read_jsonl, write_jsonl, write_manifest
from xmtf.report.cards import write_model_card


@pytest.fixture
def finished(run_folder):
    (run_folder / "model").mkdir()
    write_manifest(run_folder / "model", Manifest("train", "f", counts={"num_parameters": 1234567, "step": 20}))
    path = run_folder / "results" / "after" / "scores.jsonl"
    scores = [score | {"dataset": "facebook/xnli", "subset": score["language"]} for score in read_jsonl(path)]
    write_jsonl(path, json.loads(json.dumps(scores)))
    return run_folder


def test_the_hubs_own_parser_reads_the_card(finished):
    data = ModelCard(write_model_card(finished).read_text()).data
    accuracy, chrf = data.eval_results
    assert (accuracy.dataset_type, accuracy.dataset_config, accuracy.metric_type) == ("facebook/xnli", "fr", "accuracy")
    assert accuracy.metric_value == 75.0
    assert (chrf.dataset_config, chrf.metric_value) == ("sw", 40.0)
    assert data.language == ["fr"]
    assert data.pipeline_tag == "text-generation"


def test_the_text_tells_what_was_done(finished):
    text = write_model_card(finished).read_text()
    assert "- starting from: random weights" in text
    assert "- parameters: 1,234,567" in text
    assert "AutoModelForCausalLM" in text
    assert "| rows | rows | accuracy % |" in text


def test_a_local_folder_is_no_base_model_of_the_hub(finished):
    recipe = finished / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("base: null", "base: ./weights/one", 1))
    assert ModelCard(write_model_card(finished).read_text()).data.base_model is None
