import os
import socket

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xmtf.errors import SourceError, UnknownNameError
from xmtf.sources import SourceRef, fingerprint_source, read_source
from xmtf.sources.mirror import find_in_mirror, mirror_splits


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A mirror with one dataset that has subsets, one that has none, and one in shards."""
    root = tmp_path / "mirror"
    for name, rows in (
        ("owner/set/fr/train.parquet", ["un", "deux"]),
        ("owner/set/fr/test.parquet", ["trois"]),
        ("owner/flat/train.parquet", ["one"]),
        ("owner/default/default/train.parquet", ["d"]),
        ("owner/sharded/en/train-00000-of-00002.parquet", ["a"]),
        ("owner/sharded/en/train-00001-of-00002.parquet", ["b"]),
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"text": rows}), path)
    monkeypatch.setenv("XMTF_DATA_ROOT", str(root))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    return root


def texts(ref, **options):
    return read_source(ref, **options).table["text"].to_pylist()


def test_the_mirror_is_read_by_hub_id_subset_and_split(mirror):
    assert texts(SourceRef("owner/set", "fr")) == ["un", "deux"]
    assert texts(SourceRef("owner/set", "fr", "test")) == ["trois"]
    assert texts(SourceRef("owner/sharded", "en")) == ["a", "b"]


@pytest.mark.parametrize("other", [None, "train-00000-of-00003.parquet"])
def test_a_split_of_which_shards_are_missing_is_refused(mirror, other):
    folder = mirror / "owner" / "sharded" / "en"
    if other is None:
        (folder / "train-00001-of-00002.parquet").unlink()
    else:
        pq.write_table(pa.table({"text": ["c"]}), folder / other)
    with pytest.raises(SourceError, match=r"sharded/en: has \d shards of this split .*copy the missing ones"):
        read_source(SourceRef("owner/sharded", "en"))


def test_a_dataset_without_subsets_needs_no_subset_folder(mirror):
    assert texts(SourceRef("owner/flat")) == ["one"]
    assert texts(SourceRef("owner/default")) == ["d"]


def test_a_file_of_all_subsets_is_read_for_one_only_where_the_catalogue_says_so(mirror):
    assert texts(SourceRef("owner/flat", "main", flat=True)) == ["one"]
    with pytest.raises(SourceError, match=r"flat/train\..* contains all subsets .* with `flat: true` in its"):
        read_source(SourceRef("owner/flat", "main"), offline=True)


def test_a_dataset_that_moved_is_found_under_its_id_of_today(mirror):
    assert texts(SourceRef("set", "fr", hub_id="owner/set")) == ["un", "deux"]


def test_an_own_file_is_read_and_nothing_else_is_looked_at(mirror, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("text\nmine\n")
    assert texts(SourceRef("owner/set", "fr", path=str(path))) == ["mine"]
    with pytest.raises(SourceError, match=r"absent\.csv: no such file"):
        read_source(SourceRef("owner/set", "fr", path=str(tmp_path / "absent.csv")))


def test_the_fingerprint_is_the_same_with_and_without_reading_and_follows_content_and_adapter(mirror):
    ref = SourceRef("owner/set", "fr")
    before = fingerprint_source(ref)
    assert read_source(ref).fingerprint == before
    assert fingerprint_source(SourceRef("owner/set", "fr", adapter="mbpp")) != before
    assert fingerprint_source(SourceRef("owner/set", "fr", "test")) != before
    pq.write_table(pa.table({"text": ["quatre"]}), find_in_mirror(ref)[0])
    assert fingerprint_source(ref) != before


def test_offline_names_the_item_the_place_looked_at_and_the_way_out(mirror):
    with pytest.raises(SourceError) as error:
        read_source(SourceRef("owner/set", "fr", "validation"), offline=True)
    message = str(error.value)
    for part in ("owner/set/fr [validation]", str(mirror), "it has test, train", "xmtf data fetch", "offline"):
        assert part in message


def test_offline_never_asks_for_the_network(mirror, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: pytest.fail("asked for the network"))
    for revision in (None, "refs/convert/parquet"):
        with pytest.raises(SourceError, match="disabled"):
            read_source(SourceRef("owner/absent", revision=revision), offline=True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(SourceError, match="disabled"):
        read_source(SourceRef("owner/absent"))


def test_without_a_network_the_error_comes_at_once(mirror, monkeypatch):
    def unknown(*_):
        raise OSError("no such host")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.delenv("ALL_PROXY", raising=False)
    monkeypatch.delenv("all_proxy", raising=False)
    with pytest.raises(SourceError, match="cannot be reached from this machine; the mirror has no"):
        read_source(SourceRef("owner/absent"))


def test_data_that_must_be_asked_for_carry_their_instructions(mirror):
    with pytest.raises(SourceError, match="cannot be downloaded: ask the authors"):
        read_source(SourceRef("owner/gated", note="ask the authors"))


def test_an_unknown_adapter_is_named(mirror):
    with pytest.raises(UnknownNameError, match="paws-x"):
        read_source(SourceRef("owner/set", "fr", adapter="paws"))


def test_splits_of_a_subset_are_listed_for_messages(mirror):
    assert mirror_splits(SourceRef("owner/set", "fr")) == ["test", "train"]
    assert mirror_splits(SourceRef("owner/sharded", "en")) == ["train"]
    assert mirror_splits(SourceRef("owner/absent", "en")) == []


def test_a_pattern_of_subsets_reads_all_that_match(mirror):
    for subset, text in (("eng-bre", "a"), ("bre-fra", "b"), ("fra-bre", "c")):
        path = mirror / "owner/pairs" / subset / "test.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.table({"text": [text]}), path)
    assert texts(SourceRef("owner/pairs", "*-bre", "test")) == ["a", "c"]
    assert texts(SourceRef("owner/pairs", "bre-*", "test")) == ["b"]


@pytest.mark.parametrize(
    "names",
    [
        {"dataset": "../outside"},
        {"dataset": "/etc"},
        {"dataset": "a/../../b"},
        {"dataset": "a", "subset": "../b"},
        {"dataset": "a", "split": "../b"},
        {"dataset": "a", "split": "/etc/passwd"},
        {"dataset": "a", "split": "b/c"},
        {"dataset": "a", "hub_id": "../b"},
        {"dataset": "a", "subset": "b\x1b[2J"},
        {"dataset": "a\\\\b"},
    ],
)
def test_names_never_lead_out_of_their_folder(names):
    with pytest.raises(SourceError, match="is not a name but a path that leads elsewhere"):
        SourceRef(**names)


def test_of_several_mirrors_the_first_that_has_a_split_counts(tmp_path, monkeypatch):
    for place, split, text in (("own", "test", "mine"), ("shared", "test", "theirs"), ("shared", "train", "theirs")):
        folder = tmp_path / place / "some" / "set" / "fr"
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"text": [text]}), folder / f"{split}.parquet")
    monkeypatch.setenv("XMTF_DATA_ROOT", f"{tmp_path / 'own'}{os.pathsep}{tmp_path / 'shared'}{os.pathsep}")
    found = {
        split: read_source(SourceRef("some/set", "fr", split), offline=True).table["text"].to_pylist()
        for split in ("test", "train")
    }
    assert found == {"test": ["mine"], "train": ["theirs"]}
    with pytest.raises(SourceError, match=r"own/some/set/fr/dev.parquet and no .*shared/some/set/fr/dev.parquet"):
        read_source(SourceRef("some/set", "fr", "dev"), offline=True)
