"""Mirrors and prompted folders at addresses: the same rows as of folders, copied only as far as needed."""

import json
import os

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xmtf.errors import ConfigError, DataError, UserError
from xmtf.launch.slurm import _absolute
from xmtf.mixture.plan.prompted import prompted_files
from xmtf.recipe import load_recipe
from xmtf.recipe.written import portable
from xmtf.remote.copies import copy_folder, forget, remote_copy
from xmtf.sources.locate import locate_here, looked
from xmtf.sources.mirror import find_in_mirror, mirror_splits, split_roots, subsets_in_mirror
from xmtf.sources.read import fingerprint_source, read_source
from xmtf.sources.reference import SourceRef

TRAIN = SourceRef("sums", "fr", "train")


@pytest.fixture
def mirror(tmp_path):
    """Make a mirror with two subsets of two splits, one of them in shards."""
    for subset in ("fr", "de"):
        folder = tmp_path / "mirror" / "sums" / subset
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"a": [1, 2], "of": [subset] * 2}), folder / "test.parquet")
        for shard in range(2):
            pq.write_table(pa.table({"a": [shard], "of": [subset]}), folder / f"train-0000{shard}-of-00002.parquet")
    return tmp_path / "mirror"


def put(folder, address):
    """Copy a folder to an address, as another program would."""
    storage, root = fsspec.core.url_to_fs(address)
    for path in (path for path in folder.rglob("*") if path.is_file()):
        target = f"{root}/{path.relative_to(folder).as_posix()}"
        storage.makedirs(target.rpartition("/")[0], exist_ok=True)
        storage.put_file(str(path), target)
    return storage, root


def copies(address):
    root = copy_folder(address)
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_a_mirror_at_an_address_gives_what_the_same_folder_gives(mirror, address, tmp_path, monkeypatch):
    monkeypatch.setenv("XMTF_DATA_ROOT", str(mirror))
    here = read_source(TRAIN)
    (tmp_path / "empty").mkdir()
    put(mirror, address)
    for roots in (address, f"{tmp_path / 'empty'}{os.pathsep}{address}"):
        monkeypatch.setenv("XMTF_DATA_ROOT", roots)
        there = read_source(TRAIN)
        assert there.fingerprint == here.fingerprint == fingerprint_source(TRAIN)
        assert there.table.equals(here.table)
        assert locate_here(TRAIN).place == "mirror"
    # nothing but what was asked for
    assert copies(address) == [f"sums/fr/train-0000{shard}-of-00002.parquet" for shard in range(2)]
    assert mirror_splits(TRAIN) == ["test", "train"]
    assert subsets_in_mirror(SourceRef("sums", "*", "test")) == ["de", "fr"]
    assert find_in_mirror(SourceRef("sums", "it", "test")) == []
    assert f"no {address}/sums/it/test.parquet" in looked(SourceRef("sums", "it", "test"))


def test_what_changed_there_is_copied_again_and_nothing_else(mirror, address, monkeypatch):
    storage, root = put(mirror, address)
    monkeypatch.setenv("XMTF_DATA_ROOT", address)
    first = find_in_mirror(TRAIN)
    times = [path.stat().st_mtime_ns for path in first]
    forget()
    assert [path.stat().st_mtime_ns for path in find_in_mirror(TRAIN)] == times
    pq.write_table(pa.table({"a": [7], "of": ["fr"]}), mirror / "sums/fr/train-00001-of-00002.parquet")
    storage.put_file(
        str(mirror / "sums/fr/train-00001-of-00002.parquet"), f"{root}/sums/fr/train-00001-of-00002.parquet"
    )
    forget()
    assert read_source(TRAIN).table["a"].to_pylist() == [0, 7]
    assert first[0].stat().st_mtime_ns == times[0]
    first[0].write_bytes(b"of another program")
    assert read_source(TRAIN).table["a"].to_pylist() == [0, 7]
    for shard in range(2):
        storage.rm_file(f"{root}/sums/fr/train-0000{shard}-of-00002.parquet")
    forget()
    assert find_in_mirror(TRAIN) == []
    assert copies(address) == []


