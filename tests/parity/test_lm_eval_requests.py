"""Requests answered as lm-evaluation-harness's own Hugging Face backend answers them."""

import pytest
import torch
from tokenizers import Tokenizer as Core
from tokenizers import decoders, models, pre_tokenizers, processors

from xmtf.errors import UnknownNameError
from xmtf.evaluation.harness.requests import ModelRequests
from xmtf.models import load_model
from xmtf.tokens import Tokenizer, load_tokenizer

pytest.importorskip("lm_eval", reason="needs the extra `harness`")
MERGES = [("Ġ", "Y"), ("ĠY", "e"), ("e", "s"), ("N", "o"), ("?", "?")]


def save_tokenizer(folder, *, ends):
    specials = ["<pad>", "<s>", "</s>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*specials, *letters, *dict.fromkeys(a + b for a, b in MERGES)]
    vocab = {token: index for index, token in enumerate(tokens)}
    core = Core(models.BPE(vocab, MERGES))
    core.add_special_tokens(specials)
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    if ends:
        core.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
    Tokenizer(core.to_str(), pad=0, eos=2, bos=1).save(folder)
    return len(tokens)


@pytest.fixture(scope="module", params=["causal", "encoder-decoder"])
def pair(request, tmp_path_factory):
    """(HFLM, our requests) of one model with random weights; at most 48 positions."""
    import transformers
    from lm_eval.models.huggingface import HFLM

    folder = tmp_path_factory.mktemp(request.param)
    causal = request.param == "causal"
    special = {"vocab_size": save_tokenizer(folder, ends=not causal), "pad_token_id": 0, "eos_token_id": 2}
    torch.manual_seed(3)
    if causal:
        config = transformers.BloomConfig(hidden_size=32, n_layer=2, n_head=4, bos_token_id=1, **special)
        model = transformers.BloomForCausalLM(config)
    else:
        sizes = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 4}
        config = transformers.MT5Config(decoder_start_token_id=0, **sizes, **special)
        model = transformers.MT5ForConditionalGeneration(config)
    for parameter in model.parameters():
        parameter.data.mul_(3.0 if causal else 0.5)
    model.eval().save_pretrained(folder)
    harness = HFLM(
        pretrained=model,
        backend="causal" if causal else "seq2seq",
        tokenizer=transformers.AutoTokenizer.from_pretrained(folder),
        batch_size=4,
        device="cpu",
        max_length=48,
    )
    return harness, ModelRequests(load_model(str(folder)).model, load_tokenizer(folder), max_length=48)


def instances(kind, asked):
    from lm_eval.api.instance import Instance

    return [Instance(kind, {}, args, index) for index, args in enumerate(asked)]


PAIRS = [
    ("Is it so?", " Yes"),
    ("Is it so?", " No"),
    ("Is it so?", " Yes and no"),
    ("Is it so? ", "Yes"),  # the space goes to the continuation
    ("Is it so?  ", "Yes"),
    ("", "Nothing before"),
    ("Is it so? " * 12, " Yes"),  # longer than the model
    ("Ça va?", " Oui, ça va 漢字"),
    ("same", "y"),
    ("same", "x"),
]


def test_loglikelihood_equals_the_harness(pair):
    harness, ours = pair
    expected = harness.loglikelihood(instances("loglikelihood", PAIRS), disable_tqdm=True)
    found = ours.loglikelihood(PAIRS)
    assert [score for score, _ in found] == pytest.approx([score for score, _ in expected], abs=1e-4)
    assert [greedy for _, greedy in found] == [bool(greedy) for _, greedy in expected]


def test_rolling_loglikelihood_equals_the_harness(pair):
    harness, ours = pair
    texts = ["short", "a text that is longer than forty-eight tokens, so it is read in several windows " * 2]
    expected = harness.loglikelihood_rolling(instances("loglikelihood_rolling", [(text,) for text in texts]), True)
    assert ours.loglikelihood_rolling(texts) == pytest.approx(expected, abs=1e-3)


def test_generation_equals_the_harness(pair):
    harness, ours = pair
    asked = [("Is it so?", {"until": [], "max_gen_toks": 9}), ("Or no", {"until": ["e"], "max_gen_toks": 9})]
    asked.append(("Is it so? " * 12, {"until": ["\n\n"], "max_gen_toks": 5}))
    asked.append(("same", {"max_gen_toks": 6, "num_beams": 3}))
    assert ours.generate_until(asked) == harness.generate_until(instances("generate_until", asked), True)


def test_an_unknown_option_names_the_nearest(pair):
    with pytest.raises(UnknownNameError, match="temperature"):
        pair[1].generate_until([("a", {"temprature": 1.0})])


@pytest.mark.parametrize("pair", ["causal"], indirect=True)
def test_a_token_across_the_boundary_is_scored_where_the_harness_stops(pair):
    _, ours = pair
    ((score, _),) = ours.loglikelihood([("so?", "?")])  # "??" is one token
    ((apart, _),) = ours.loglikelihood([("so", "??")])
    assert score == pytest.approx(apart, abs=1e-5)


def test_nothing_is_certain(pair):
    assert pair[1].loglikelihood([("Is it so?", "")]) == [(0.0, True)]
