import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xmtf.sources import SourceRef, read_source
from xmtf.sources.hub import CONVERTED

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


def test_the_fingerprint_follows_the_version_on_the_hub(cache):
    ref = SourceRef("owner/set", "fr", revision=CONVERTED)
    before = read_source(ref, offline=True).fingerprint
    (cache / "snapshots" / SHA).rename(cache / "snapshots" / SHA[::-1])
    (cache / "refs" / CONVERTED).write_text(SHA[::-1])
    assert read_source(ref, offline=True).fingerprint != before
