"""Damaged checkpoints of other programs: converted as they were, or refused in one line; never anything else."""

import random
import shutil

import pytest
import torch

from xmtf.errors import XmtfError
from xmtf.models import load_model
from xmtf.models.convert import convert_model

DAMAGES = ("cut", "flip", "zeros", "noise", "empty")


def damage(content, kind, draw):
    """Return bytes with something wrong."""
    at = draw.randrange(max(1, len(content)))
    size = draw.choice((1, 4, 40, 400))
    if kind == "cut":
        return content[:at]
    if kind == "flip":
        return content[:at] + bytes([content[at] ^ (1 << draw.randrange(8))]) + content[at + 1 :]
    if kind == "empty":
        return b""
    other = bytes(size) if kind == "zeros" else draw.randbytes(size)
    return content[:at] + other + content[at + size :]


def refused_or_right(source, out, expected, **options):
    """Convert; a refusal is one line that names a file of the source. Return whether it was refused."""
    refusal = None
    try:
        convert_model(str(source), out, **options)
    except XmtfError as error:
        refusal = str(error)
    if refusal is not None:
        assert len(refusal.splitlines()) == 1
        assert not out.exists()
        return True
    model = load_model(str(out)).model
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())
    if expected is not None:
        for name, parameter in model.named_parameters():
            assert torch.equal(parameter, expected[name]), f"{name} was accepted with other numbers"
    shutil.rmtree(out)
    return False


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_megatron(theirs, write_megatron, like, tmp_path, legacy):
    source = write_megatron(theirs, tmp_path / "source", tp=2)
    if legacy:
        for file in source.glob("layer_*.pt"):
            torch.save(torch.load(file), file, _use_new_zipfile_serialization=False)
    convert_model(str(source), tmp_path / "right", like=str(like))
    expected = dict(load_model(str(tmp_path / "right")).model.named_parameters())
    draw, refused = random.Random(0), 0
    files = sorted(source.glob("layer_*.pt"))
    for turn in range(80):
        file = draw.choice(files)
        whole = file.read_bytes()
        file.write_bytes(damage(whole, DAMAGES[turn % len(DAMAGES)], draw))
        known = None if legacy else expected  # the old format has no checksums
        refused += refused_or_right(source, tmp_path / "out", known, like=str(like))
        file.write_bytes(whole)
    assert refused > 30


def test_universal(theirs, write_universal, like, tmp_path):
    source = write_universal(theirs, tmp_path / "source")
    convert_model(str(source), tmp_path / "right", like=str(like))
    expected = dict(load_model(str(tmp_path / "right")).model.named_parameters())
    draw, refused = random.Random(1), 0
    files = sorted(source.rglob("fp32.pt"))
    for turn in range(60):
        file = draw.choice(files)
        whole = file.read_bytes()
        file.write_bytes(damage(whole, DAMAGES[turn % len(DAMAGES)], draw))
        refused += refused_or_right(source, tmp_path / "out", expected, like=str(like))
        file.write_bytes(whole)
    assert refused > 30


@pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.bool, torch.complex64, torch.float64])
def test_a_tensor_of_another_kind_is_not_taken_for_weights(theirs, write_megatron, like, tmp_path, dtype):
    source = write_megatron(theirs, tmp_path / "source")
    file = source / "layer_03-model_00-model_states.pt"
    state = torch.load(file)
    name = "self_attention.query_key_value.weight"
    state[name] = (state[name] * 10).to(dtype)
    torch.save(state, file)
    with pytest.raises(XmtfError, match=rf"{file.name}.*{name}.*{str(dtype).removeprefix('torch.')}"):
        convert_model(str(source), tmp_path / "out", like=str(like))
    assert not (tmp_path / "out").exists()
