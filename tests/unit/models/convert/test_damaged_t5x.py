"""Damaged checkpoints of T5X: the msgpack file, zarr's descriptions and its chunks; refused in one line or right.

Chunks are packed with a checksum, so nothing of them is accepted with other numbers. Small weights stand in the
msgpack file, which has none: there a changed number is still a number, of the right shape and finite.
"""

import random
import shutil
import tarfile
from pathlib import Path

import pytest
import torch

from xmtf.errors import XmtfError
from xmtf.models import load_model
from xmtf.models.convert import convert_model, inspect_foreign

pytest.importorskip("msgpack")

DAMAGES = ("cut", "flip", "zeros", "noise", "empty")


def damage(content, kind, draw):
    """Return bytes with something wrong."""
    at, size = draw.randrange(max(1, len(content))), draw.choice((1, 4, 40, 400))
    if kind == "cut":
        return content[:at]
    if kind == "flip":
        return content[:at] + bytes([content[at] ^ (1 << draw.randrange(8))]) + content[at + 1 :]
    if kind == "empty":
        return b""
    return content[:at] + (bytes(size) if kind == "zeros" else draw.randbytes(size)) + content[at + size :]


@pytest.fixture
def source(tmp_path):
    with tarfile.open(Path(__file__).parent / "data" / "t5x.tar.gz") as archive:
        archive.extractall(tmp_path / "t5x", filter="data")
    return tmp_path / "t5x" / "float32"


def parameters(folder):
    return dict(load_model(str(folder)).model.named_parameters())


def refusal_of(verb, *arguments):
    """Return why something was refused, or None where it was not."""
    try:
        verb(*arguments)
    except XmtfError as error:
        return str(error)
    return None


@pytest.mark.parametrize(("kind", "turns"), [("checkpoint", 120), (".zarray", 60), ("0.0", 60)])
def test_t5x(source, tmp_path, kind, turns):
    convert_model(str(source), tmp_path / "right")
    expected = parameters(tmp_path / "right")
    draw, refused = random.Random(turns), 0
    files = sorted(path for path in source.rglob(kind) if path.is_file())
    assert files
    for turn in range(turns):
        file = draw.choice(files)
        whole = file.read_bytes()
        how = DAMAGES[turn % len(DAMAGES)]
        file.write_bytes(damage(whole, how, draw))
        refusal = refusal_of(convert_model, str(source), tmp_path / "out")
        if refusal is not None:
            refused += 1
            assert len(refusal.splitlines()) == 1
            assert not (tmp_path / "out").exists()
        else:
            found = parameters(tmp_path / "out")
            assert {name: tensor.shape for name, tensor in found.items()} == {
                name: tensor.shape for name, tensor in expected.items()
            }
            assert all(torch.isfinite(tensor).all() for tensor in found.values())
            same = all(torch.equal(tensor, expected[name]) for name, tensor in found.items())
            assert same or (kind == "checkpoint" and how not in ("cut", "empty")), f"{file} ({how}) was accepted"
            shutil.rmtree(tmp_path / "out")
        assert len((refusal_of(inspect_foreign, str(source)) or "whole").splitlines()) == 1
        file.write_bytes(whole)
    assert refused > turns // 3
