import pytest
import torch
from torch.nn.functional import cross_entropy

from xmtf.training.loss.head import Head


def reference(model, hidden, labels, weights, z_loss=0.0):
    hidden = hidden.clone().requires_grad_()
    logits = model.logits(hidden)
    nll = cross_entropy(logits, labels, reduction="none")
    (weights * (nll + z_loss * logits.logsumexp(-1) ** 2)).sum().backward()
    return nll.detach(), hidden.grad, model.head_weight().grad


def inputs(model, count=7):
    torch.manual_seed(1)
    return (
        torch.randn(count, model.hidden_size),
        torch.randint(model.vocab_size, (count,)),
        torch.rand(count),
    )


@pytest.mark.parametrize("logit_scale", [1.0, 0.5])
@pytest.mark.parametrize("z_loss", [0.0, 0.1])
@pytest.mark.parametrize("positions_at_once", [1, 3, 100])
def test_losses_and_gradients_are_those_of_plain_cross_entropy(tiny_model, logit_scale, z_loss, positions_at_once):
    model, other = tiny_model(logit_scale=logit_scale), tiny_model(logit_scale=logit_scale)
    nll, gradient, weight_gradient = reference(other, *inputs(model), z_loss)
    head = Head(model, z_loss, chunk_bytes=4 * model.vocab_size * positions_at_once)
    result = head.loss(*inputs(model))
    torch.testing.assert_close(result.nll, nll)
    torch.testing.assert_close(result.gradient, gradient)
    torch.testing.assert_close(model.head_weight().grad, weight_gradient)


def test_gradients_add_up(tiny_model):
    model, other = tiny_model(), tiny_model()
    reference(other, *inputs(model))
    reference(other, *inputs(model))
    head = Head(model)
    head.loss(*inputs(model))
    head.loss(*inputs(model))
    torch.testing.assert_close(model.head_weight().grad, other.head_weight().grad)


def test_measuring_leaves_no_gradient(tiny_model):
    model = tiny_model()
    result = Head(model).loss(*inputs(model), backward=False)
    torch.testing.assert_close(result.nll, reference(tiny_model(), *inputs(model))[0])
    assert result.gradient is None
    assert model.head_weight().grad is None


def test_no_predicted_position_is_no_loss(tiny_model):
    model = tiny_model()
    for logit_scale in (1.0, 0.5):
        result = Head(tiny_model(logit_scale=logit_scale)).loss(*inputs(model, 0))
        assert result.nll.shape == (0,)
        assert result.gradient.shape == (0, model.hidden_size)


def test_bf16_products_give_fp32_losses_and_gradients(tiny_model):
    model = tiny_model(vocab_size=50)
    nll, _, weight_gradient = reference(tiny_model(vocab_size=50), *inputs(model))
    result = Head(model, compute_dtype=torch.bfloat16).loss(*inputs(model))
    assert result.nll.dtype == model.head_weight().grad.dtype == torch.float32
    torch.testing.assert_close(result.nll, nll, rtol=0.02, atol=0.02)
    torch.testing.assert_close(model.head_weight().grad, weight_gradient, rtol=0.05, atol=0.02)


def test_a_frozen_head_gets_no_gradient(tiny_model):
    model = tiny_model()
    model.head_weight().requires_grad_(False)
    result = Head(model).loss(*inputs(model))
    torch.testing.assert_close(result.gradient, reference_hidden(tiny_model(), *inputs(model)))
    assert model.head_weight().grad is None


def reference_hidden(model, hidden, labels, weights):
    return reference(model, hidden, labels, weights)[1]
