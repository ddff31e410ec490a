"""What stands before a prompt, wherever a model is asked, and what ends its answers."""

import pytest
import torch

from xmtf.evaluation.engine.encoding import Encoder, PromptRules, prompt_rules
from xmtf.evaluation.generation.decoding import Decoding
from xmtf.evaluation.generation.generate import generate
from xmtf.evaluation.harness.requests import ModelRequests
from xmtf.evaluation.ranking.rank import score_choices
from xmtf.recipe.schema import Tokenization


@pytest.fixture(autouse=True)
def _without_gradients():
    with torch.no_grad():
        yield


@pytest.fixture
def begun(tokenizer):
    """A tokenizer that puts its begin of text before a text, as Gemma's does."""
    tokenizer.begin = (tokenizer.bos,)
    tokenizer.special_ends = ((tokenizer.bos,), ())
    return tokenizer


def test_the_tokenizers_own_begin_is_the_default(model, begun):
    assert prompt_rules(model, begun).begin_of_inputs == (begun.bos,)
    assert prompt_rules(model, begun, Tokenization(begin_of_inputs=False)).begin_of_inputs == ()
    begun.begin = ()
    assert prompt_rules(model, begun).begin_of_inputs == ()
    assert prompt_rules(model, begun, Tokenization(begin_of_inputs=True)).begin_of_inputs == (begun.bos,)


def test_prompts_get_it_once_and_keep_it_when_cut(tokenizer):
    before = tuple(tokenizer.encode(["xy"])[0].tolist())
    encoder = Encoder(tokenizer, PromptRules(begin_of_inputs=before, max_prompt_tokens=6))
    short, begun, cut = encoder.prompts(["ab", "xyab", "abcdefgh"], [0, 0, 0])
    assert short.ids == begun.ids == (*before, *tokenizer.encode(["ab"])[0].tolist())
    assert cut.ids == (*before, *tokenizer.encode(["efgh"])[0].tolist())
    assert (short.truncated, begun.truncated, cut.truncated) == (False, False, True)


def test_ranking_and_its_empty_prompt_read_it(causal, begun, ask):
    rules = prompt_rules(causal, begun, also=("pmi",))
    (found,) = score_choices(causal, begun, [ask("p", "yes")], rules=rules)
    ids = begun.encode([" yes"])[0].tolist()
    asked = [begun.bos, *begun.encode(["p"])[0].tolist()]
    for score, prompt in ((found.scores[0], asked), (found.unconditional[0], [begun.bos])):
        logp = torch.log_softmax(causal.logits(causal.hidden_states(torch.tensor([[*prompt, *ids]])))[0], dim=-1)
        wanted = sum(float(logp[len(prompt) - 1 + place, token]) for place, token in enumerate(ids))
        assert score == pytest.approx(wanted, abs=1e-5)


def test_a_text_is_scored_after_it_and_without_it(causal, begun):
    ((score, count),) = ModelRequests(causal, begun).rolling(["ab"])
    ids = begun.encode(["ab"])[0].tolist()
    logp = torch.log_softmax(causal.logits(causal.hidden_states(torch.tensor([[begun.bos, *ids]])))[0], dim=-1)
    assert count == 2
    assert score == pytest.approx(float(logp[0, ids[0]] + logp[1, ids[1]]), abs=1e-5)


@pytest.mark.parametrize("beams", [1, 2])
def test_any_of_several_ends_ends_an_answer(causal, tokenizer, ask, beams):
    other = int(tokenizer.encode(["z"])[0][0])
    causal.embedding[:, 0] = 9.0
    causal.head[:, 0] = 0.0
    causal.head[other, 0] = 50.0  # always most likely
    decoding = Decoding(max_new_tokens=5, beams=beams)
    (unended,) = generate(causal, tokenizer, [ask("p")], decoding=decoding)
    tokenizer.ends = (tokenizer.eos, other)
    (ended,) = generate(causal, tokenizer, [ask("p")], decoding=decoding)
    assert (unended.text, ended.text) == ("zzzzz", "")


def test_no_space_is_put_before_a_choice_where_the_tokenizer_puts_its_own(causal, tokenizer):
    tokenizer.puts_space = True
    rules = prompt_rules(causal, tokenizer, Tokenization(space_before_targets=True))
    assert Encoder(tokenizer, rules).choices([["yes"]]) == [(tuple(tokenizer.encode(["yes"])[0].tolist()),)]
