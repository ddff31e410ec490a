import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xmtf.models.layers.attention import (
    additive_bias,
    alibi_bias,
    alibi_slopes,
    same_segment,
    scaled_dot_product_attention,
    self_attention_mask,
)

CPU = torch.device("cpu")


def drawn(text):
    return torch.tensor([[c != "." for c in line.split()] for line in text.strip().splitlines()])


def test_slopes_of_a_power_of_two():
    assert alibi_slopes(4) == [0.25, 0.0625, 0.015625, 0.00390625]


def test_slopes_of_other_counts_add_every_second_slope_of_the_next_power():
    assert alibi_slopes(6) == [*alibi_slopes(4), 0.5, 0.125]
    assert len(alibi_slopes(112)) == 112
    assert alibi_slopes(112)[:64] == alibi_slopes(64)
    assert alibi_slopes(112)[64:] == alibi_slopes(128)[0:96:2]


def test_alibi_is_slope_times_distance():
    bias = alibi_bias(1, 3, 3, CPU, absolute=False)[0] / alibi_slopes(1)[0]
    assert bias.tolist() == [[0, 1, 2], [-1, 0, 1], [-2, -1, 0]]


def test_alibi_of_the_last_queries_is_the_end_of_the_whole():
    whole = alibi_bias(3, 7, 7, CPU, absolute=False)
    assert torch.equal(alibi_bias(3, 2, 7, CPU, absolute=False), whole[:, 5:])


def test_relative_alibi_keeps_neighbours_apart_in_bf16_where_absolute_does_not():
    relative = alibi_bias(16, 1, 2048, CPU, absolute=False).bfloat16()[0, 0]
    absolute = alibi_bias(16, 1, 2048, CPU, absolute=True).bfloat16()[0, 0]
    assert absolute[2047] - absolute[2046] == 0
    assert float(relative[2047] - relative[2046]) == pytest.approx(2**-0.5, abs=2e-3)


def test_segments_keep_apart():
    allowed = same_segment(torch.tensor([[1, 2, 0]]), torch.tensor([[1, 1, 2, 0]]))[0]
    assert torch.equal(allowed, drawn("1 1 . .\n. . 1 .\n. . . ."))


def test_mask_of_a_packed_row():
    ids = torch.tensor([[1, 1, 1, 2, 2, 0]])
    causal = """
        1 . . . . .
        1 1 . . . .
        1 1 1 . . .
        . . . 1 . .
        . . . 1 1 .
        . . . . . ."""
    assert torch.equal(self_attention_mask(6, ids, None, 6, CPU)[0], drawn(causal))
    is_input = torch.tensor([[1, 1, 0, 1, 0, 0]]).bool()
    prefix = """
        1 1 . . . .
        1 1 . . . .
        1 1 1 . . .
        . . . 1 . .
        . . . 1 1 .
        . . . . . ."""
    assert torch.equal(self_attention_mask(6, ids, is_input, 6, CPU)[0], drawn(prefix))


def test_a_query_without_keys_attends_to_everything_instead_of_nan():
    allowed = torch.tensor([[[True, False], [False, False]]])
    bias = additive_bias(allowed, torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), torch.float32)
    assert bias.tolist() == [[[[1.0, -math.inf], [3.0, 4.0]]]]


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=9), st.data())
def test_allowed_pairs_are_those_of_the_definition(ids, data):
    n = len(ids)
    is_input = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    mask = self_attention_mask(n, torch.tensor([ids]), torch.tensor([is_input]), n, CPU)[0]
    for q in range(n):
        for k in range(n):
            expected = ids[q] == ids[k] != 0 and (k <= q or (is_input[q] and is_input[k]))
            assert bool(mask[q, k]) == expected


@pytest.mark.parametrize("length", [9, 450])  # gradients in fp32, and torch's own
@pytest.mark.parametrize("kind", ["causal", "bias", "shared keys", "only values learn"])
def test_attention_in_bf16_has_the_gradients_of_fp32_up_to_rounding(kind, length):
    draw = torch.Generator().manual_seed(0)
    tensors = [torch.randn(2, heads, length, 8, generator=draw) for heads in (4, 4, 4)]
    if kind == "shared keys":
        tensors[1:] = [one[:, :2] for one in tensors[1:]]
    tensors = [one.bfloat16() for one in tensors]
    options = {"is_causal": kind != "bias", "enable_gqa": kind == "shared keys", "scale": 0.3}
    later = torch.ones(length, length, dtype=torch.bool).triu(1)
    bias = torch.randn(1, 4, length, length, generator=draw).masked_fill(later, -math.inf) if kind == "bias" else None
    weights = torch.randn(2, 4, length, 8, generator=draw)

    def run(attend, dtype):
        learning = [
            one.detach().to(dtype).requires_grad_(kind != "only values learn" or place == 2)
            for place, one in enumerate(tensors)
        ]
        found = attend(*learning, attn_mask=None if bias is None else bias.to(torch.bfloat16).to(dtype), **options)
        (found.float() * weights).sum().backward()
        return [found.detach(), *(one.grad for one in learning if one.requires_grad)]

    exact = run(torch.nn.functional.scaled_dot_product_attention, torch.float32)
    ours = run(scaled_dot_product_attention, torch.bfloat16)
    theirs = run(torch.nn.functional.scaled_dot_product_attention, torch.bfloat16)
    for one, reference, true in zip(ours, theirs, exact, strict=True):
        assert one.dtype == torch.bfloat16
        off, usual = ((found.float() - true).square().mean().sqrt() for found in (one, reference))
        assert off <= 1.05 * usual
