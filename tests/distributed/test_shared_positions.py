"""What tensor-parallel processes share: dropout's masks, and caches of torch that shapes must not fill."""

import pytest
import torch
from tiny_training import make_llama, make_loop, make_neox, make_qwen3, size
from torch.distributed.tensor import DTensor
from torch.nn import functional

WIDTHS = {"bloom": 132, "mt5": 132, "neox": 36}


def masks(ranks, folder, architecture):
    """Return what a step drops of hidden states, call after call, and its loss."""
    loop = make_loop(ranks, folder, architecture, "TP x2", global_batch_rows=2, model={"dropout": 0.5})
    plain, found = functional.dropout, []

    def recording(inputs, p=0.5, training=True, inplace=False):
        mask = plain(torch.ones_like(inputs), p, training)
        if training and inputs.shape[-1] == WIDTHS[architecture]:
            found.append(mask.detach() > 0)
        return inputs * mask

    functional.dropout = recording
    try:
        outcome = loop.step(0, loop.feed.get(0))
    finally:
        functional.dropout = plain
        loop.feed.close()
    return found, outcome.loss


@pytest.mark.parametrize("architecture", ["bloom", "mt5"])
def test_shared_positions_are_dropped_by_different_masks(processes, tmp_path, architecture):
    (first, _), (second, _) = processes(2, masks, tmp_path, architecture)
    assert len(first) == len(second) >= 2 * 7  # micro-batches; the embedding, and two of each of three blocks
    for here, there in zip(first, second, strict=True):
        assert here.shape == there.shape
        assert 0.3 < here.float().mean() < 0.7
        assert not torch.equal(here, there)


def test_whole_activations_are_dropped_by_the_same_mask(processes, tmp_path):
    (first, loss), (second, other) = processes(2, masks, tmp_path, "neox")
    assert len(first) >= 2 * 4
    for here, there in zip(first, second, strict=True):
        assert 0.3 < here.float().mean() < 0.7
        assert torch.equal(here, there)
    assert loss == other


@pytest.mark.parametrize(("make", "shares"), [(make_llama, True), (make_qwen3, True), (make_neox, False)])
def test_a_network_of_an_embedding_blocks_and_a_norm_shares_positions(make, shares):
    assert make().shares_positions is shares


def misses(ranks, folder, architecture, layout):
    """Return how many operations torch had to work out, and remembers, after the first step, and after four more."""
    loop = make_loop(ranks, folder, architecture, layout)
    found = []
    for step in range(5):
        loop.step(step, loop.feed.get(step))
        in_python = DTensor._op_dispatcher.sharding_propagator.propagate_op_sharding.cache_info().currsize
        found.append(in_python + torch._C._get_DTensor_sharding_propagator_cache_stats()[1])
    loop.feed.close()
    return found


@pytest.mark.parametrize(("architecture", "layout"), [("bloom", "TP x2"), ("mt5", "TP x2"), ("bloom", "FSDP2 x TP x4")])
def test_shapes_of_documents_are_not_remembered(processes, tmp_path, architecture, layout):
    """Micro-batches have other numbers of positions, each: what is remembered must not depend on them."""
    for found in processes(size(layout), misses, tmp_path, architecture, layout):
        assert 0 < found[0] < 40
        assert found[-1] == found[0]


def checked_head(ranks, folder):
    loop = make_loop(ranks, folder, "qwen3", "TP x2")
    loop.feed.close()
    loop.step.model.train()
    loop.step.model.check_head()
    return loop.step.model.training


def test_the_head_is_checked_on_a_number_of_tokens_that_processes_cannot_share(processes, tmp_path):
    assert processes(2, checked_head, tmp_path) == [True, True]
