"""Packed rows equal separate ones: logits, losses and gradients, in both families."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from xmtf.errors import ConfigError
from xmtf.models import check_packing


def draw(length, seed):
    return torch.randint(4, 97, (1, length), generator=torch.Generator().manual_seed(seed))


def packed(examples, padding=2):
    ids = [torch.full_like(example, index) for index, example in enumerate(examples, start=1)]
    end = torch.zeros(1, padding, dtype=torch.long)
    return torch.cat([*examples, end], 1), torch.cat([*ids, end], 1)


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@settings(max_examples=10, deadline=None)
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4))
def test_bloom_logits(lengths):
    bloom = _bloom()
    examples = [draw(length, seed) for seed, length in enumerate(lengths)]
    row, ids = packed(examples)
    hidden = bloom.hidden_states(row, segment_ids_RT=ids)
    assert torch.isfinite(hidden).all()
    for part, example in zip(hidden[:, : sum(lengths)].split(lengths, dim=1), examples, strict=True):
        close(part, bloom.hidden_states(example))


def test_bloom_prefix_lm_reads_inputs_in_both_directions_and_stays_in_its_segment(bloom):
    first, second = draw(6, 1), draw(5, 2)
    row, ids = packed([first, second])
    is_input = torch.tensor([[1, 1, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0]]).bool()
    hidden = bloom.hidden_states(row, segment_ids_RT=ids, is_input_RT=is_input)
    close(hidden[:, :6], bloom.hidden_states(first, is_input_RT=is_input[:, :6]))
    close(hidden[:, 6:11], bloom.hidden_states(second, is_input_RT=is_input[:, 6:11]))
    changed = row.clone()
    changed[0, 3] = 5  # the last input token is seen by the first, a target token is not
    assert (
        bloom.hidden_states(changed, segment_ids_RT=ids, is_input_RT=is_input)[0, 0] - hidden[0, 0]
    ).abs().max() > 1e-3
    changed = row.clone()
    changed[0, 4] = 5
    close(bloom.hidden_states(changed, segment_ids_RT=ids, is_input_RT=is_input)[:, :4], hidden[:, :4])


def test_bloom_gradients_of_a_packed_row_are_the_sum_of_separate_ones(bloom):
    examples = [draw(7, 1), draw(4, 2), draw(9, 3)]
    row, ids = packed(examples)
    hidden = bloom.hidden_states(row, segment_ids_RT=ids)
    inside = (ids[:, 1:] == ids[:, :-1]) & (ids[:, 1:] != 0)
    logits = bloom.logits(hidden[:, :-1][inside])
    loss = functional.cross_entropy(logits, row[:, 1:][inside], reduction="sum")
    loss.backward()
    together = {name: parameter.grad.clone() for name, parameter in bloom.named_parameters()}
    bloom.zero_grad()
    total = 0.0
    for example in examples:
        logits = bloom.logits(bloom.hidden_states(example[:, :-1]))[0]
        apart = functional.cross_entropy(logits, example[0, 1:], reduction="sum")
        apart.backward()
        total += float(apart.detach())
    assert float(loss.detach()) == pytest.approx(total, rel=1e-6)
    for name, parameter in bloom.named_parameters():
        torch.testing.assert_close(together[name], parameter.grad, rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("padding", [0, 3])
def test_mt5_logits_and_gradients(mt5, padding):
    inputs, targets = [draw(5, 1), draw(8, 2), draw(3, 3)], [draw(3, 4), draw(2, 5), draw(6, 6)]
    encoder_row, encoder_ids = packed(inputs, padding)
    decoder_row, decoder_ids = packed(targets, padding)
    encoded = mt5.encode(encoder_row, segment_ids_RS=encoder_ids)
    hidden = mt5.decode(decoder_row, encoded, segment_ids_RT=decoder_ids, encoder_segment_ids_RS=encoder_ids)
    assert torch.isfinite(hidden).all()
    mt5.logits(hidden[decoder_ids != 0]).logsumexp(-1).sum().backward()
    together = {name: p.grad.clone() for name, p in mt5.named_parameters() if p.grad is not None}
    mt5.zero_grad()
    parts = hidden[:, :11].split([3, 2, 6], dim=1)
    for part, example, target in zip(parts, inputs, targets, strict=True):
        alone = mt5.decode(target, mt5.encode(example))
        close(part, alone)
        mt5.logits(alone).logsumexp(-1).sum().backward()
    for name, gradient in together.items():
        expected = dict(mt5.named_parameters())[name].grad
        torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()) + 1e-5)


def test_a_target_segment_without_inputs_gives_no_nan(mt5):
    encoder_row, encoder_ids = packed([draw(5, 1)])
    decoder_row, decoder_ids = packed([draw(3, 2), draw(3, 3)])
    encoded = mt5.encode(encoder_row, segment_ids_RS=encoder_ids)
    hidden = mt5.decode(decoder_row, encoded, segment_ids_RT=decoder_ids, encoder_segment_ids_RS=encoder_ids)
    assert torch.isfinite(hidden).all()


def test_the_check_passes_our_models(bloom, mt5):
    assert check_packing(bloom) < 1e-4
    assert check_packing(mt5) < 1e-4


@pytest.mark.parametrize("bf16", [False, True])
def test_the_check_refuses_a_model_that_ignores_segments(bloom, bf16):
    whole = bloom.hidden_states
    bloom.hidden_states = lambda tokens, segment_ids_RT=None: whole(tokens)
    with (
        torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16),
        pytest.raises(ConfigError, match=r"leaks between packed examples.*packing\.policy: pad"),
    ):
        check_packing(bloom)


def test_the_check_refuses_a_model_that_counts_positions_on(bloom):
    whole = bloom.hidden_states

    def counting(tokens, segment_ids_RT):
        places = torch.arange(tokens.shape[1])[None, :, None] / 10
        return whole(tokens, segment_ids_RT=segment_ids_RT) + places

    bloom.hidden_states = counting
    with pytest.raises(ConfigError, match="does not keep packed examples apart: logits deviate by"):
        check_packing(bloom)


def test_the_check_refuses_cross_attention_that_ignores_segments(mt5):
    whole = mt5.decode
    mt5.decode = lambda tokens, encoded, segment_ids_RT=None, encoder_segment_ids_RS=None: whole(
        tokens, encoded, segment_ids_RT=segment_ids_RT
    )
    with pytest.raises(ConfigError, match="leaks"):
        check_packing(mt5)


def test_the_check_leaves_the_mode_of_the_model(bloom):
    bloom.train()
    check_packing(bloom)
    assert bloom.training


def _bloom():
    from xmtf.models import SpecialTokens, build_model
    from xmtf.recipe.schema import Model

    shape = Model(architecture="bloom", hidden_size=20, num_layers=2, num_heads=5)
    return build_model(shape, vocab_size=97, special=SpecialTokens(3, 2, 1), seed=1)
