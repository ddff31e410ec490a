"""Texts that models of transformers write, read without padding, beside what transformers' ``generate`` writes."""

import pytest
import torch

transformers = pytest.importorskip("transformers")

from tests.parity.test_hub_scoring import TREES, hub_model  # noqa: E402

from xmtf.evaluation.generation.decode_loop import Sampling, decode  # noqa: E402
from xmtf.evaluation.generation.decoding import WritingRules  # noqa: E402
from xmtf.models.layers.ragged import ragged_reader  # noqa: E402

KINDS = sorted(set(TREES) - {"gemma2"})
BEGINNING = tuple(range(5, 23))
PROMPTS = [(*BEGINNING, 20, 21), (30,), BEGINNING, (*BEGINNING, 20, 22, 23, 24), (40, 41, 42), (50,) * 5, (30, 31)]
RULES = WritingRules((96, 95), pad=0, num_ids=97, max_new_tokens=7)


def theirs(network, prompts, ends):
    width = max(map(len, prompts))
    tokens = torch.tensor([[0] * (width - len(prompt)) + list(prompt) for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    written = network.generate(
        tokens, attention_mask=mask, max_new_tokens=7, do_sample=False, eos_token_id=list(ends), pad_token_id=0
    )
    rows = [row[width:].tolist() for row in written]
    return [row[: next((at for at, token in enumerate(row) if token in ends), len(row))] for row in rows]


@pytest.mark.parametrize("kind", KINDS)
def test_greedy_texts_are_those_of_transformers(kind):
    model = hub_model(TREES[kind]())
    assert model.ragged_fault is None
    plain = theirs(model.network, PROMPTS, (98,))
    ends = (plain[0][2], plain[3][0])  # some texts end early, and others take their places
    rules = WritingRules(ends, pad=0, num_ids=97, max_new_tokens=7)
    expected = theirs(model.network, PROMPTS, ends)
    assert min(map(len, expected)) < 7
    for most_rows in (None, 2):
        found = decode(model, PROMPTS, range(len(PROMPTS)), rules, most_rows=most_rows)
        assert [list(answer.ids) for answer in found] == expected
        assert [answer.ending for answer in found] == ["budget" if len(row) == 7 else "end of text" for row in expected]


@pytest.mark.parametrize("most_rows", [None, 3])
def test_what_is_drawn_is_that_of_each_answer_alone(most_rows):
    model = hub_model(TREES["llama"]())
    prompt_of = [0, 1, 1, 2, 3, 4, 4, 5, 6]
    draws = torch.rand(len(prompt_of), 7, generator=torch.Generator().manual_seed(1)).numpy()
    together = decode(
        model, PROMPTS, prompt_of, RULES, sampling=Sampling(3.0, 0.9, draws, top_k=50), most_rows=most_rows
    )
    for row, place in enumerate(prompt_of):
        alone = Sampling(3.0, 0.9, draws[row : row + 1], top_k=50)
        assert decode(model, [PROMPTS[place]], [0], RULES, sampling=alone) == [together[row]]


def counted(model, monkeypatch):
    """Count the positions of every pass of a model."""
    passes = []
    read = type(model).read_pieces

    def count(self, tokens_F, one_pass):
        passes.append(len(tokens_F))
        return read(self, tokens_F, one_pass)

    monkeypatch.setattr(type(model), "read_pieces", count)
    return passes


@pytest.mark.parametrize("most_rows", [None, 1, 2])
def test_texts_that_repeat_are_written_in_fewer_passes_and_stay_the_same(most_rows, monkeypatch):
    model = hub_model(TREES["llama"]())
    model.logits = lambda hidden_PH, tokens=None: repeating(type(model).logits(model, hidden_PH, tokens), tokens)
    passes, found = counted(model, monkeypatch), {}
    rules = WritingRules((96, 95), pad=0, num_ids=97, max_new_tokens=40, min_new_tokens=3)
    draws = torch.rand(len(PROMPTS), 40, generator=torch.Generator().manual_seed(1)).numpy()

    def stops(row, ids):
        return row == 1 and ids[-3:] == ids[:3] and len(ids) > 3

    for sampling in (None, Sampling(0.5, 0.9, draws)):
        for lookup in (False, True):
            passes.clear()
            found[lookup] = (
                decode(
                    model,
                    PROMPTS,
                    range(len(PROMPTS)),
                    rules,
                    sampling=sampling,
                    stop=stops,
                    most_rows=most_rows,
                    lookup=lookup,
                ),
                len(passes),
            )
        assert found[True][0] == found[False][0]
        assert max(len(answer.ids) for answer in found[True][0]) > 20
        assert found[True][1] < found[False][1]


def repeating(logits_PV, tokens):
    """Make some tokens far more likely, so that the model repeats them."""
    favoured = torch.zeros(97)
    favoured[10:13] = 6.0
    return logits_PV + (favoured if tokens is None else favoured[tokens])[: logits_PV.shape[-1]]


def test_a_wrong_guess_leaves_no_trace(monkeypatch):
    model = hub_model(TREES["llama"]())
    rules = WritingRules((96, 95), pad=0, num_ids=97, max_new_tokens=12)
    plain = decode(model, PROMPTS, range(len(PROMPTS)), rules, lookup=False)
    wrong = iter(range(10_000))
    monkeypatch.setattr("xmtf.evaluation.generation.lookup.Lookup.guess", lambda *_: (next(wrong) % 90,) * 3)
    monkeypatch.setattr("xmtf.evaluation.generation.lookup.Lookup.learn", lambda *_: None)
    budgets = [len(answer.ids) for answer in plain]
    assert max(budgets) == 12
    assert decode(model, PROMPTS, range(len(PROMPTS)), rules) == plain


def test_a_model_whose_attention_is_not_asked_for_is_found_out(monkeypatch):
    model = hub_model(TREES["llama"]())
    layer = model.network.model.layers[1]
    monkeypatch.setattr(layer, "forward", lambda hidden, **given: hidden + layer.mlp(hidden))
    assert "has layers without attention" in model.ragged_fault
    assert ragged_reader(model) is None
    expected = theirs(model.network, PROMPTS, RULES.ends)
    assert [list(answer.ids) for answer in decode(model, PROMPTS, range(len(PROMPTS)), RULES)] == expected


def test_attention_that_asks_for_more_is_left_to_the_network():
    model = hub_model(TREES["gemma2"]())
    assert "softcap" in model.ragged_fault
    expected = theirs(model.network, PROMPTS[:3], RULES.ends)
    assert [list(answer.ids) for answer in decode(model, PROMPTS[:3], range(3), RULES)] == expected
