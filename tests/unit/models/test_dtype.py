"""What a model is computed in, and what exports are written in."""

import pytest
import torch

from xmtf.errors import ConfigError
from xmtf.models import dtype as dtypes
from xmtf.models import load_model, save_model
from xmtf.models.dtype import bf16_gain, choose_dtype, stored_dtype

CPU = torch.device("cpu")


@pytest.fixture
def saved(tiny_model, tmp_path):
    """Return a function that stores a tiny model in a number format."""

    def make(dtype, family="causal"):
        ref = tiny_model(tmp_path / "fp32", family)
        save_model(load_model(ref).model, tmp_path / "out", tokenizer=None, dtype=dtype)
        return str(tmp_path / "out")

    return make


@pytest.mark.parametrize("has", [True, False])
@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16, torch.float16])
def test_auto_is_what_weights_are_stored_in_and_fp16_is_computed_in_bf16(saved, monkeypatch, stored, has):
    monkeypatch.setattr(dtypes, "has_bf16", lambda device: has)
    ref = saved(stored)
    assert stored_dtype(ref) == stored
    small = torch.bfloat16 if has else torch.float32
    assert choose_dtype("auto", ref, CPU) == (torch.float32 if stored is torch.float32 else small)
    assert choose_dtype("bf16", ref, CPU) == torch.bfloat16
    assert choose_dtype("fp16", ref, CPU) == torch.float16


def test_the_t5_family_is_never_computed_in_fp16(saved, monkeypatch):
    monkeypatch.setattr(dtypes, "has_bf16", lambda device: True)
    ref = saved(torch.float16, "encoder-decoder")
    assert choose_dtype("auto", ref, CPU) == torch.bfloat16
    with pytest.raises(ConfigError, match=r"fp16.*T5 family.*bf16 or fp32"):
        choose_dtype("fp16", ref, CPU)


def test_a_weight_beyond_fp16_is_refused(tiny_model, tmp_path):
    model = load_model(tiny_model(tmp_path / "fp32")).model
    with torch.no_grad():
        next(iter(model.parameters())).view(-1)[0] = -70_000
    save_model(model, tmp_path / "bf16", tokenizer=None, dtype=torch.bfloat16)
    with pytest.raises(ConfigError, match=r"70,000.*maximum 65,504 of float16"):
        save_model(model, tmp_path / "fp16", tokenizer=None, dtype=torch.float16)


def test_the_gain_of_bf16_is_measured():
    assert bf16_gain() > 0
