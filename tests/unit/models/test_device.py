from pathlib import Path

import pytest
import torch

from xmtf.errors import ConfigError
from xmtf.models import parity
from xmtf.models.device import choose_device
from xmtf.models.dtype import has_bf16
from xmtf.recipe import load_recipe
from xmtf.training.start import check_machine


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cuda:99", ""])
def test_a_device_that_is_not_there_is_refused_by_the_name_of_its_option(device):
    with pytest.raises(ConfigError, match=f"--device {device}: "):
        choose_device(device)
    with pytest.raises(ConfigError, match=f"training.device {device}: "):
        choose_device(device, "training.device")


def test_a_device_that_is_there_is_taken(monkeypatch):
    assert choose_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [str(choose_device(name)) for name in ("auto", "cuda", "cuda:1")] == ["cuda", "cuda", "cuda:1"]


@pytest.fixture
def mac(monkeypatch):
    """A double of a Mac: torch says that there is a GPU; what it computes is the CPU's, times ``factor``."""
    of_cpu = parity._computed

    def told(factor):
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
        monkeypatch.setattr(
            parity,
            "_computed",
            lambda device: [factor(part) if device.type == "mps" else part for part in of_cpu(torch.device("cpu"))],
        )
        parity.parity.cache_clear()

    yield told
    parity.parity.cache_clear()


def test_the_gpu_of_a_mac_is_taken_on_request_where_it_computes_what_the_cpu_does(mac, monkeypatch):
    with pytest.raises(ConfigError, match="--device mps: torch finds no GPU of a Mac here"):
        choose_device("mps")
    mac(lambda part: part * (1 + 1e-5))
    assert str(choose_device("mps")) == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert str(choose_device("auto")) == "cpu"  # never unasked
    assert not has_bf16(torch.device("mps"))


@pytest.mark.parametrize("factor", [lambda part: part * 1.01, lambda part: part * float("nan"), torch.zeros_like])
def test_the_gpu_of_a_mac_that_computes_something_else_is_refused(mac, factor):
    mac(factor)
    with pytest.raises(ConfigError, match=r"training\.device mps: this GPU does not compute what the CPU computes"):
        choose_device("mps", "training.device")


def test_a_device_without_an_operation_is_infinitely_far_and_says_why(monkeypatch):
    assert parity.parity(torch.device("cpu")).deviation == 0.0
    parity.parity.cache_clear()
    of_cpu = parity._computed

    def lacking(device):
        if device.type == "meta":
            raise NotImplementedError("no such operation")
        return of_cpu(device)

    monkeypatch.setattr(parity, "_computed", lacking)
    found = parity.parity(torch.device("meta"))
    assert (found.holds, str(found)) == (False, "no such operation")
    parity.parity.cache_clear()


def test_training_on_the_gpu_of_a_mac_is_in_fp32_and_in_one_process(mac, monkeypatch):
    mac(lambda part: part)
    training = load_recipe(Path("demo"), ["training.device=mps", "training.precision=bf16"]).recipe.training
    with pytest.raises(ConfigError, match=r"training\.precision: bf16 is not supported on mps"):
        check_machine(training)
    check_machine(training.model_copy(update={"precision": "fp32"}))