def test_a_copy_that_breaks_off_leaves_no_file(mirror, address, monkeypatch):
    storage, _ = put(mirror, address)
    monkeypatch.setenv("XMTF_DATA_ROOT", address)

    def breaks(place, local, **how):
        with open(local, "wb") as stream:
            stream.write(b"half")
        raise OSError("the connection was lost")

    with monkeypatch.context() as patch:
        patch.setattr(storage, "get_file", breaks)
        with pytest.raises(UserError, match=r"train-00000-of-00002.parquet: the storage refuses \(the connection"):
            find_in_mirror(TRAIN)
    assert copies(address) == []
    with monkeypatch.context() as patch:
        patch.setattr(storage, "get_file", lambda place, local, **how: None)
        with pytest.raises(DataError, match="changed while it was copied"):
            find_in_mirror(TRAIN)
    assert copies(address) == []
    assert len(find_in_mirror(TRAIN)) == 2


def test_a_prompted_folder_at_an_address_is_that_folder(address, tmp_path, monkeypatch):
    for language in ("fr", "de"):
        folder = tmp_path / "demo" / language
        folder.mkdir(parents=True)
        for name in ("one", "two"):
            (folder / f"{name}.jsonl").write_text(json.dumps({"inputs": f"{language} {name}", "targets": "yes"}) + "\n")
    put(tmp_path / "demo", address)
    recipe = tmp_path / "recipe.yaml"

    def files(path):
        recipe.write_text(
            f"name: demo\nrun_folder: {tmp_path}/run\nmixture: {{prompted: [{{path: '{path}', languages: [fr]}}]}}\n"
            "model: {architecture: bloom, hidden_size: 8, num_layers: 1, num_heads: 1}\ntraining: {steps: 1}\n"
        )
        return prompted_files(load_recipe(recipe))

    there, here = files(address), files("demo")
    assert [(each.task, each.fingerprint, each.size) for each in there] == [
        (each.task, each.fingerprint, each.size) for each in here
    ]
    assert copies(address) == ["fr/one.jsonl", "fr/two.jsonl"]
    files(address)
    assert portable(load_recipe(recipe)).mixture.prompted[0].path == address
    with pytest.raises(ConfigError, match=r"an address with credentials is refused") as refused:
        files("s3://key:secret-word@bucket/xP3")
    assert "secret-word" not in str(refused.value)


def test_wrong_addresses_are_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("XMTF_CACHE", str(tmp_path))
    assert split_roots(f"/a{os.pathsep}s3://b/c{os.pathsep}gs://d") == ("/a", "s3://b/c", "gs://d")
    assert split_roots(f"http://host:80/a{os.pathsep}80a") == ("http://host:80/a", "80a")
    for address, kind, message in (
        ("s3://key:secret-word@bucket/demo", ConfigError, "an address with credentials is refused"),
        ("memory://bucket/demo?token=secret-word", ConfigError, "an address with credentials is refused"),
        ("nowhere://bucket/demo", ConfigError, "nowhere://bucket/demo/sums: "),
        ("memory://bucket/../demo", ConfigError, "leads out of the folder"),
    ):
        monkeypatch.setenv("XMTF_DATA_ROOT", address)
        with pytest.raises(kind, match=message) as refused:
            find_in_mirror(TRAIN)
        assert "secret-word" not in str(refused.value)
        assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match="credentials"):
        _absolute("s3://key:secret-word@bucket/demo")
    assert _absolute(f"s3://bucket/demo{os.pathsep}/a") == f"s3://bucket/demo{os.pathsep}/a"


def test_names_that_lead_out_of_the_cache_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("XMTF_CACHE", str(tmp_path))
    storage, root = fsspec.core.url_to_fs("memory://bucket/leads-out")
    forget()
    with monkeypatch.context() as patch:
        patch.setattr(type(storage), "find", lambda self, place, **how: {f"{root}/../../escaped": {"size": 1}})
        with pytest.raises(DataError, match="is no name of a file below it"):
            remote_copy("memory://bucket/leads-out", "", lambda name: True)
    forget()
    assert list(tmp_path.iterdir()) == []
