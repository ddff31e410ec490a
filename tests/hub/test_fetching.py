"""Files of the hub come whole or not at all: resumed, verified, retried, and told where they came from."""

import json
from pathlib import Path

import pytest
from tests.hub.repositories import CONVERTED, Repository, mirrored, parquet, sha256
from tests.hub.server import READER, STRANGER

from xmtf.errors import SourceError
from xmtf.sources import SourceRef, fingerprint_source, read_source, stream
from xmtf.sources.fetch import expand_patterns, fetch_sources
from xmtf.sources.locate import locate
from xmtf.sources.sidecar import read_sidecar

ROWS = [{"text": f"line {number} " + "x" * 50, "label": number % 2} for number in range(400)]
REF = SourceRef("own/set", "fr", revision=CONVERTED)


@pytest.fixture
def dataset(hub):
    """A converted split in two files."""
    files = [parquet(ROWS[:250], compression=None), parquet(ROWS[250:], compression=None)]
    repository = Repository("own/set").add(
        {f"fr/train/000{i}.parquet": data for i, data in enumerate(files)}, CONVERTED
    )
    return hub.add(repository)


def fetch(to, *refs, **how):
    return fetch_sources(refs or [REF], to, **how)


def test_a_mirror_says_of_each_file_where_it_came_from_and_what_it_holds(hub, dataset, tmp_path, monkeypatch):
    told = []
    (fetched,) = fetch(tmp_path / "new", tell=lambda count, total: told.append((count, total)))
    assert (fetched.status, fetched.rows) == ("fetched", 400)
    files = dataset.revisions[CONVERTED]
    size = sum(map(len, files.values()))
    assert (sum(count for count, _ in told), {total for _, total in told}) == (size, {size})
    for number, data in enumerate(files.values()):
        path = tmp_path / "new/own/set/fr" / f"train-0000{number}-of-00002.parquet"
        assert path.read_bytes() == data
        assert json.loads(path.with_name(path.name + ".source.json").read_text()) == {
            "dataset": "own/set",
            "subset": "fr",
            "split": "train",
            "revision": CONVERTED,
            "commit": dataset.commit(CONVERTED),
            "rows": (250, 150)[number],
            "bytes": len(data),
            "sha256": sha256(data),
            "partial": False,
            "licence": "",
            "gated": False,
        }
    from_hub = fingerprint_source(REF)
    monkeypatch.setenv("XMTF_DATA_ROOT", str(tmp_path / "new"))
    asked = len(hub.requests)
    assert read_source(REF).table.to_pylist() == ROWS
    assert fingerprint_source(REF) == from_hub
    assert locate(REF).origin.commit == dataset.commit(CONVERTED)
    assert [(each.status, each.rows) for each in fetch(tmp_path / "new")] == [("there", 400)]
    (copied,) = fetch(tmp_path / "copy", offline=True)
    assert (copied.status, copied.rows) == ("fetched", 400)
    assert read_sidecar(copied.path) == read_sidecar(tmp_path / "new/own/set/fr/train-00000-of-00002.parquet")
    assert len(hub.requests) == asked


@pytest.mark.parametrize("fault", ["cut", "short"])
def test_a_file_that_is_cut_is_resumed_where_it_ended(hub, dataset, tmp_path, fault):
    hub.faults["0000.parquet"] += [fault, fault]
    assert fetch(tmp_path)[0].status == "fetched"
    ranges = [first for _, path, first, _ in hub.asked("/storage/") if first and "0000" in path]
    size = len(dataset.revisions[CONVERTED]["fr/train/0000.parquet"])
    assert ranges[0] == f"bytes={size // 2}-"
    assert hub.sent[next(path for path in hub.sent if "/storage/" in path and "0000" in path)] == size


def test_a_later_call_resumes_what_an_earlier_one_left(hub, dataset, tmp_path):
    hub.faults["0000.parquet"] += ["cut", *[503] * 9]
    told = []
    (failed,) = fetch(tmp_path, tell=lambda count, total: told.append(count))
    assert failed.status == "failed"
    assert "failed (status 503)" in failed.problem
    (unfinished,) = tmp_path.rglob("*.unfinished")
    assert unfinished.stat().st_size > 0
    hub.faults.clear()
    hub.requests.clear()
    told.clear()
    assert fetch(tmp_path, tell=lambda count, total: told.append(count))[0].status == "fetched"
    assert any(first for _, path, first, _ in hub.asked("/storage/"))
    assert sum(told) == sum(map(len, dataset.revisions[CONVERTED].values()))  # what was there counts as come
    assert not list(tmp_path.rglob("*.unfinished"))


