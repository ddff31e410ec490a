import pytest
import torch
from torch import nn

from xmtf.models import SpecialTokens, build_model, model_size, quantise_model
from xmtf.models.lora import add_adapters, merge_adapters
from xmtf.models.quantise import Int8Linear, Nf4Linear, quantised_layer
from xmtf.recipe.schema import Lora, Model

METHODS = {"int8": ("int8", "weights"), "LLM.int8": ("int8", "llm_int8"), "nf4": ("nf4", None)}


def tiny(architecture):
    shape = Model(architecture=architecture, hidden_size=128, num_layers=2, num_heads=4)
    special = SpecialTokens(pad=0, eos=1, bos=None)
    return build_model(shape, vocab_size=96, special=special, seed=0).eval()


def logits(model):
    tokens = torch.randint(2, 96, (2, 16), generator=torch.Generator().manual_seed(0))
    if model.family == "causal":
        return model.logits(model.hidden_states(tokens))
    return model.logits(model.decode(tokens, model.encode(tokens)))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("architecture", ["bloom", "mt5"])
def test_quantised_weights_are_small_and_hardly_change_the_logits(architecture, method):
    kind, method = METHODS[method]
    if "int8" not in (kind, method) or method == "llm_int8":
        pytest.importorskip("bitsandbytes", reason="the package bitsandbytes is not installed")
    model = tiny(architecture)
    with torch.no_grad():
        before = logits(model)
        change = quantise_model(model, kind, method)
        after = logits(model)
    assert change.num_matrices == {"bloom": 2 * 4, "mt5": 2 * 7 + 2 * 11}[architecture]
    assert change.bytes_after < (0.4 if kind == "int8" else 0.25) * change.bytes_before
    assert not torch.equal(after, before)
    correlation = torch.corrcoef(torch.stack([before.flatten(), after.flatten()]))[0, 1]
    assert correlation > (0.999 if kind == "int8" else 0.97)


def test_a_row_is_scaled_by_its_largest_weight():
    linear = nn.Linear(3, 2)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[1.0, -0.5, 0.25], [0.0, 0.0, 0.0]]))
        linear.bias.copy_(torch.tensor([0.5, 2.0]))
    layer = Int8Linear(linear)
    assert layer.weight.tolist() == [[127, -64, 32], [0, 0, 0]]
    torch.testing.assert_close(layer(torch.eye(3))[:, 0], torch.tensor([1.0, -64 / 127, 32 / 127]) + 0.5)
    assert layer(torch.ones(1, 3))[0, 1] == 2.0


@pytest.mark.parametrize("kind", ["nf4", "int8"])
def test_gradients_go_through_as_through_the_matrix_that_stands_for_the_numbers(kind):
    pytest.importorskip("bitsandbytes", reason="the package bitsandbytes is not installed")
    torch.manual_seed(1)
    linear = nn.Linear(40, 24)
    layer = quantised_layer(linear, kind)
    matrix = (layer(torch.eye(40)) - linear.bias).T.detach()
    ours, theirs = torch.randn(2, 5, 40, requires_grad=True), None
    theirs = ours.detach().clone().requires_grad_()
    weights = torch.randn(2, 5, 24)
    (layer(ours) * weights).sum().backward()
    (nn.functional.linear(theirs, matrix, linear.bias) * weights).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    assert not layer.state_dict().keys() - {"bias"}  # numbers are no part of checkpoints


def test_nf4_is_that_of_bitsandbytes_own_layer():
    bitsandbytes = pytest.importorskip("bitsandbytes", reason="the package bitsandbytes is not installed")
    linear = nn.Linear(64, 32)
    theirs = bitsandbytes.nn.Linear4bit(64, 32, quant_type="nf4", compress_statistics=False)
    theirs.weight = bitsandbytes.nn.Params4bit(
        linear.weight.data.clone(), requires_grad=False, quant_type="nf4", compress_statistics=False
    )
    theirs.bias = linear.bias
    inputs = torch.randn(3, 64)
    ours = Nf4Linear(linear)
    assert torch.equal(ours(inputs), theirs.to("cpu")(inputs))
    kept = ours.to(torch.bfloat16).to(torch.float32)  # scales do not lose what bf16 cannot hold
    torch.testing.assert_close(kept(inputs), theirs(inputs), atol=2e-3, rtol=0)  # the bias was rounded
    assert ours.num_bytes == 64 * 32 // 2 + 4 * 32 + 4 * 16


@pytest.mark.parametrize("kind", ["nf4", "int8"])
def test_sizes_on_the_meta_device_are_those_of_real_weights(kind):
    pytest.importorskip("bitsandbytes", reason="the package bitsandbytes is not installed")
    sizes = []
    for device in ("cpu", "meta"):
        shape = Model(architecture="bloom", hidden_size=128, num_layers=2, num_heads=4)
        model = build_model(shape, vocab_size=96, special=SpecialTokens(pad=0, eos=1, bos=None), seed=0, device=device)
        whole = model_size(model)
        model.requires_grad_(False)
        quantise_model(model, kind, "weights")
        add_adapters(model, Lora(rank=2), seed=0)
        sizes.append(model_size(model))
    assert sizes[0] == sizes[1]
    assert sizes[0].total - sizes[0].trained == whole.total
    assert sizes[0].quantised == whole.matmul_decoder
    with pytest.raises(Exception, match="not merged into quantised weights"):
        merge_adapters(model)
