"""Dropout, recomputation, in-place gradients, precision: what training may switch on."""

import pytest
import torch

from xmtf.models.bloom import Bloom
from xmtf.models.layers.tied import embed


def forward(model, tokens):
    if isinstance(model, Bloom):
        return model.logits(model.hidden_states(tokens))
    return model.logits(model.decode(tokens, model.encode(tokens)))


@pytest.fixture(params=["bloom", "mt5"])
def model(request):
    return request.getfixturevalue(request.param)


TOKENS = torch.tensor([[5, 9, 5, 7, 20], [8, 8, 3, 4, 5]])


def gradients(model, **switches):
    for name, value in switches.items():
        setattr(model, name, value)
    model.zero_grad()
    torch.manual_seed(3)
    forward(model, TOKENS).logsumexp(-1).square().mean().backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def test_embedding_gradient_lands_in_the_rows_looked_up():
    weight = torch.nn.Parameter(torch.zeros(4, 2))
    a, b, c = [1.0, 2.0], [10.0, 20.0], [100.0, 200.0]
    embed(torch.tensor([2, 0, 2]), weight, in_place=True).backward(torch.tensor([a, b, c]))
    assert weight.grad.tolist() == [b, [0, 0], [101.0, 202.0], [0, 0]]


def test_gradients_in_place_equal_autograd_and_add_up(model):
    plain = gradients(model)
    in_place = gradients(model, accumulate_in_place=True)
    for name, gradient in plain.items():
        torch.testing.assert_close(in_place[name], gradient, rtol=1e-5, atol=1e-7)
    forward(model, TOKENS).logsumexp(-1).square().mean().backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, 2 * plain[name], rtol=1e-5, atol=1e-7)


def test_recomputed_activations_give_the_same_gradients_with_dropout(model):
    model.train()
    kept = gradients(model, dropout=0.2)
    recomputed = gradients(model, dropout=0.2, activation_checkpointing=True)
    for name, gradient in kept.items():
        assert torch.equal(recomputed[name], gradient), name


def test_dropout_acts_in_training_mode_alone(model):
    model.dropout = 0.5
    assert torch.equal(forward(model, TOKENS), forward(model, TOKENS))
    model.train()
    assert not torch.equal(forward(model, TOKENS), forward(model, TOKENS))


@torch.no_grad()
def test_bf16_autocast_stays_close_and_finite_with_padding(model):
    expected = forward(model, TOKENS)
    with torch.autocast("cpu", torch.bfloat16):
        got = forward(model, TOKENS)
        if isinstance(model, Bloom):
            ids = torch.tensor([[1, 1, 2, 2, 0], [0, 0, 0, 0, 0]])
            assert torch.isfinite(model.hidden_states(TOKENS, segment_ids_RT=ids)).all()
    spread = float(expected.std())
    assert float((got.float() - expected).abs().max()) < 0.25 * spread


def test_pure_bf16_runs(model):
    model = model.to(torch.bfloat16)
    logits = forward(model, TOKENS)
    assert logits.dtype == torch.bfloat16
    logits.float().logsumexp(-1).mean().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())
