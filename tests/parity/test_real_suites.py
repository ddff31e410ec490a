"""The held-out sets of the original evaluation on real rows, with our prompts and the original ones."""

import os
from pathlib import Path

import pytest
import torch

from xmtf.evaluation import Setup, evaluate_setup, named_suites
from xmtf.recipe.schema import Evaluation
from xmtf.results.items import item_files
from xmtf.results.scores import read_scores

SUITES = "xnli/en,xnli/th,xnli/zh,xcopa/et,xcopa/ta,xwinograd/jp,xwinograd/fr,copa"
pytestmark = pytest.mark.skipif(not os.environ.get("XMTF_DATA_ROOT"), reason="XMTF_DATA_ROOT is not set")


def original_templates():
    folder = Path(os.environ.get("XMTF_FACTS_ROOT", ".")).parent / "templates"
    if "XMTF_FACTS_ROOT" not in os.environ or not folder.is_dir():
        pytest.skip("no folder of original templates beside XMTF_FACTS_ROOT")
    return folder


@torch.inference_mode()
def directly(model, tokenizer, prompt, choice):
    """Repeat the prompt for the choice and take full logits, as t-zero does."""
    asked = tokenizer(prompt, add_special_tokens=False).input_ids[-2048:]
    if model.config.is_encoder_decoder:
        ids = [*tokenizer(choice, add_special_tokens=False).input_ids, tokenizer.eos_token_id]
        logits = model(input_ids=torch.tensor([asked]), labels=torch.tensor([ids])).logits[0]
    else:
        ids = tokenizer(" " + choice, add_special_tokens=False).input_ids
        logits = model(input_ids=torch.tensor([asked + ids])).logits[0, len(asked) - 1 : -1]
    return torch.log_softmax(logits.float(), -1)[torch.arange(len(ids)), torch.tensor(ids)].sum().item()


@pytest.mark.parametrize(("family", "prompts"), [("causal", "original"), ("encoder-decoder", "ours")])
def test_scores_of_real_rows_equal_transformers(tmp_path, tiny_model, family, prompts):
    import transformers

    templates = original_templates() if prompts == "original" else None
    folder = tiny_model(tmp_path / "model", family)
    suites, catalogue = named_suites(SUITES, kind="rank", selection={"limit_rows": 1})
    setup = Setup(Evaluation(suites=suites, samples=0), catalogue, templates=templates, device="cpu", offline=True)
    evaluate_setup(setup, model=folder, label="tiny", out=tmp_path / "out")
    scores = read_scores(tmp_path / "out" / "scores.jsonl")
    assert {score.provenance.task for score in scores} == set(SUITES.split(","))
    translations = {score.provenance.translation for score in scores}
    assert translations == ({"none", "human", "machine"} if prompts == "original" else {"none", "machine"})

    auto = transformers.AutoModelForCausalLM if family == "causal" else transformers.AutoModelForSeq2SeqLM
    model, tokenizer = auto.from_pretrained(folder).eval(), transformers.AutoTokenizer.from_pretrained(folder)
    compared = 0
    for file in item_files(tmp_path / "out"):
        for item in file.read().to_pylist():
            assert item["references"] == [item["choices"][item["gold"]]]
            expected = [directly(model, tokenizer, item["prompt"], choice) for choice in item["choices"]]
            assert item["scores"] == pytest.approx(expected, abs=max(1e-4, 1e-6 * max(map(abs, expected))))
            compared += len(expected)
    assert compared > 80
