import dataclasses
import math

import pytest
import torch

from xmtf.errors import ConfigError
from xmtf.evaluation.engine.answer import in_order
from xmtf.evaluation.engine.encoding import PromptRules
from xmtf.evaluation.generation.decode_loop import most_likely
from xmtf.evaluation.generation.decoding import Decoding
from xmtf.evaluation.generation.generate import generate, generation_batches
from xmtf.evaluation.ranking.rank import score_choices


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


def test_what_is_drawn_depends_on_seed_and_prompt_alone(model, tokenizer, ask):
    prompts = ["name a colour", "a", "why? b", "zz top 99"]
    hot = Decoding(max_new_tokens=12, temperature=1.5, seed=3)
    together = generate(model, tokenizer, [ask(p) for p in prompts], decoding=hot)
    apart = [generate(model, tokenizer, [ask(p)], decoding=hot)[0] for p in reversed(prompts)]
    assert [item.text for item in together] == [item.text for item in reversed(apart)]
    other = generate(model, tokenizer, [ask(p) for p in prompts], decoding=dataclasses.replace(hot, seed=4))
    assert [item.text for item in other] != [item.text for item in together]


def test_one_token_to_draw_from_is_greedy(model, tokenizer, ask):
    requests = [ask("name a colour"), ask("why? b")]
    greedy = generate(model, tokenizer, requests, max_new_tokens=12)
    for options in ({"top_k": 1}, {"top_p": 1e-9}):
        drawn = generate(model, tokenizer, requests, decoding=Decoding(12, temperature=5.0, **options))
        assert [item.text for item in drawn] == [item.text for item in greedy]


def test_an_answer_ends_before_its_first_stop(model, tokenizer, ask):
    request = ask("name a colour")
    (whole,) = generate(model, tokenizer, [request], decoding=Decoding(30, 30))
    stops = (whole.text[6:8], whole.text[4:6])
    first = min(whole.text.find(stop) for stop in stops)
    (cut,) = generate(model, tokenizer, [request], decoding=Decoding(30, 30, stops=stops))
    assert cut.text == whole.text[:first].strip()
    (beam,) = generate(model, tokenizer, [request], decoding=Decoding(30, 30, stops=stops, beams=3))
    assert not any(stop in beam.text for stop in stops)


@pytest.mark.parametrize("beams", [1, 3])
def test_why_an_answer_ended_is_kept(causal, tokenizer, ask, beams):
    with torch.no_grad():
        causal.head[:] = 0
        causal.embedding[:] = 0
        a, b, c, d = tokenizer.encode(["abcd"])[0].tolist()
        causal.embedding[a, 0] = causal.embedding[b, 1] = causal.embedding[c, 2] = causal.embedding[d, 3] = 9.0
        causal.head[b, 0] = causal.head[tokenizer.eos, 1] = 50.0  # after a comes b, then the end
        causal.head[d, 2] = causal.head[c, 3] = 50.0  # c and d forever

    def endings(most, stops):
        decoding = Decoding(most, beams=beams, length_penalty=0.0, stops=stops)
        batches = generation_batches(causal, tokenizer, [ask("a"), ask("c")], decoding=decoding)
        return [answer.ending for answer in in_order(batches)]

    assert endings(4, ()) == ["end of text", "budget"]
    assert endings(4, ("c",)) == ["end of text", "stop text"]
    assert endings(1, ()) == ["budget", "budget"]


def test_the_end_of_text_waits_for_the_fewest_tokens(causal, tokenizer, ask):
    with torch.no_grad():
        causal.head[tokenizer.eos] = 0
        causal.embedding[:, 0] = causal.head[tokenizer.eos, 0] = 9.0  # the end is always most likely
    for beams in (1, 3):
        ends = [generate(causal, tokenizer, [ask("a")], decoding=Decoding(9, least, beams=beams)) for least in (0, 5)]
        assert [len(found.text) for (found,) in ends] == [0, 5]


def test_more_beams_find_no_less_likely_texts(model, tokenizer, ask):
    requests = [ask(p) for p in ("name a colour", "a", "zz top 99")]

    def likelihood(beams):
        decoding = Decoding(6, 6, beams=beams, length_penalty=0.0)
        texts = [item.text for item in generate(model, tokenizer, requests, decoding=decoding)]
        rules = PromptRules(space_before_targets=False)
        pairs = [ask(request.prompt, text) for request, text in zip(requests, texts, strict=True)]
        return [item.scores[0] for item in score_choices(model, tokenizer, pairs, rules=rules)]

    for one, wide in zip(likelihood(1), likelihood(40), strict=True):
        assert wide >= one - 1e-5


def test_a_beam_without_finite_logits_is_an_error(causal, tokenizer, ask):
    with torch.no_grad():
        causal.embedding[tokenizer.encode(["X"])[0][0]] = math.nan
    bad, good = generate(causal, tokenizer, [ask("X"), ask("a")], decoding=Decoding(3, beams=2))
    assert (bad.text, bad.error) == (None, "non-finite score")
    assert good.error is None


@pytest.mark.parametrize(
    "options", [{"top_p": 0.0}, {"temperature": -1.0}, {"beams": 2, "temperature": 1.0}, {"min_new_tokens": 70}]
)
def test_senseless_options_are_refused(options):
    with pytest.raises(ConfigError, match="generation:"):
        Decoding(**options)


@pytest.mark.parametrize("num_ids", [5, 512, 1024, 1300])
def test_the_most_likely_token_is_the_first_of_the_greatest(num_ids):
    logits = torch.randint(0, 30, (64, num_ids), generator=torch.Generator().manual_seed(0)).float()
    logits[0], logits[1, -1], logits[2, 0] = 0.0, 99.0, 99.0
    assert most_likely(logits) == [row.index(max(row)) for row in logits.tolist()]
