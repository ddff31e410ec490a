"""A pretrained folder with only a ``spiece.model``, as google/mt5-small is: trained, exported and evaluated."""

import io
import shutil

import pytest
import torch
import yaml

from xmtf.files import read_jsonl
from xmtf.recipe import load_recipe
from xmtf.runs.pipeline import run_recipe
from xmtf.tokens.tokenizer import spiece

sentencepiece = pytest.importorskip("sentencepiece")
pytestmark = pytest.mark.filterwarnings("ignore:builtin type .* has no __module__ attribute:DeprecationWarning")

TEXTS = [*spiece._names(), "Which language is it?", "the cat  sat on the mat", "Yes", "No"] * 2


def pretrained(folder):
    """Write a random mT5 and a unigram model with mT5's settings; return what encodes with that model."""
    import transformers

    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS), model_writer=written, vocab_size=3000, model_type="unigram", minloglevel=2,
        normalization_rule_name="nmt_nfkc", byte_fallback=True, pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
        num_threads=1, hard_vocab_limit=False,
    )  # fmt: skip
    processor = sentencepiece.SentencePieceProcessor(model_proto=written.getvalue())
    torch.manual_seed(0)
    config = transformers.MT5Config(
        vocab_size=-(-processor.vocab_size() // 128) * 128, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=2,
        decoder_start_token_id=0, pad_token_id=0, eos_token_id=1, tie_word_embeddings=False,
    )  # fmt: skip
    transformers.MT5ForConditionalGeneration(config).save_pretrained(folder)
    (folder / "spiece.model").write_bytes(written.getvalue())
    return processor


def test_a_folder_with_only_a_spiece_model_is_trained_exported_and_evaluated(tmp_path):
    import transformers

    processor = pretrained(tmp_path / "base")
    task = {"catalogue": "demo", "tasks": ["cldr-kinds/fr", "cldr-kinds/sw"], "limit_rows": 40}
    recipe = {
        "name": "spiece",
        "run_folder": str(tmp_path / "run"),
        "execution": {"engine": "inline"},
        "mixture": {"tasks": [task], "validation_fraction": 0.1},
        "tokens": {"packing": {"sequence_length": 64, "target_length": 16, "overlong_targets": "truncate"}},
        "model": {"base": str(tmp_path / "base")},
        "training": {"steps": 3, "global_batch_rows": 4, "micro_batch_rows": 4, "threads": 1},
        "evaluation": {
            "suites": [{"name": "kinds", "tasks": [task | {"limit_rows": 4}]}],
            "max_new_tokens": 4,
            "before": False,
        },
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    run_recipe(load_recipe(tmp_path / "recipe.yaml"))
    scores = list(read_jsonl(tmp_path / "run" / "results" / "after" / "scores.jsonl"))
    assert {score["task"] for score in scores} == {"cldr-kinds/fr", "cldr-kinds/sw"}
    shutil.rmtree(tmp_path / "base")  # the export stands alone
    exported = transformers.AutoTokenizer.from_pretrained(tmp_path / "run" / "model")
    for text in ("the cat  sat", "lundi 3 août", "Jumatatu\t1"):
        assert exported.encode(text) == [*processor.encode(text), 1]
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "run" / "model")
    answer = model.generate(**exported("lundi 3 août", return_tensors="pt"), max_new_tokens=3)
    assert answer.shape[1] <= 4
