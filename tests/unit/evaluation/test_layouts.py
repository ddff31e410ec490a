"""How GPUs can hold a model that is only read: what fits, in which order, and a batch rehearsed without weights."""

from dataclasses import replace

import pytest
import torch

from xmtf.errors import ConfigError, UnknownNameError
from xmtf.evaluation.layouts import plan_reading, read_dims, rehearse_reading
from xmtf.models import SpecialTokens, build_model
from xmtf.parallel.topology.gpus import GpuPool, find_gpu
from xmtf.parallel.topology.parallel_dims import ParallelDims
from xmtf.recipe.schema import Model

POOL = GpuPool(find_gpu("a100"), 4, 80e9)


def shape(architecture="bloom"):
    config = Model(architecture=architecture, hidden_size=64, num_layers=6, num_heads=4)
    return build_model(config, vocab_size=512, special=SpecialTokens(pad=0, eos=1, bos=None), seed=0, device="meta")


def test_layouts_that_fit_come_first_with_most_copies():
    found = plan_reading(shape, torch.bfloat16, POOL)
    assert [(each.dims.dp_replicate, each.dims.pp, each.dims.tp) for each in found] == [
        *((4, 1, 1), (2, 1, 2), (2, 2, 1)),
        *((1, 1, 4), (1, 2, 2), (1, 4, 1)),
    ]
    assert all(each.fits for each in found)
    whole = 2 * sum(parameter.numel() for parameter in shape().parameters())
    assert found[0].weights == whole
    assert whole / 2 <= found[1].weights < 0.52 * whole  # vectors are whole in every process
    # one that is too small for the model whole
    small = replace(POOL, memory=1.2 * whole + 5e6)
    assert not any(each.fits for each in plan_reading(shape, torch.bfloat16, small))


def test_only_bloom_is_cut_into_stages():
    found = plan_reading(lambda: shape("mt5"), torch.bfloat16, POOL)
    assert {each.dims.pp for each in found} == {1}
    with pytest.raises(ConfigError, match=r"pp: only causal models can be split into pipeline stages, not MT5"):
        rehearse_reading(lambda: shape("mt5"), torch.bfloat16, POOL, ParallelDims(pp=2))
    with pytest.raises(ConfigError, match="encoders read segments as numbers"):
        rehearse_reading(lambda: shape("mt5"), torch.bfloat16, POOL, ParallelDims(tp=2))


@pytest.mark.parametrize(("tp", "pp"), [(2, 1), (2, 2)])
def test_a_batch_is_rehearsed_by_the_code_of_the_engine(tp, pp):
    dims = ParallelDims(pp=pp, dp_replicate=4 // (tp * pp), tp=tp)
    rehearsed = rehearse_reading(shape, torch.float32, POOL, dims)
    assert [one.rank for one in rehearsed.stages] == ([0] if pp == 1 else [0, tp])
    assert max(one.weights for one in rehearsed.stages) == pytest.approx(rehearsed.layout.weights, rel=0.02)
    for one in rehearsed.stages:
        assert one.peak > one.weights
        assert {each.axis for each in one.exchanges} == ({"tp"} if pp == 1 else {"tp", "pp"})
    if pp == 1:
        [one] = rehearsed.stages
        [summed] = one.exchanges
        passes, blocks, sums = 2, 6, 3  # the prompts, then their choices; the embedding and two sums a block
        # over the vocabulary: the greatest logit, the sum of exponentials, what was asked for; never all logits
        assert summed.count == passes * (1 + 2 * blocks) + sums


def test_a_layout_is_read_as_it_is_written():
    assert read_dims("pp=2, tp=4", 16) == ParallelDims(pp=2, dp_replicate=2, tp=4)
    with pytest.raises(UnknownNameError):
        read_dims("dp_shard=2", 8)
    for text in ("tp=0", "tp=x", "tp=2 tp=2", "tp=3"):
        with pytest.raises(ConfigError, match="--layout"):
            read_dims(text, 8)
    with pytest.raises(ConfigError, match="whole in each process is not rehearsed"):
        rehearse_reading(shape, torch.bfloat16, POOL, ParallelDims(dp_replicate=4))
