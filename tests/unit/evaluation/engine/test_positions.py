"""Prompts and answers that do not fit a model's positions: refused or cut with a word, never an IndexError."""

import pytest
import torch
import transformers

from xmtf.errors import ConfigError
from xmtf.evaluation.code.problems import to_problem
from xmtf.evaluation.code.sample import Draw, complete
from xmtf.evaluation.engine.encoding import Encoder, PromptRules, prompt_rules
from xmtf.evaluation.generation.decoding import Decoding
from xmtf.evaluation.generation.generate import generate
from xmtf.evaluation.harness.requests import ModelRequests
from xmtf.evaluation.prompting.prompter import Prompter
from xmtf.evaluation.ranking.rank import score_choices
from xmtf.models import load_model
from xmtf.recipe.schema import Tokenization

POSITIONS = 32
SPECIAL = {"vocab_size": 97, "bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0}
KINDS = {
    "causal": lambda: transformers.GPT2LMHeadModel(
        transformers.GPT2Config(n_embd=16, n_layer=1, n_head=2, n_positions=POSITIONS, **SPECIAL)
    ),
    "encoder-decoder": lambda: transformers.BartForConditionalGeneration(
        transformers.BartConfig(
            d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
            encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=POSITIONS, decoder_start_token_id=1,
            forced_eos_token_id=None, **SPECIAL,
        )
    ),
}  # fmt: skip


@pytest.fixture(params=KINDS)
def positioned(request, tmp_path):
    """A model of transformers with a table of 32 positions."""
    torch.manual_seed(0)
    KINDS[request.param]().save_pretrained(tmp_path)
    return load_model(str(tmp_path)).model


@pytest.mark.parametrize("budget", [POSITIONS, 40, 100])
def test_a_budget_of_all_positions_is_an_error_that_names_both(positioned, tokenizer, ask, budget):
    if positioned.family != "causal" and budget == POSITIONS:
        budget += 1  # the decoder has positions of its own
    message = rf"max_new_tokens: {budget} .* {POSITIONS} positions"
    decoding = Decoding(max_new_tokens=budget)
    with pytest.raises(ConfigError, match=message):
        generate(positioned, tokenizer, [ask("some text")], decoding=decoding)
    prompter = Prompter(positioned, tokenizer, prompt_rules(positioned, tokenizer))
    with pytest.raises(ConfigError, match=message):
        list(prompter.answers(["some text"], decoding))
    problem = to_problem(
        {"task_id": "HumanEval/0", "prompt": "def f(", "test": "", "entry_point": "f", "canonical_solution": ""},
        "humaneval",
    )
    with pytest.raises(ConfigError, match=message):
        list(
            complete(
                positioned, tokenizer, [Draw(problem, 0, 0.0)], rules=prompter.rules, seed=0, max_new_tokens=budget
            )
        )
    with pytest.raises(ConfigError, match=rf"max_gen_toks {budget} .* {POSITIONS} positions"):
        ModelRequests(positioned, tokenizer).generate_until([("some text", {"max_gen_toks": budget})])


def test_prompts_beside_the_budget_are_cut_with_a_word(positioned, tokenizer, ask, capsys):
    decoding = Decoding(max_new_tokens=20, min_new_tokens=20)
    texts = ["a" * 60, "b", "a" * 10]
    found = generate(positioned, tokenizer, [ask(text) for text in texts], decoding=decoding)
    assert [prediction.truncated for prediction in found] == [True, False, False]
    assert all(prediction.error is None for prediction in found)
    prompter = Prompter(positioned, tokenizer, prompt_rules(positioned, tokenizer))
    list(prompter.answers(texts, decoding))
    left = POSITIONS - 20 if positioned.family == "causal" else POSITIONS
    told = capsys.readouterr().err
    assert "1 of 3 prompts do not fit with 20 answer tokens: they are truncated at the beginning, " in told
    assert f"to at least {left} tokens" in told


def test_a_choice_that_leaves_no_room_is_refused_by_name(positioned, tokenizer, ask):
    tokenizer.begin = (tokenizer.bos,)
    causal = positioned.family == "causal"
    fitting = "x" * (POSITIONS - 3 if causal else POSITIONS - 1)  # a space, a begin and a token; or an end
    answers = score_choices(positioned, tokenizer, [ask("text", fitting), ask("text", f"{fitting}y")])
    assert [answer.error for answer in answers] == [None, f"a choice is longer than the model's {POSITIONS} positions"]


def test_longer_prompts_than_the_model_reads_are_not_asked_for(positioned, tokenizer, ask):
    rules = prompt_rules(positioned, tokenizer, max_prompt_tokens=1000)
    (answer,) = score_choices(positioned, tokenizer, [ask("a" * 100, "yes")], rules=rules)
    assert (answer.error, answer.truncated) == (None, True)


def test_ends_need_room(causal, tokenizer):
    rules = prompt_rules(causal, tokenizer, Tokenization(begin_of_inputs=True, end_of_inputs=True), max_prompt_tokens=2)
    with pytest.raises(ConfigError, match="max_prompt_tokens: 2 leaves no room for a text besides 2 tokens"):
        Encoder(tokenizer, rules)
    assert Encoder(tokenizer, PromptRules(max_prompt_tokens=1)).prompts(["ab"], [0])[0].truncated


def test_a_row_beyond_the_table_is_named(positioned):
    tokens = torch.ones(1, POSITIONS + 9, dtype=torch.int64)
    read = positioned.hidden_states if positioned.family == "causal" else positioned.encode
    with pytest.raises(ConfigError, match=rf"{POSITIONS + 9} new tokens do not fit its {POSITIONS} positions"):
        read(tokens)
