import math

import pytest
import torch

from xmtf.evaluation.encoding import PromptRules
from xmtf.evaluation.generate import generate


def directly(model, tokenizer, prompt, most):
    ids = tokenizer.encode([prompt])[0].tolist()
    answer = []
    for _ in range(most):
        if model.family == "causal":
            hidden = model.hidden_states(torch.tensor([ids + answer]))
        else:
            hidden = model.decode(torch.tensor([[model.decoder_start, *answer]]), model.encode(torch.tensor([ids])))
        token = model.logits(hidden[0, -1:]).argmax().item()
        if token == tokenizer.eos:
            break
        answer.append(token)
    return tokenizer.decode(answer).strip()


@pytest.mark.parametrize("batch_tokens", [1, 40, 8192])
def test_greedy_batches_write_what_one_row_writes(model, tokenizer, ask, batch_tokens):
    prompts = ["name a colour", "a", "why? b", "zz top 99", "a"]
    found = generate(model, tokenizer, [ask(p) for p in prompts], max_new_tokens=12, batch_tokens=batch_tokens)
    assert [item.text for item in found] == [directly(model, tokenizer, p, 12) for p in prompts]


def test_rows_stop_at_the_end_of_text(causal, tokenizer, ask):
    with torch.no_grad():
        causal.head[:] = 0
        causal.embedding[:] = 0
        a, b = tokenizer.encode(["ab"])[0].tolist()
        causal.embedding[a, 0] = causal.embedding[b, 1] = 9.0
        causal.head[b, 0] = 5.0  # after a comes b
        causal.head[tokenizer.eos, 1] = 9.0  # after b the end
    (found,) = generate(causal, tokenizer, [ask("a")], max_new_tokens=10)
    assert found.text == "b"
    assert causal.positions == [(1, 1), (1, 1)]


def test_stopped_rows_leave_the_batch(causal, tokenizer, ask):
    requests = [ask(letter) for letter in "abcdefgh"]
    generate(causal, tokenizer, requests, max_new_tokens=40)
    rows = [shape[0] for shape in causal.positions]
    assert rows == sorted(rows, reverse=True)


def test_equal_prompts_are_generated_once(causal, tokenizer, ask):
    generate(causal, tokenizer, [ask("same")] * 5, max_new_tokens=1)
    assert causal.positions == [(1, 4)]


def test_a_prompt_leaves_room_for_its_answer(causal, tokenizer, ask):
    rules = PromptRules(max_total_tokens=10)
    (found,) = generate(causal, tokenizer, [ask("a" * 30)], max_new_tokens=4, rules=rules)
    assert causal.positions[0] == (1, 6)
    assert found.truncated


def test_non_finite_logits_are_an_error(causal, tokenizer, ask):
    with torch.no_grad():
        causal.embedding[tokenizer.encode(["X"])[0][0]] = math.nan
    bad, good, empty = generate(causal, tokenizer, [ask("X"), ask("a"), ask("")], max_new_tokens=2)
    assert (bad.text, bad.error) == (None, "non-finite score")
    assert good.error is None
    assert empty.error == "empty prompt"


def test_ids_beyond_the_tokenizer_are_never_written(causal, tokenizer, ask):
    tokenizer.vocab_size = 20
    with torch.no_grad():
        causal.head[20:] *= 100
    (found,) = generate(causal, tokenizer, [ask("ab")], max_new_tokens=6)
    assert set(tokenizer.encode([found.text])[0].tolist()) <= set(range(20))
