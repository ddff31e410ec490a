"""bf16 products computed in fp32, against bf16's definition and against torch's own."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from xmtf.training.numerics import precision
from xmtf.training.numerics.bf16 import ProductsInFp32
from xmtf.training.numerics.precision import computing

CPU = torch.device("cpu")
HALF_UNIT = 2**-8
"""Greatest relative error of one rounding to bf16, whose significand has eight bits."""


def draw(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape))).bfloat16()


@pytest.fixture
def no_instructions(monkeypatch):
    monkeypatch.setattr(precision, "has_bf16", lambda device: False)


PRODUCTS = {
    "mm": (lambda a, b: a @ b, (5, 70), (70, 9)),
    "bmm": (torch.bmm, (3, 5, 70), (3, 70, 9)),
    "linear": (functional.linear, (2, 5, 70), (9, 70)),
    "addmm": (lambda a, b: torch.addmm(b[:5, :9], a, b, beta=0.5, alpha=2.0), (5, 70), (70, 9)),
    "addmm in place": (lambda a, b: b[:5, :9].clone().addmm_(a, b, alpha=2.0), (5, 70), (70, 9)),
    "baddbmm": (lambda a, b: torch.baddbmm(b[:, :5, :9], a, b, beta=0.5), (3, 5, 70), (3, 70, 9)),
    "einsum": (lambda a, b: torch.einsum("bqd,bdk->bqk", a, b), (3, 5, 70), (3, 70, 9)),
}


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("name", PRODUCTS)
def test_a_product_is_the_exact_one_rounded_once(name, mode):
    function, *shapes = PRODUCTS[name]
    operands = [draw(*shape) for shape in shapes]
    exact = function(*(operand.double() for operand in operands))
    with mode(), ProductsInFp32():
        result = function(*operands)
    assert result.dtype == torch.bfloat16
    torch.testing.assert_close(result.double(), exact, rtol=HALF_UNIT, atol=1e-5)


def test_a_product_in_place_stays_where_it_was():
    total = draw(5, 9)
    with ProductsInFp32():
        assert total.addmm_(draw(5, 70), draw(70, 9)) is total


def test_fp32_and_other_operations_are_left_alone():
    a, b = draw(5, 70).float(), draw(70, 9).float()
    with ProductsInFp32():
        assert torch.equal(a @ b, torch.mm(a, b))
        assert torch.equal(draw(5, 70) + 1, draw(5, 70).add(1))
        assert (a @ b).dtype == torch.float32


def test_attention_and_its_gradient_are_near_those_of_fp32():
    def run(*tensors):
        leaves = [tensor.detach().clone().requires_grad_() for tensor in tensors]
        output = functional.scaled_dot_product_attention(*leaves, attn_mask=bias.to(leaves[0].dtype))
        output.sum().backward()
        return [output, *(leaf.grad for leaf in leaves)]

    tensors, bias = [draw(2, 3, 11, 8) for _ in range(3)], draw(2, 3, 11, 11)
    exact = run(*(tensor.double() for tensor in tensors))
    with ProductsInFp32():
        result = run(*tensors)
    for part, reference in zip(result, exact, strict=True):
        assert part.dtype == torch.bfloat16
        torch.testing.assert_close(part.double(), reference, rtol=0.02, atol=0.02)


@pytest.mark.usefixtures("no_instructions")
@pytest.mark.parametrize("kind", ["bf16", "bf16_pure"])
def test_training_in_bf16_gives_torchs_own_numbers_to_a_rounding(kind):
    torch.manual_seed(0)
    dtype = torch.bfloat16 if kind == "bf16_pure" else torch.float32
    network = nn.Sequential(nn.Linear(24, 40), nn.GELU(), nn.Linear(40, 7)).to(dtype)
    inputs = draw(6, 24).to(dtype)

    def gradients(context):
        network.zero_grad()
        with context:
            network(inputs).float().square().sum().backward()
        return [parameter.grad.float() for parameter in network.parameters()]

    own = gradients(torch.autocast("cpu", torch.bfloat16, enabled=kind == "bf16"))
    for ours, reference in zip(gradients(computing(kind, CPU)), own, strict=True):
        torch.testing.assert_close(ours, reference, rtol=0.03, atol=0.03 * float(reference.abs().max()))


@pytest.mark.parametrize(("kind", "has", "imitates"), [("bf16", False, 1), ("bf16", True, 0), ("fp32", False, 0)])
def test_products_are_imitated_only_where_a_processor_has_none(kind, has, imitates, monkeypatch):
    monkeypatch.setattr(precision, "has_bf16", lambda device: has)
    entered = []
    monkeypatch.setattr(ProductsInFp32, "__enter__", lambda self: entered.append(self))
    monkeypatch.setattr(ProductsInFp32, "__exit__", lambda self, *error: None)
    with computing(kind, CPU):
        assert len(entered) == imitates
