from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xmtf.errors import SourceError
from xmtf.sources import SourceRef, fingerprint_source, read_source
from xmtf.sources.hub import CONVERTED
from xmtf.sources.locate import locate

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The hub's cache as huggingface_hub lays it out, with one converted dataset in it."""
    from huggingface_hub import constants

    monkeypatch.delenv("XMTF_DATA_ROOT", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "datasets--owner--set"
    reference = repository / "refs" / CONVERTED
    reference.parent.mkdir(parents=True)
    reference.write_text(SHA)
    for name, rows in (("fr/train/0000.parquet", ["un"]), ("fr/train/0001.parquet", ["deux"])):
        path = repository / "snapshots" / SHA / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"text": rows}), path)
    return repository


def test_converted_files_of_an_earlier_download_are_read_without_a_network(cache):
    data = read_source(SourceRef("owner/set", "fr", revision=CONVERTED), offline=True)
    assert data.table["text"].to_pylist() == ["un", "deux"]
    assert data.rows.tolist() == [0, 1]


def test_the_fingerprint_follows_the_content_not_the_name_of_the_version(cache):
    ref = SourceRef("owner/set", "fr", revision=CONVERTED)
    before = read_source(ref, offline=True).fingerprint
    assert fingerprint_source(ref, offline=True) == before
    (cache / "snapshots" / SHA).rename(cache / "snapshots" / SHA[::-1])
    (cache / "refs" / CONVERTED).write_text(SHA[::-1])
    assert fingerprint_source(ref, offline=True) == before
    pq.write_table(pa.table({"text": ["autre"]}), cache / "snapshots" / SHA[::-1] / "fr/train/0000.parquet")
    assert fingerprint_source(ref, offline=True) != before


def test_the_beginning_of_a_split_is_read_where_the_hub_converted_no_more(cache):
    ref = SourceRef("owner/set", "fr", revision=CONVERTED)
    assert not locate(ref, offline=True).partial
    folder = cache / "snapshots" / SHA / "fr"
    (folder / "train").rename(folder / "partial-train")
    assert read_source(ref, offline=True).table.num_rows == 2
    assert locate(ref, offline=True).partial


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A dataset folder as `datasets` reads it, and a cache of its own."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    path = tmp_path / "owner" / "set"
    (path / "fr").mkdir(parents=True)
    (path / "README.md").write_text(
        "---\nconfigs:\n- config_name: fr\n  data_files:\n  - {split: train, path: fr/train.jsonl}\n---\n"
    )
    (path / "fr" / "train.jsonl").write_text('{"text": "un", "label": 0}\n{"text": "deux", "label": 1}\n')
    return path


def test_what_the_datasets_library_prepared_before_is_read_without_a_network(folder, monkeypatch):
    import datasets

    monkeypatch.delenv("XMTF_DATA_ROOT", raising=False)
    datasets.load_dataset(str(folder), "fr", split="train")
    cache = Path(datasets.config.HF_DATASETS_CACHE)
    (cache / "set").rename(cache / "owner___set")  # the name that a download of owner/set has
    data = read_source(SourceRef("owner/set", "fr"), offline=True)
    assert data.table["text"].to_pylist() == ["un", "deux"]
    assert data.fingerprint == fingerprint_source(SourceRef("owner/set", "fr"), offline=True)
    with pytest.raises(SourceError, match="the hub's cache does not have it"):
        read_source(SourceRef("owner/set", "de"), offline=True)
