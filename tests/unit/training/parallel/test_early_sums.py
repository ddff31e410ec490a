"""Sums that begin within the last backward pass: when, in which order, and that nothing is left out or added later."""

import pytest
import torch
from torch import nn

from xmtf.training.parallel.early_sums import EarlySums


class Doubling:
    """Two processes with equal gradients, as one of them sees it; remembers when a sum began."""

    def __init__(self):
        self.begun = []
        self.waited = 0

    def begin_add(self, tensor):
        self.begun.append(tensor)
        tensor.mul_(2)
        return self

    def wait(self):
        self.waited += 1


def chain():
    torch.manual_seed(0)
    return nn.Sequential(*(nn.Linear(3, 3, bias=False) for _ in range(3)))


def test_sums_begin_within_the_last_backward_pass_the_last_layer_first():
    model, ranks = chain(), Doubling()
    early = EarlySums(model.parameters(), ranks)
    inputs = torch.randn(4, 3)
    early.before_backward(False)
    model(inputs).sum().backward()
    assert not ranks.begun
    once = [each.weight.grad.clone() for each in model]
    early.before_backward(True)
    model(inputs).sum().backward()
    assert [each.data_ptr() for each in ranks.begun] == [each.weight.grad.data_ptr() for each in reversed(model)]
    assert ranks.waited == 0
    early.finish()
    assert ranks.waited == 3
    for each, gradient in zip(model, once, strict=True):
        torch.testing.assert_close(each.weight.grad, 4 * gradient)


def test_sums_begin_before_the_pass_is_over_under_autocast_too():
    """Autocast remembers its copies for several micro-batches, and with them the place of their gradients."""
    model, ranks = chain(), Doubling()
    early = EarlySums(model.parameters(), ranks)
    begun_before_the_first_layer = []
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for last in (False, False, True):
            early.before_backward(last)
            first = model[0](torch.randn(4, 3))
            first.register_hook(lambda _: begun_before_the_first_layer.append(len(ranks.begun)))
            loss = model[2](model[1](first)).float().sum()
            with torch.autocast("cpu", enabled=False):
                loss.backward()
    assert begun_before_the_first_layer == [0, 0, 2]


def test_a_gradient_that_is_ready_before_its_turn_waits():
    """Every process begins the same sums in the same order, whatever its own backward pass reaches first."""
    first, second = (nn.Parameter(torch.ones(2)) for _ in range(2))
    ranks = Doubling()
    early = EarlySums([first, second], ranks)
    early.before_backward(True)
    first.sum().backward()
    assert not ranks.begun
    second.sum().backward()
    assert [each.data_ptr() for each in ranks.begun] == [second.grad.data_ptr(), first.grad.data_ptr()]


def test_what_no_backward_pass_reached_is_summed_as_zeros():
    model, ranks = chain(), Doubling()
    early = EarlySums(model.parameters(), ranks)
    early.before_backward(True)
    model[1](torch.randn(4, 3)).sum().backward()
    early.finish()
    assert len(ranks.begun) == 3
    assert [bool(each.weight.grad.any()) for each in model] == [False, True, False]
    ranks.begun.clear()
    model[1](torch.randn(4, 3)).sum().backward()  # nothing says that it is the last
    assert not ranks.begun


def test_a_gradient_that_is_added_to_after_its_sum_has_begun_is_an_error():
    model = chain()
    early = EarlySums(model.parameters(), Doubling())
    early.before_backward(True)
    model(torch.randn(4, 3)).sum().backward()
    with pytest.raises(RuntimeError, match="already begun"):
        model(torch.randn(4, 3)).sum().backward()