def test_the_hub_is_asked_again_when_it_says_and_bytes_that_are_wrong_are_not_kept(hub, dataset, tmp_path):
    hub.faults["0000.parquet"] += [(429, 7), 503, "wrong"]
    assert fetch(tmp_path)[0].status == "fetched"
    assert 7.0 in hub.waits
    hub.faults["0001.parquet"] += ["wrong"] * 4
    (failed,) = fetch(tmp_path / "other")
    assert failed.status == "failed"
    assert "the downloaded bytes have the hash" in failed.problem
    assert not list((tmp_path / "other").rglob("*0001*"))
    hub.faults.clear()
    assert fetch(tmp_path / "other")[0].status == "fetched"


def test_a_hub_that_says_nothing_is_left_and_asked_again(hub, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 0.3)
    hub.faults["0000.parquet"] += [("slow", 1.5)]
    assert fetch(tmp_path)[0].status == "fetched"
    assert hub.waits == [1.0]


def test_licence_and_gating_are_shown_before_anything_comes_and_stay_beside_the_files(
    hub, dataset, tmp_path, monkeypatch
):
    dataset.gated, dataset.card = True, {"license": ["cc-by-nc-4.0", "mit"]}
    monkeypatch.setenv("HF_TOKEN", READER)
    shown = []

    def show(terms):
        assert not list(tmp_path.rglob("*.parquet"))
        shown.extend(each.line() for each in terms)

    (fetched,) = fetch(tmp_path / "new", show=show)
    assert shown == [("own/set", "1", "cc-by-nc-4.0, mit (card)", "on request (HF_TOKEN)")]
    sidecar = read_sidecar(fetched.path)
    assert (sidecar.licence, sidecar.gated) == ("cc-by-nc-4.0, mit", True)
    monkeypatch.setenv("XMTF_DATA_ROOT", str(tmp_path / "new"))
    fetch(tmp_path / "copy", show=lambda terms: shown.extend(each.line() for each in terms), offline=True)
    assert shown[1] == ("own/set", "1", "cc-by-nc-4.0, mit (sidecar)", "on request (HF_TOKEN)")
    fetch(tmp_path / "told", show=lambda terms: shown.extend(terms), licences={"own/set": "MIT"})
    assert (shown[2].licence, shown[2].said_by) == ("MIT", "catalogue")


def test_a_gated_set_is_read_with_a_token_of_the_environment_that_stands_nowhere(hub, dataset, tmp_path, monkeypatch):
    dataset.gated = True
    (failed,) = fetch(tmp_path / "new")
    assert "denies it to users without a token; request access at" in failed.problem
    assert f"{hub.url}/datasets/own/set, then set HF_TOKEN" in failed.problem
    monkeypatch.setenv("HF_TOKEN", STRANGER)
    assert "denies it to this token" in fetch(tmp_path / "new")[0].problem
    monkeypatch.setenv("HF_TOKEN", READER)
    assert fetch(tmp_path / "new")[0].status == "fetched"
    assert read_source(REF).table.num_rows == 400
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert written
    assert not [path for path in written if READER.encode() in path.read_bytes()]


def test_any_file_of_the_name_is_not_enough(hub, dataset, tmp_path, monkeypatch):
    assert fetch(tmp_path)[0].status == "fetched"
    monkeypatch.setenv("XMTF_DATA_ROOT", str(tmp_path))
    path = tmp_path / "own/set/fr/train-00001-of-00002.parquet"
    whole = path.read_bytes()
    path.write_bytes(parquet(ROWS[:9]))
    with pytest.raises(SourceError, match=r"00001-of-00002\.parquet: is not the file that was fetched"):
        read_source(REF)
    (failed,) = fetch(tmp_path)
    assert (failed.status, failed.rows) == ("failed", 0)
    assert "is not the file that was fetched" in failed.problem
    path.write_bytes(whole)
    beside = path.with_name(path.name + ".source.json")
    beside.write_text("{}")
    assert "delete it and" in fetch(tmp_path)[0].problem
    beside.unlink()  # a file of the user's own
    assert fetch(tmp_path)[0].rows == 400
    path.write_bytes(whole[:-100])
    assert "cannot be read" in fetch(tmp_path)[0].problem


