import numpy as np
import torch
import xxhash
from safetensors import safe_open
from safetensors.torch import load_file

from xmtf.parallel.topology.ranks import ALONE
from xmtf.training.checkpoint.shard_file import write_shard_file
from xmtf.training.checkpoint.shards import Shard, ShardReader, write_shards

TENSORS = {
    "flags": torch.tensor([True, False, True]),
    "half": torch.arange(5, dtype=torch.bfloat16),
    "steps": torch.tensor(7.0),
    "columns": torch.arange(12.0).reshape(3, 4).T[1:],
    "count": torch.tensor([2**40, -1]),
    "eight": torch.arange(7, dtype=torch.uint8),
}


def test_safetensors_reads_what_was_written_and_the_hash_is_of_the_file(tmp_path):
    path = tmp_path / "a.safetensors"
    digest = write_shard_file(path, {name: (tensor, [0] * tensor.ndim) for name, tensor in TENSORS.items()})
    assert digest == xxhash.xxh3_128(path.read_bytes()).hexdigest()
    found = load_file(path)
    assert found.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor), name
    with safe_open(path, "pt") as file:
        assert file.metadata()["format"] == "pt"


def test_the_bytes_are_aligned(tmp_path):
    path = tmp_path / "a.safetensors"
    write_shard_file(path, {name: (tensor, [0] * tensor.ndim) for name, tensor in TENSORS.items()})
    with safe_open(path, "pt") as file:
        for name, tensor in TENSORS.items():
            assert file.get_tensor(name).data_ptr() % tensor.dtype.itemsize == 0


def test_pieces_of_one_tensor_are_put_together(tmp_path):
    whole = torch.arange(24.0).reshape(4, 6)
    write_shard_file(tmp_path / "shard-00001.safetensors", {"w": (whole[:, :4], [0, 0])})
    write_shard_file(tmp_path / "shard-00002.safetensors", {"w": (whole[:, 4:], [0, 4])})
    reader = ShardReader(tmp_path)
    assert torch.equal(reader.whole("w"), whole)
    part = torch.empty(2, 3)
    reader.fill({"w": Shard(part, (1, 2), (4, 6))})
    assert torch.equal(part, whole[1:3, 2:5])


def test_no_copy_of_all_pieces_is_made(tmp_path, monkeypatch):
    """What is written at a time is one tensor, and it shares memory with the piece."""
    written = []
    hash_type = xxhash.xxh3_128

    class Hash:
        def __init__(self):
            self.hash = hash_type()

        def update(self, block):
            written.append(block)
            self.hash.update(block)

        def hexdigest(self):
            return self.hash.hexdigest()

    monkeypatch.setattr(xxhash, "xxh3_128", Hash)
    shards = {name: Shard.whole(torch.ones(1000)) for name in "abc"}
    write_shards(tmp_path, shards, ALONE)
    pointers = {np.frombuffer(block, np.uint8).ctypes.data for block in written[1:]}
    assert pointers == {shard.local.data_ptr() for shard in shards.values()}
