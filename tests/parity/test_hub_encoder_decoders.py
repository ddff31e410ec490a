"""Encoder-decoders of transformers that are not ours: scores and texts against transformers itself."""

import numpy as np
import pytest
import torch
import transformers

from xmtf.evaluation.engine.encoding import PromptRules
from xmtf.evaluation.generation.decoding import Decoding
from xmtf.evaluation.generation.generate import generate
from xmtf.evaluation.ranking.rank import score_choices
from xmtf.models import load_model
from xmtf.records import Origin, Request

VOCAB, PAD, EOS = 64, 0, 1
SPECIAL = {"vocab_size": VOCAB, "pad_token_id": PAD, "eos_token_id": EOS}
T5 = {"d_model": 24, "d_kv": 8, "d_ff": 40, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 3}
BART = {"d_model": 24, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 3}
BART |= {"decoder_attention_heads": 3, "encoder_ffn_dim": 40, "decoder_ffn_dim": 40, "max_position_embeddings": 128}
BART |= {"bos_token_id": 2, "forced_eos_token_id": None}
KINDS = {
    "t5": lambda: transformers.T5Config(**T5, **SPECIAL, decoder_start_token_id=PAD),
    "t5-untied": lambda: transformers.T5Config(
        **T5, **SPECIAL, decoder_start_token_id=PAD, tie_word_embeddings=False, feed_forward_proj="gated-gelu"
    ),
    "bart": lambda: transformers.BartConfig(**BART, **SPECIAL, decoder_start_token_id=EOS),
}


class Bytes:
    vocab_size, pad, eos, bos, fingerprint, special_ends = VOCAB, PAD, EOS, None, "bytes", ((), ())
    ends, begin, puts_space = (EOS,), (), False

    def encode(self, texts):
        return [np.array([3 + ord(c) % (VOCAB - 3) for c in text], dtype=np.int64) for text in texts]

    def decode(self, ids):
        return " ".join(map(str, ids))


@pytest.fixture(scope="module", params=KINDS)
def pair(request, tmp_path_factory):
    torch.manual_seed(4)
    theirs = transformers.AutoModelForSeq2SeqLM.from_config(KINDS[request.param]()).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.mul_(0.7 if request.param.startswith("t5") else 4.0)
        if request.param == "bart":
            theirs.final_logits_bias.normal_()
    folder = tmp_path_factory.mktemp(request.param)
    theirs.save_pretrained(folder)
    return theirs, load_model(str(folder)).model


ASKED = [
    Request(prompt, choices, 0, (), Origin("own", "", "test", 0))
    for prompt, choices in [
        ("is it so?", ("yes", "no", "by no means")),
        ("a rather longer prompt than the first one", ("x", "xy", "xyz")),
        ("b", ("hm", "hn")),
    ]
]


@torch.inference_mode()
def test_scores_equal_transformers(pair):
    theirs, ours = pair
    tokenizer = Bytes()
    for request, answer in zip(ASKED, score_choices(ours, tokenizer, ASKED), strict=True):
        prompt = torch.tensor(tokenizer.encode([request.prompt])[0])[None]
        for choice, score in zip(request.choices, answer.scores, strict=True):
            ids = torch.tensor([[*tokenizer.encode([choice])[0].tolist(), EOS]])
            logp = torch.log_softmax(theirs(input_ids=prompt, labels=ids).logits.float(), -1)
            assert score == pytest.approx(logp[0].gather(1, ids.T).sum().item(), abs=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("beams", [1, 3])
def test_texts_equal_transformers(pair, beams):
    theirs, ours = pair
    tokenizer = Bytes()
    rules = PromptRules(space_before_targets=False)
    found = generate(ours, tokenizer, ASKED, decoding=Decoding(9, beams=beams), rules=rules)
    for request, prediction in zip(ASKED, found, strict=True):
        ids = torch.tensor(tokenizer.encode([request.prompt])[0])[None]
        options = {"attention_mask": torch.ones_like(ids), "max_new_tokens": 9, "num_beams": beams}
        new = theirs.generate(ids, do_sample=False, **options)[0].tolist()[1:]
        assert prediction.text == tokenizer.decode(new[: new.index(EOS)] if EOS in new else new)
