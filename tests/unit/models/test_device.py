import pytest
import torch

from xmtf.errors import ConfigError
from xmtf.models.device import choose_device


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
