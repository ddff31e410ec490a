"""Files written tensor by tensor have the bytes that the library writes."""

import hashlib

import pytest
import torch
from safetensors.torch import save_file

from xmtf.models.files.streamed import ToWrite, write_streamed
from xmtf.models.files.weights import plan_weight_files, write_weights

TENSORS = {
    "b.weight": torch.arange(6.0).reshape(2, 3),
    "a.weight": torch.arange(5).to(torch.bfloat16),
    "c": torch.zeros(0, 4),
    "größe": torch.tensor(2.0),
}


def test_the_bytes_are_those_of_the_library(tmp_path):
    save_file(TENSORS, tmp_path / "theirs", metadata={"format": "pt"})
    wanted = {name: ToWrite(tensor.dtype, tuple(tensor.shape)) for name, tensor in TENSORS.items()}
    found = write_streamed(tmp_path / "ours", wanted, TENSORS.__getitem__)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    assert found == hashlib.sha256((tmp_path / "theirs").read_bytes()).hexdigest()


@pytest.mark.parametrize("most", [1, 4, 24, 30, 10**9])
def test_files_are_planned_as_they_are_written(tmp_path, most):
    planned = plan_weight_files({name: tensor.nbytes for name, tensor in TENSORS.items()}, most)
    assert list(planned) == [name for name in write_weights(tmp_path, TENSORS, shard_bytes=most) if "index" not in name]
    assert [key for keys in planned.values() for key in keys] == list(TENSORS)
