"""Switches of the recipe on the model that training starts from."""

import sys

import pytest
import torch

from xmtf.errors import ConfigError, MissingExtraError
from xmtf.models import SpecialTokens, build_model, load_model, save_model
from xmtf.models.dtype import has_bf16
from xmtf.recipe.schema import Model, Training
from xmtf.training.start import check_machine, start_model

SHAPE = {"hidden_size": 24, "num_layers": 2, "num_heads": 3}


def saved(folder, architecture):
    shape = Model(architecture=architecture, **SHAPE)
    save_model(build_model(shape, vocab_size=60, special=SpecialTokens(0, 1), seed=1), folder, tokenizer=None)
    return str(folder)


@torch.no_grad()
def test_absolute_alibi_is_the_same_in_fp32_differs_in_bf16_and_stays_in_the_export(tmp_path):
    reference = saved(tmp_path / "base", "bloom")
    relative = load_model(reference).model
    absolute = start_model(reference, Model(base=reference, absolute_alibi=True), seed=0).model
    tokens = torch.randint(4, 60, (1, 700))
    torch.testing.assert_close(absolute.hidden_states(tokens), relative.hidden_states(tokens), rtol=1e-4, atol=1e-4)
    save_model(absolute, tmp_path / "again", tokenizer=None)
    again = load_model(str(tmp_path / "again")).model
    bf16 = [model.bfloat16().hidden_states(tokens)[0, -1].float() for model in (relative, absolute, again)]
    assert torch.equal(bf16[1], bf16[2])
    assert not torch.equal(bf16[0], bf16[1])


def test_absolute_alibi_is_refused_of_other_models(tmp_path):
    reference = saved(tmp_path, "mt5")
    with pytest.raises(ConfigError, match="only BLOOM has ALiBi"):
        start_model(reference, Model(base=reference, absolute_alibi=True), seed=0)


def test_what_the_machine_cannot_do_is_refused_before_anything_is_loaded(monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for training, error, message in (
        ({"optimizer": {"name": "adamw_8bit"}}, MissingExtraError, r"needs the package `bitsandbytes`.*xmtf\[gpu\]"),
        ({"attention": "flex"}, ConfigError, "no backward pass on CPUs"),
        ({"device": "cuda"}, ConfigError, "training.device cuda: torch finds no GPUs"),
    ):
        with pytest.raises(error, match=message):
            check_machine(Training(steps=1, **training))


def test_bf16_on_a_processor_that_imitates_it_is_said_to_be_slow(monkeypatch, capsys):
    monkeypatch.delenv("XMTF_PROGRESS", raising=False)
    for has, precision, said in ((False, "bf16", True), (True, "bf16", False), (False, "fp32", False)):
        monkeypatch.setattr("xmtf.training.start.has_bf16", lambda device, has=has: has)
        check_machine(Training(steps=1, device="cpu", precision=precision))
        assert ("has no bf16 instructions; fp32 is faster" in capsys.readouterr().err) == said


def test_whether_this_processor_has_bf16_can_be_told():
    assert isinstance(has_bf16(torch.device("cpu")), bool)
