"""FlexAttention's forward pass against the reference, on a CPU; its backward pass needs a GPU."""

import pytest
import torch

from xmtf.errors import ConfigError
from xmtf.models import SpecialTokens, build_model
from xmtf.models.bloom import block
from xmtf.models.layers.attention import additive_bias, alibi_bias, attend, self_attention_mask
from xmtf.models.layers.flex import alibi_flex_bias, flex_attend
from xmtf.recipe.schema import Model
from xmtf.training.numerics.precision import choose_attention

pytestmark = pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile:UserWarning")

SEGMENTS = torch.tensor([[1] * 9 + [2] * 14 + [3] * 4 + [0] * 5, [1] * 32])
IS_INPUT = torch.tensor([[True] * 5 + [False] * 4 + [True] * 8 + [False] * 15, [True] * 20 + [False] * 12])


@pytest.mark.parametrize(("num_heads", "heads"), [(4, slice(None)), (6, slice(None)), (6, slice(2, 4))])
@pytest.mark.parametrize("prefix", [False, True])
def test_output_is_that_of_the_reference(num_heads, heads, prefix):
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, num_heads, 32, 16)
    is_input = IS_INPUT if prefix else None
    allowed = self_attention_mask(32, SEGMENTS, is_input, 32, query.device)
    bias = additive_bias(allowed, alibi_bias(num_heads, 32, 32, query.device, absolute=False), torch.float32)
    expected = attend(query, key, value, bias, scale=0.25)
    held = alibi_flex_bias(num_heads, SEGMENTS, is_input, heads)  # of a tensor-parallel process
    got = flex_attend(query[:, heads], key[:, heads], value[:, heads], held, scale=0.25)
    real, expected = SEGMENTS > 0, expected.unflatten(2, (num_heads, 16))[:, :, heads].flatten(2)
    torch.testing.assert_close(got[real], expected[real], rtol=1e-5, atol=2e-6)
    assert torch.isfinite(got).all()


@torch.no_grad()
def test_a_whole_model_computes_the_same_and_takes_the_reference_where_flex_cannot(monkeypatch):
    calls = []
    monkeypatch.setattr(block, "flex_attend", lambda *given, **how: calls.append(1) or flex_attend(*given, **how))
    shape = Model(architecture="bloom", hidden_size=48, num_layers=2, num_heads=3)
    model = build_model(shape, vocab_size=60, special=SpecialTokens(0, 1), seed=1)
    tokens = torch.randint(4, 60, SEGMENTS.shape, generator=torch.Generator().manual_seed(0))
    expected = model.hidden_states(tokens, segment_ids_RT=SEGMENTS)
    alone = model.hidden_states(tokens[:, :9])
    model.attention = "flex"
    real = SEGMENTS > 0
    got = model.hidden_states(tokens, segment_ids_RT=SEGMENTS)
    torch.testing.assert_close(got[real], expected[real], rtol=1e-4, atol=1e-5)
    assert len(calls) == 2, "one a layer"
    assert torch.equal(model.hidden_states(tokens[:, :9]), alone)
    assert len(calls) == 2
    assert model._takes_flex(None, dropout=0.1) is False
    assert model._takes_flex(model.new_cache(), dropout=0.0) is False


def test_it_is_chosen_on_gpus_alone(monkeypatch):
    assert choose_attention("auto", torch.device("cpu")) == "sdpa"
    assert choose_attention("auto", torch.device("cuda")) == "flex"
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    assert choose_attention("auto", torch.device("cuda")) == "flex", "under torchrun too"
    assert choose_attention("sdpa", torch.device("cuda")) == "sdpa"
    with pytest.raises(ConfigError, match="no backward pass on CPUs"):
        choose_attention("flex", torch.device("cpu"))
