import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xmtf.errors import ConfigError
from xmtf.evaluation.engine.batches import PromptGroup, batches, group_prompts, pad_left, pad_right
from xmtf.evaluation.engine.encoding import PromptRules
from xmtf.evaluation.engine.processes import Processes
from xmtf.evaluation.generation.generate import generate
from xmtf.evaluation.ranking.rank import rank, rank_batches, score_choices
from xmtf.records import Origin, Request


def directly(model, tokenizer, prompt, choice):
    """The definition: one row, no cache, logits everywhere."""
    p = tokenizer.encode([prompt])[0].tolist()
    if model.family == "causal":
        c = tokenizer.encode([" " + choice])[0].tolist()
        hidden = model.hidden_states(torch.tensor([p + c]))[0, len(p) - 1 : -1]
    else:
        c = [*tokenizer.encode([choice])[0].tolist(), tokenizer.eos]
        encoded = model.encode(torch.tensor([p]))
        hidden = model.decode(torch.tensor([[model.decoder_start, *c[:-1]]]), encoded)[0]
    logp = torch.log_softmax(model.logits(hidden).float(), -1)
    return sum(logp[i, token].item() for i, token in enumerate(c))


def test_padding_puts_the_last_token_last():
    tokens, segments = pad_left([(5, 6, 7), (8,)], 0, "cpu")
    assert tokens.tolist() == [[5, 6, 7], [0, 0, 8]]
    assert segments.tolist() == [[1, 1, 1], [0, 0, 1]]
    tokens, segments = pad_right([(5, 6, 7), (8,)], 0, "cpu")
    assert tokens.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert segments.tolist() == [[1, 1, 1], [1, 0, 0]]


def test_scores_are_those_of_the_definition(model, tokenizer, ask):
    requests = [
        ask("Is it so", "Yes", "No", "By no means"),
        ask("a", "b"),
        ask("a longer prompt than the others. Or?", "Yes", "Yes", "Yesterday"),
        ask("a", "c", "bc"),
    ]
    found = rank(model, tokenizer, requests, batch_tokens=64)
    for request, prediction in zip(requests, found, strict=True):
        expected = [directly(model, tokenizer, request.prompt, choice) for choice in request.choices]
        assert prediction.scores == pytest.approx(expected, abs=1e-5)
        assert prediction.choice == expected.index(max(expected))
        assert prediction.error is None


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.text("abc", min_size=1, max_size=9), st.lists(st.text("xyz", min_size=1, max_size=5), min_size=1)),
        min_size=1,
        max_size=8,
    ),
    st.integers(1, 200),
)
def test_batch_size_changes_no_score(tiny, items, batch_tokens):
    tokenizer, kinds = tiny
    requests = [Request(p, tuple(c), 0, (), Origin("own", "", "test", 0)) for p, c in items]
    for kind in kinds:
        one = score_choices(kind(), tokenizer(), requests, batch_tokens=1)
        many = score_choices(kind(), tokenizer(), requests, batch_tokens=batch_tokens)
        for a, b in zip(one, many, strict=True):
            assert a.scores == pytest.approx(b.scores, abs=1e-5)
            assert a.num_tokens == b.num_tokens


def test_a_prompt_is_computed_once_and_logits_only_where_needed(causal, tokenizer, ask):
    requests = [ask("same", "x"), ask("same", "y", "z"), ask("same", "y", "w")]
    rank(causal, tokenizer, requests, rules=PromptRules(space_before_targets=False))
    assert causal.positions == [(1, 4)]
    assert causal.logit_positions == 1


def test_choices_that_differ_in_their_last_token_share_their_row(causal, tokenizer, ask):
    rank(causal, tokenizer, [ask("p", "abx", "aby", "ab")], rules=PromptRules(space_before_targets=False))
    assert causal.positions == [(1, 1), (2, 2)]
    assert causal.logit_positions == 1 + 2 + 1


def test_a_space_stands_before_choices_of_a_causal_model_only(tokenizer, model, ask):
    rank(model, tokenizer, [ask("p", "Yes")])
    assert (" Yes" in tokenizer.encoded) == (model.family == "causal")


