import pytest
import torch

from xmtf.evaluation.engine.memory import fitting_positions, positions_of


def test_positions_grow_with_memory_and_shrink_with_the_model():
    shape = {"parameters": 559_000_000, "embedding": 257_000_000, "hidden_size": 1024, "item": 4}
    some = positions_of(8 * 10**9, **shape)
    assert some == pytest.approx(4500, rel=0.05)  # the example of the docstring
    assert positions_of(16 * 10**9, **shape) == pytest.approx(2 * some, abs=1)
    assert positions_of(8 * 10**9, **{**shape, "item": 2}) == pytest.approx(2 * some, abs=1)
    assert positions_of(0, **shape) == 512
    assert positions_of(10**15, **shape) == 65_536


def test_a_small_model_on_a_processor_gets_what_is_fast(causal):
    assert isinstance(causal, torch.nn.Module)
    assert fitting_positions(causal) == 8192
