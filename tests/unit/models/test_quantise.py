import pytest
import torch
from torch import nn

from xmtf.models import SpecialTokens, build_model, quantise_int8
from xmtf.models.quantise import Int8Linear
from xmtf.recipe.schema import Model


@pytest.mark.parametrize("method", ["weights", "llm_int8"])
@pytest.mark.parametrize("architecture", ["bloom", "mt5"])
def test_int8_weights_take_a_quarter_of_fp32_and_hardly_change_the_logits(architecture, method):
    if method == "llm_int8":
        pytest.importorskip("bitsandbytes", reason="the package bitsandbytes is not installed")
    shape = Model(architecture=architecture, hidden_size=128, num_layers=2, num_heads=4)
    special = SpecialTokens(pad=0, eos=1, bos=None)
    model = build_model(shape, vocab_size=96, special=special, seed=0).eval()
    tokens = torch.randint(2, 96, (2, 16), generator=torch.Generator().manual_seed(0))

    @torch.no_grad()
    def logits():
        if architecture == "bloom":
            return model.logits(model.hidden_states(tokens))
        return model.logits(model.decode(tokens, model.encode(tokens)))

    before = logits()
    change = quantise_int8(model, method)
    after = logits()
    assert change.num_matrices == {"bloom": 2 * 4, "mt5": 2 * 7 + 2 * 11}[architecture]
    assert change.bytes_after < 0.4 * change.bytes_before
    assert not torch.equal(after, before)
    correlation = torch.corrcoef(torch.stack([before.flatten(), after.flatten()]))[0, 1]
    assert correlation > 0.999


def test_a_row_is_scaled_by_its_largest_weight():
    linear = nn.Linear(3, 2)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[1.0, -0.5, 0.25], [0.0, 0.0, 0.0]]))
        linear.bias.copy_(torch.tensor([0.5, 2.0]))
    layer = Int8Linear(linear)
    assert layer.weight.tolist() == [[127, -64, 32], [0, 0, 0]]
    torch.testing.assert_close(layer(torch.eye(3))[:, 0], torch.tensor([1.0, -64 / 127, 32 / 127]) + 0.5)
    assert layer(torch.ones(1, 3))[0, 1] == 2.0