def test_the_end_is_scored_for_an_encoder_decoder_only(model, tokenizer, ask):
    (result,) = score_choices(model, tokenizer, [ask("p", "Yes")])
    assert result.num_tokens == (4,)  # " Yes", or "Yes" and the end


@pytest.mark.parametrize(("side", "kept"), [("left", "fgh"), ("right", "abc")])
def test_overlong_prompts_are_cut_and_flagged(causal, tokenizer, ask, side, kept):
    rules = PromptRules(max_prompt_tokens=3, truncation_side=side)
    cut, short = rank(causal, tokenizer, [ask("abcdefgh", "x", "y"), ask(kept, "x", "y")], rules=rules)
    assert cut.truncated
    assert not short.truncated
    assert cut.scores == short.scores


def test_the_answer_fits_behind_a_cut_prompt(causal, tokenizer, ask):
    rules = PromptRules(space_before_targets=False, max_total_tokens=6)
    cut, too_long = rank(causal, tokenizer, [ask("abcdefgh", "xx"), ask("a", "x" * 6)], rules=rules)
    assert causal.positions == [(1, 4), (1, 1)]
    assert cut.truncated
    assert "longer than the model's 6 positions" in too_long.error


def test_unanswerable_requests_carry_their_reason(causal, tokenizer, ask):
    rules = PromptRules(space_before_targets=False)
    found = rank(causal, tokenizer, [ask("", "x"), ask("p", "x", ""), ask("p"), ask("p", "x")], rules=rules)
    assert [item.error for item in found] == ["empty prompt", "empty choice", "no choices", None]
    assert [item.choice for item in found] == [None, None, None, 0]


def test_a_non_finite_score_is_an_error_of_that_item_alone(causal, tokenizer, ask):
    with torch.no_grad():
        causal.embedding[tokenizer.encode(["X"])[0][0]] = math.nan
    bad, good = rank(causal, tokenizer, [ask("aX", "x", "y"), ask("a", "x", "y")])
    assert (bad.choice, bad.scores, bad.error) == (None, (), "non-finite score")
    assert good.error is None


def test_length_normalisation_changes_the_choice_not_the_scores(causal, tokenizer, ask):
    requests = [ask("p", "a", "abcdefghij")]
    summed, per_token = (rank(causal, tokenizer, requests, scoring=way)[0] for way in ("bloomz", "tokens"))
    assert summed.scores == per_token.scores
    per = [summed.scores[0] / 2, summed.scores[1] / 11]
    assert per_token.choice == per.index(max(per))


def test_batches_hold_what_fits():
    groups = [PromptGroup((1,) * length, {(5, 6, 7): 0}) for length in (6, 5, 4, 4, 1)]
    sizes = [[len(group.prompt) for group in batch] for batch in batches(groups, 16)]
    assert sizes == [[6, 5], [4, 4], [1]]
    assert [len(batch) for batch in batches(groups, 1)] == [1] * 5


def test_order_depends_on_the_requests_alone():
    prompts = [(3, 1), (2, 2), (9,), (2, 2)]
    choices = [[(1,)]] * 4
    groups = group_prompts(prompts, choices, range(4))
    assert [group.prompt for group in groups] == [(2, 2), (3, 1), (9,)]
    assert groups[0].members == [1, 3]
    assert dataclasses.asdict(groups[0])["choices"] == {(1,): 0}


def test_a_batch_too_large_for_memory_is_halved(causal, tokenizer, ask, monkeypatch):
    requests = [ask("p" * length, "xy", "z") for length in range(1, 9)]
    expected = rank(causal, tokenizer, requests)
    real = causal.hidden_states

    def small_device(tokens_RT, **options):
        if len(tokens_RT) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(tokens_RT, **options)

    monkeypatch.setattr(causal, "hidden_states", small_device)
    found = rank(causal, tokenizer, requests)
    assert [item.choice for item in found] == [item.choice for item in expected]
    assert found[0].scores == pytest.approx(expected[0].scores, abs=1e-5)
    assert [item.error for item in generate(causal, tokenizer, requests, max_new_tokens=2)] == [None] * 8
    with pytest.raises(ConfigError, match="a single request needs more memory"):
        rank(causal, tokenizer, [ask("p", "ab", "bc", "cd", "de", "ef")])


