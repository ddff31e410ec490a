import pytest

from xmtf.errors import DataError
from xmtf.files import Manifest, file_sha256, write_json, write_manifest
from xmtf.models.files import references
from xmtf.models.files.identity import model_identity


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    (path / "config.json").write_text('{"model_type": "bloom"}')
    (path / "model.safetensors").write_bytes(bytes(3 * 2**20))
    return path


def test_every_byte_of_a_folder_counts_and_its_card_does_not(folder):
    first = model_identity(str(folder))
    (folder / "README.md").write_text("a card")
    assert model_identity(str(folder)) == first
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[3 * 2**19] = 1  # in the middle, far from both ends
    (folder / "model.safetensors").write_bytes(content)
    assert model_identity(str(folder)) != first


def test_a_hub_id_counts_by_the_commit_that_its_revision_stands_for(tmp_path, monkeypatch):
    commits = {"main": "a" * 40, "v1": "a" * 40, "v2": "b" * 40}

    def snapshot(reference, patterns, offline):
        found = tmp_path / "snapshots" / commits[reference.revision or "main"]
        found.mkdir(parents=True, exist_ok=True)
        write_json(found / "config.json", {})
        return found

    monkeypatch.setattr(references, "_snapshot", snapshot)
    first = model_identity("owner/name")
    assert model_identity("owner/name@v1") == first
    assert model_identity("owner/name@v2") != first
    commits["main"] = "b" * 40
    assert model_identity("owner/name") == model_identity("owner/name@v2")


def test_an_adapter_counts_with_the_model_that_it_is_for(folder, tmp_path):
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    write_json(adapter / "adapter_config.json", {"base_model_name_or_path": str(folder)})
    first = model_identity(str(adapter))
    (folder / "model.safetensors").write_bytes(b"other weights")
    assert model_identity(str(adapter)) != first


def test_a_folder_of_ours_with_a_changed_byte_is_refused(folder):
    outputs = {name: file_sha256(folder / name) for name in ("config.json", "model.safetensors")}
    write_manifest(folder, Manifest("initial", "f", outputs=outputs))
    model_identity(str(folder))
    (folder / "model.safetensors").write_bytes(b"flipped")
    with pytest.raises(
        DataError, match=r"model.safetensors: does not match its recorded checksum \(stage initial\); delete"
    ):
        model_identity(str(folder))
