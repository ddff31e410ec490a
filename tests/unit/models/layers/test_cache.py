"""Decoding with a cache equals reading whole rows."""

import pytest
import torch

from xmtf.models.layers.cache import LayerCache


def draw(rows, length, seed):
    return torch.randint(4, 97, (rows, length), generator=torch.Generator().manual_seed(seed))


def test_a_layer_cache_grows_and_selects():
    cache = LayerCache()
    keys = torch.arange(2 * 3 * 50 * 4.0).view(2, 3, 50, 4)
    for position in range(50):
        part = keys[:, :, position : position + 1]
        got, values = cache.append(part, -part)
    assert torch.equal(got, keys)
    assert torch.equal(values, -keys)
    chosen = cache.select(torch.tensor([1, 1, 0]))
    got, _ = chosen.append(keys[[1, 1, 0], :, :1], keys[[1, 1, 0], :, :1])
    assert torch.equal(got[:, :, :50], keys[[1, 1, 0]])
    assert torch.equal(cache.append(keys[:, :, :1], keys[:, :, :1])[0][:, :, :50], keys)


@torch.no_grad()
@pytest.mark.parametrize("prefix_lm", [False, True])
def test_choices_after_left_padded_prompts_equal_whole_rows(bloom, prefix_lm):
    prompts, choices = draw(2, 7, 1), draw(3, 4, 2)
    segment_ids = torch.tensor([[1] * 7, [0, 0, 0, 1, 1, 1, 1]])
    cache = bloom.new_cache()
    is_input = segment_ids.bool() if prefix_lm else None
    bloom.hidden_states(prompts, segment_ids_RT=segment_ids, is_input_RT=is_input, cache=cache)
    chosen = cache.select(torch.tensor([1, 0, 1]))
    got = bloom.hidden_states(choices, segment_ids_RT=torch.ones_like(choices), cache=chosen)
    for row, prompt in enumerate((prompts[1, 3:], prompts[0], prompts[1, 3:])):
        whole = torch.cat([prompt, choices[row]])[None]
        inputs = torch.arange(whole.shape[1])[None] < len(prompt) if prefix_lm else None
        expected = bloom.hidden_states(whole, is_input_RT=inputs)[0, len(prompt) :]
        torch.testing.assert_close(got[row], expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_mt5_decodes_step_by_step_and_selects(mt5):
    inputs, targets = draw(2, 6, 1), draw(3, 5, 2)
    encoder_ids = torch.tensor([[1] * 6, [0, 0, 1, 1, 1, 1]])
    encoded = mt5.encode(inputs, segment_ids_RS=encoder_ids)
    cache = mt5.new_cache()
    start = torch.zeros(2, 1, dtype=torch.long)
    mt5.decode(start, encoded, encoder_segment_ids_RS=encoder_ids, cache=cache)
    rows = torch.tensor([1, 0, 1])
    chosen = cache.select(rows)
    steps = [mt5.decode(targets[:, i : i + 1], encoded[rows], cache=chosen) for i in range(5)]
    whole = torch.cat([start[rows], targets], dim=1)
    expected = mt5.decode(whole, encoded[rows], encoder_segment_ids_RS=encoder_ids[rows])[:, 1:]
    torch.testing.assert_close(torch.cat(steps, dim=1), expected, rtol=1e-4, atol=1e-5)