def test_pmi_asks_each_choice_once_after_an_empty_prompt(model, tokenizer, ask):
    requests = [ask("Is it so", "Yes", "No"), ask("Or not", "Yes", "No"), ask("Why", "No", "So what")]
    causal = model.family == "causal"
    rules = PromptRules(space_before_targets=causal, end_of_choices=not causal, also=("pmi",))
    found = rank(model, tokenizer, requests, rules=rules, scoring="pmi")
    answers = score_choices(model, tokenizer, requests, rules=rules)
    for request, prediction, answer in zip(requests, found, answers, strict=True):
        alone = [after_nothing(model, tokenizer, choice) for choice in request.choices]
        assert answer.unconditional == pytest.approx(alone, abs=1e-5)
        gains = [score - base for score, base in zip(answer.scores, alone, strict=True)]
        assert prediction.choice == gains.index(max(gains))
    with pytest.raises(ConfigError, match="were not computed"):
        rank(model, tokenizer, requests, scoring="pmi")


def after_nothing(model, tokenizer, choice):
    """The choice behind the begin-of-text token alone."""
    if model.family == "causal":
        ids = [tokenizer.bos, *tokenizer.encode([" " + choice])[0].tolist()]
        hidden, targets = model.hidden_states(torch.tensor([ids]))[0, :-1], ids[1:]
    else:
        targets = [*tokenizer.encode([choice])[0].tolist(), tokenizer.eos]
        encoded = model.encode(torch.tensor([[tokenizer.bos]]))
        hidden = model.decode(torch.tensor([[model.decoder_start, *targets[:-1]]]), encoded)[0]
    logp = torch.log_softmax(model.logits(hidden).float(), -1)
    return sum(logp[i, token].item() for i, token in enumerate(targets))


def test_the_rules_of_lm_eval_cost_nothing_where_the_ids_are_the_same(causal, tokenizer, ask):
    requests = [ask("Is it so", "Yes", "No"), ask("trailing space ", "Yes", "No")]
    plain = score_choices(causal, tokenizer, requests)
    read = sum(rows * width for rows, width in causal.positions)
    causal.positions.clear()
    both = score_choices(causal, tokenizer, requests, rules=PromptRules(also=("lm_eval",)))
    assert [answer.scores for answer in both] == [answer.scores for answer in plain]
    assert both[0].joint == both[0].scores
    assert both[1].joint == pytest.approx(
        [directly(causal, tokenizer, "trailing space", " " + choice) for choice in ("Yes", "No")], abs=1e-5
    )
    assert sum(rows * width for rows, width in causal.positions) > read  # for the trailing space alone


def test_a_prompt_with_very_many_choices_is_read_in_parts(causal, tokenizer, ask):
    requests = [ask("p", *(f"{row} {place} abc" for place in range(9))) for row in range(40)]
    found = score_choices(causal, tokenizer, requests)
    assert max(width for _, width in causal.positions) < 700
    for request, answer in zip(requests[::13], found[::13], strict=True):
        assert answer.scores[3] == pytest.approx(directly(causal, tokenizer, "p", request.choices[3]), abs=1e-5)


def test_each_process_takes_its_own_batches_and_scores_the_same_bits(model, tokenizer, ask):
    requests = [ask("x" * (1 + row % 13) + str(row), "yes", "no" * (1 + row % 3)) for row in range(30)]
    options = {"batch_tokens": 64, "rules": PromptRules(also=("pmi", "lm_eval"))}
    alone = {index: answer for batch in rank_batches(model, tokenizer, requests, **options) for index, answer in batch}
    parts = [
        {
            i: a
            for batch in rank_batches(model, tokenizer, requests, **options, processes=Processes(rank, 3))
            for i, a in batch
        }
        for rank in range(3)
    ]
    assert all(parts)
    assert sum(map(len, parts)) == len(requests)
    assert parts[0] | parts[1] | parts[2] == alone
