from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import _get_current_dispatch_mode

from xmtf.models import ModelSize
from xmtf.training.loop import mfu
from xmtf.training.loop.mfu import Meter, attended_pairs, peak_flops
from xmtf.training.loop.step import GlobalBatch
from xmtf.training.numerics import precision
from xmtf.training.numerics.bf16 import ProductsInFp32

SIZE = ModelSize(
    embedding=0, head=0, body=0, matmul_decoder=100, matmul_encoder=10, attention_decoder=4, attention_encoder=2,
    head_size=50,
)  # fmt: skip


def test_attended_pairs_worked_example():
    segments = np.array([[1, 1, 1, 2, 2, 0]], np.int32)
    assert attended_pairs(segments, segments, causal=True) == 6 + 3
    assert attended_pairs(segments, segments, causal=False) == 9 + 4


def test_cross_attention_pairs_match_segments_row_by_row():
    decoder = np.array([[1, 1, 2], [1, 0, 0]], np.int32)
    encoder = np.array([[1, 2, 2, 2], [1, 1, 1, 1]], np.int32)
    assert attended_pairs(decoder, encoder, causal=False) == (2 * 1 + 1 * 3) + 4


def test_operations_of_a_causal_step_by_hand():
    rows = SimpleNamespace(segment_ids=np.array([[1, 1, 1, 2, 2, 2, 0]], np.int32), is_input=None)
    targets = SimpleNamespace(positions=np.array([1, 4]))
    flops = Meter(SIZE, 1.0).flops(GlobalBatch([rows], [targets], [1.0]))
    # 6 positions x 2 x 100, 12 pairs x 4, 2 predicted x 2 x 50; the backward pass doubles again
    assert flops == pytest.approx(3 * (6 * 200 + 12 * 4 + 2 * 100))


def test_mfu_is_a_share_of_the_peak():
    assert Meter(SIZE, peak=100.0).mfu(flops=50.0, seconds=2.0) == pytest.approx(0.25)
    assert peak_flops(torch.device("cpu"), "fp32") > 1e8


@pytest.mark.parametrize(("kind", "dtype"), [("bf16", torch.bfloat16), ("bf16_pure", torch.bfloat16)])
def test_the_peak_is_measured_as_training_computes(kind, dtype, monkeypatch):
    monkeypatch.setattr(precision, "has_bf16", lambda device: False)
    seen = []
    monkeypatch.setattr(mfu, "_measured", lambda device, dtype: seen.append((_get_current_dispatch_mode(), dtype)))
    peak_flops(torch.device("cpu"), kind)
    ((mode, measured),) = seen
    assert isinstance(mode, ProductsInFp32)
    assert measured == dtype