def test_a_split_is_read_on_the_hub_without_a_copy(hub, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "STREAMED_BYTES", 1000)
    monkeypatch.setenv("XMTF_HUB_STREAM", "1")
    remote = fingerprint_source(REF)
    assert read_source(REF).table.to_pylist() == ROWS
    opened = stream.open_stream(REF)
    assert (opened.num_rows, opened.fingerprint) == (400, remote)
    assert [row for _, block in opened.blocks() for row in block.to_pylist()] == ROWS
    assert not list((tmp_path / "hf/hub").rglob("*.parquet"))
    monkeypatch.delenv("XMTF_HUB_STREAM")
    assert fingerprint_source(REF) == remote
    assert list((tmp_path / "hf/hub").rglob("*.parquet"))
    monkeypatch.setenv("XMTF_HUB_STREAM", "yes")
    with pytest.raises(SourceError, match="XMTF_HUB_STREAM=yes: set 1"):
        read_source(SourceRef("own/set", "de", revision=CONVERTED))


def test_patterns_are_fetched_and_listed_subset_by_subset(hub, tmp_path, monkeypatch):
    names = ("bre-eng/test", "bre-fra/test", "fra-bre/test", "eng-bre/test", "eng-bre/validation")
    files = {f"{name}/0000.parquet": parquet([{"text": name}]) for name in names}
    hub.add(Repository("own/pairs").add(files, CONVERTED))
    ref = SourceRef("own/pairs", "*-bre", "test", revision=CONVERTED)
    assert [each.subset for each in expand_patterns([ref])] == ["eng-bre", "fra-bre"]
    assert [(each.ref.subset, each.status) for each in fetch(tmp_path, ref)] == [
        ("eng-bre", "fetched"),
        ("fra-bre", "fetched"),
    ]
    monkeypatch.setenv("XMTF_DATA_ROOT", str(tmp_path))
    assert read_source(ref, offline=True).table["text"].to_pylist() == ["eng-bre/test", "fra-bre/test"]
    (failed,) = fetch(tmp_path, SourceRef("own/pairs", "*-zul", "test", revision=CONVERTED))
    assert "no configuration '*-zul' with split 'test', but bre-eng" in failed.problem


def test_the_beginning_of_a_split_stays_known_as_such(hub, tmp_path, monkeypatch):
    hub.add(Repository("own/large").add({"default/partial-train/0000.parquet": parquet(ROWS)}, CONVERTED))
    ref = SourceRef("own/large", revision=CONVERTED)
    assert locate(ref).partial
    (fetched,) = fetch(tmp_path, ref)
    assert read_sidecar(fetched.path).partial
    monkeypatch.setenv("XMTF_DATA_ROOT", str(tmp_path))
    assert locate(ref, offline=True).partial


def test_a_dataset_without_a_revision_records_its_commit(hub, tmp_path):
    path = tmp_path / "made/own/card/fr/train.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(parquet(ROWS))
    repository = hub.add(mirrored(tmp_path / "made", "own/card", converted=False))
    hub.faults["/storage/"] += ["cut", "wrong"]
    (fetched,) = fetch(tmp_path / "new", SourceRef("own/card", "fr"))
    assert (fetched.status, fetched.rows) == ("fetched", 400)
    beside = read_sidecar(fetched.path)
    assert (beside.revision, beside.commit) == ("main", repository.commit("main"))
    assert beside.sha256 == sha256(Path(fetched.path).read_bytes())
    (copied,) = fetch(tmp_path / "copy", SourceRef("own/card", "fr"), offline=True)  # of what datasets prepared
    assert read_sidecar(copied.path).commit == beside.commit


def test_two_versions_of_a_dataset_are_never_mixed(hub, dataset):
    first = read_source(REF).table.num_rows
    dataset.add({"fr/test/0000.parquet": parquet(ROWS[:5])}, CONVERTED)
    from xmtf.sources.hub import listing

    listing._listed.cache_clear()  # as another process
    test = SourceRef("own/set", "fr", "test", revision=CONVERTED)
    assert read_source(test).table.num_rows == 5
    assert (first, locate(test).origin) == (400, locate(REF).origin)
