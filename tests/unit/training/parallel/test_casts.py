"""Copies of slices that the micro-batches of a step share."""

import weakref

import torch
from torch import nn
from torch.nn import functional

from xmtf.parallel.casts import StepCasts


def test_micro_batches_share_a_copy_until_the_weights_change():
    torch.manual_seed(0)
    casts, matrix = StepCasts(), nn.Parameter(torch.randn(3, 2))
    inputs = torch.randn(4, 2)

    def used():
        return casts.cast(matrix, matrix.view_as(matrix))

    assert used() is not matrix
    assert used().dtype == torch.float32  # nothing is cast outside autocast
    with torch.autocast("cpu", dtype=torch.bfloat16):
        first, second = used(), used()
        assert first.dtype == torch.bfloat16
        assert first.data_ptr() == second.data_ptr()
        for each in (first, second):
            functional.linear(inputs, each).float().sum().backward()
        shared, matrix.grad = matrix.grad, None
        for _ in range(2):
            functional.linear(inputs, matrix.view_as(matrix)).float().sum().backward()
        assert torch.equal(shared, matrix.grad)
        assert matrix.grad.dtype == torch.float32
        with torch.no_grad():
            assert used().dtype == torch.float32  # what only reads does not remember
            matrix.mul_(2)
        assert torch.equal(used(), 2 * first)
        remembered = weakref.ref(casts._known[matrix][1])
        casts.forget()
        del first, second, each
        assert remembered() is None
