"""Our scores against transformers' direct computation: prompt repeated per choice, full logits, no cache."""

import numpy as np
import pytest
import torch

from xmtf.evaluation.engine.encoding import PromptRules
from xmtf.evaluation.generation.decoding import Decoding
from xmtf.evaluation.generation.generate import generate
from xmtf.evaluation.ranking.rank import rank
from xmtf.models import load_model
from xmtf.records import Origin, Request

VOCAB, PAD, EOS = 96, 0, 1


class Bytes:
    """One token a character, ids 3 and up."""

    vocab_size, pad, eos, bos, fingerprint = VOCAB, PAD, EOS, None, "bytes"
    special_ends, ends, begin, puts_space = ((), ()), (EOS,), (), False

    def encode(self, texts):
        return [np.array([3 + ord(c) % (VOCAB - 3) for c in text], dtype=np.int64) for text in texts]

    def decode(self, ids):
        return " ".join(map(str, ids))


def save_tiny(name, folder):
    import transformers

    torch.manual_seed(1)
    special = {"pad_token_id": PAD, "eos_token_id": EOS, "bos_token_id": 2}
    if name == "bloom":
        config = transformers.BloomConfig(vocab_size=VOCAB, hidden_size=32, n_layer=2, n_head=4, **special)
        model = transformers.BloomForCausalLM(config)
    elif name == "llama":
        sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
        config = transformers.LlamaConfig(vocab_size=VOCAB, max_position_embeddings=128, **sizes, **special)
        model = transformers.LlamaForCausalLM(config)
    else:
        sizes = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 4}
        config = transformers.MT5Config(vocab_size=VOCAB, decoder_start_token_id=PAD, **sizes, **special)
        model = transformers.MT5ForConditionalGeneration(config)
    for parameter in model.parameters():  # initial logits are nearly uniform, and mT5's very large
        parameter.data.mul_(0.5 if name == "mt5" else 3.0)
    model.eval().save_pretrained(folder)
    return model


@pytest.fixture(scope="module", params=["bloom", "mt5", "llama"])
def pair(request, tmp_path_factory):
    """(transformers' model, ours from the same folder)."""
    folder = tmp_path_factory.mktemp(request.param)
    theirs = save_tiny(request.param, folder)
    return theirs, load_model(str(folder)).model


def requests():
    rng = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz ,.?"))

    def text(low, high):
        return "".join(rng.choice(letters, rng.integers(low, high))).strip() or "x"

    made = []
    for row in range(24):
        choices = tuple(text(1, 12) for _ in range(rng.integers(2, 6)))
        made.append(Request(text(3, 60), choices, 0, (), Origin("own", "", "test", row)))
    return made


@torch.inference_mode()
def directly(model, tokenizer, prompt, choice):
    p = tokenizer.encode([prompt])[0].tolist()
    if model.config.is_encoder_decoder:
        c = [*tokenizer.encode([choice])[0].tolist(), EOS]
        logits = model(input_ids=torch.tensor([p]), labels=torch.tensor([c])).logits[0]
    else:
        c = tokenizer.encode([" " + choice])[0].tolist()
        logits = model(input_ids=torch.tensor([p + c])).logits[0, len(p) - 1 : -1]
    return torch.log_softmax(logits.float(), -1)[torch.arange(len(c)), torch.tensor(c)].sum().item()


@pytest.mark.parametrize("batch_tokens", [64, 8192])
def test_scores_equal_transformers(pair, batch_tokens):
    theirs, ours = pair
    tokenizer, asked = Bytes(), requests()
    found = rank(ours, tokenizer, asked, batch_tokens=batch_tokens)
    for request, prediction in zip(asked, found, strict=True):
        expected = [directly(theirs, tokenizer, request.prompt, choice) for choice in request.choices]
        assert prediction.scores == pytest.approx(expected, abs=1e-4)
        assert prediction.choice == int(np.argmax(expected))


@torch.inference_mode()
def test_greedy_generation_equals_transformers(pair):
    theirs, ours = pair
    tokenizer, asked = Bytes(), requests()
    found = generate(ours, tokenizer, asked, max_new_tokens=10, rules=PromptRules(), batch_tokens=400)
    for request, prediction in zip(asked, found, strict=True):
        ids = torch.tensor(tokenizer.encode([request.prompt])[0])[None]
        out = theirs.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=10, do_sample=False)[0].tolist()
        new = out[1:] if theirs.config.is_encoder_decoder else out[ids.shape[1] :]
        new = new[: new.index(EOS)] if EOS in new else new
        assert prediction.text == tokenizer.decode(new)


@torch.inference_mode()
@pytest.mark.parametrize(("beams", "penalty", "least"), [(2, 1.0, 0), (4, 1.0, 3), (3, 2.0, 0), (3, 0.0, 0)])
def test_beam_search_equals_transformers(pair, beams, penalty, least):
    theirs, ours = pair
    tokenizer, asked = Bytes(), requests()[:8]
    decoding = Decoding(max_new_tokens=8, min_new_tokens=least, beams=beams, length_penalty=penalty)
    found = generate(ours, tokenizer, asked, decoding=decoding, rules=PromptRules(), batch_tokens=400)
    options = {"num_beams": beams, "length_penalty": penalty, "min_new_tokens": least, "max_new_tokens": 8}
    for request, prediction in zip(asked, found, strict=True):
        ids = torch.tensor(tokenizer.encode([request.prompt])[0])[None]
        out = theirs.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, **options)[0].tolist()
        new = out[1:] if theirs.config.is_encoder_decoder else out[ids.shape[1] :]
        new = new[: new.index(EOS)] if EOS in new else new
        assert prediction.text == tokenizer.decode(new)
