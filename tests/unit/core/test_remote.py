"""Finished folders in remote storage: in memory, behind file://, and in S3 on loopback where moto is installed."""

import json
import shutil

import fsspec
import pytest

from xmtf.cli.app import _run as xmtf
from xmtf.errors import ConfigError, DataError, SourceError, UserError
from xmtf.files import MANIFEST, Manifest, file_sha256, write_manifest
from xmtf.remote.storage import copy_down, copy_up


@pytest.fixture
def made(tmp_path):
    folder = tmp_path / "mixture"
    (folder / "language=fr").mkdir(parents=True)
    (folder / "language=fr" / "part-00000.parquet").write_bytes(b"rows" * 100)
    (folder / "README.md").write_text("card")
    (folder / ".lock").touch()
    names = ["language=fr/part-00000.parquet", "README.md"]
    write_manifest(folder, Manifest("mixture", "f", outputs={name: file_sha256(folder / name) for name in names}))
    return folder


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_comes_back_as_it_went(made, address, tmp_path):
    sent = copy_up(made, address)
    assert [name for name, _ in sent][-1] == MANIFEST
    copy_down(address, tmp_path / "back")
    assert content(tmp_path / "back") == {name: data for name, data in content(made).items() if name != ".lock"}
    assert "secret-of-a-user" not in str(content(tmp_path / "back"))
    with pytest.raises(ConfigError, match="already exists"):
        copy_down(address, tmp_path / "back")
    with pytest.raises(ConfigError, match="--replace overwrites it"):
        copy_up(made, address)
    assert copy_up(made, address, replace=True) == sent


def test_an_upload_that_was_cut_short_is_no_result(made, address, tmp_path, monkeypatch):
    storage, _ = fsspec.core.url_to_fs(address)
    copy_up(made, address)
    put = storage.put_file

    def breaks(local, place, **how):
        if "part-" in str(place):
            raise OSError("the connection was lost")
        return put(local, place, **how)

    with monkeypatch.context() as patch:
        patch.setattr(storage, "put_file", breaks)
        with pytest.raises(UserError, match=r"the storage refuses \(the connection was lost"):
            copy_up(made, address, replace=True)
    storage.invalidate_cache()
    with pytest.raises(SourceError, match=r"none was copied there, or an upload was cut short"):
        copy_down(address, tmp_path / "back")
    assert not (tmp_path / "back").exists()
    copy_up(made, address)  # the same again
    copy_down(address, tmp_path / "back")


def test_what_changed_on_the_way_is_refused_and_leaves_nothing(made, address, tmp_path):
    copy_up(made, address)
    storage, root = fsspec.core.url_to_fs(address)
    storage.pipe_file(f"{root}/README.md", b"carf")
    with pytest.raises(DataError, match=r"README\.md"):
        copy_down(address, tmp_path / "back")
    storage.rm_file(f"{root}/README.md")
    storage.invalidate_cache()
    with pytest.raises(DataError, match=r"README\.md"):
        copy_down(address, tmp_path / "back")
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("mixture", "storage", "cache")] == []


def test_names_that_lead_out_are_refused(made, tmp_path, monkeypatch):
    fsspec.filesystem("memory").store.clear()
    copy_up(made, "memory://bucket/demo")
    storage, root = fsspec.core.url_to_fs("memory://bucket/demo")
    for name in (f"{root}/../../escaped", f"{root}/a/../../b", "/elsewhere/file", f"{root}/a\\..\\b", root):
        with monkeypatch.context() as patch:
            patch.setattr(type(storage), "find", lambda self, place, name=name: [f"{root}/{MANIFEST}", name])
            with pytest.raises(DataError, match="is no name of a file below it"):
                copy_down("memory://bucket/demo", tmp_path / "back")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mixture"]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("s3://key:secret-word@bucket/demo", "an address with credentials is refused"),
        ("memory://bucket/demo?token=secret-word", "an address with credentials is refused"),
        ("nowhere://bucket/demo", "nowhere"),
        ("memory://bucket/../demo", "leads out of the folder"),
    ],
)
def test_a_wrong_address_is_one_line_without_its_secret(made, capsys, address, message):
    assert xmtf(["copy", str(made), address]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert message in told
    assert "secret-word" not in told
    assert "Traceback" not in told


def test_the_verb_copies_up_and_down(made, tmp_path, capsys):
    fsspec.filesystem("memory").store.clear()
    assert xmtf(["copy", str(made), "memory://bucket/demo", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"] == 3
    assert xmtf(["copy", "memory://bucket/demo", str(tmp_path / "back")]) == 0
    assert "3 files" in capsys.readouterr().out
    for wrong, message in (
        (["copy", str(made), str(tmp_path / "other")], "one of the two"),
        (["copy", "memory://bucket/demo", str(tmp_path / "new"), "--replace"], "--replace is for an address"),
        (["copy", str(tmp_path), "memory://bucket/other"], "no finished folder"),
        (["copy", str(tmp_path / "none"), "memory://bucket/other"], "no such folder"),
        (["copy", "memory://bucket/none", str(tmp_path / "new")], "no finished folder"),
    ):
        assert xmtf(wrong) in (1, 2)
        assert message in capsys.readouterr().err
    shutil.rmtree(made / "language=fr")
    assert xmtf(["copy", str(made), "memory://bucket/other"]) == 1
    assert not fsspec.filesystem("memory").exists("bucket/other")


def test_without_the_package_of_a_storage_the_line_names_it(made, monkeypatch):
    def lacking(address):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", lacking)
    with pytest.raises(UserError, match=r"s3://bucket/demo: Install s3fs to access S3: pip install 'xmtf\[remote\]'"):
        copy_up(made, "s3://bucket/demo")
