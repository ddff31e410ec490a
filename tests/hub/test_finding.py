"""Where a split of the hub is: told by the list of files, through the real clients and a hub of our own."""

import pytest
from tests.hub.repositories import CONVERTED, Repository, mirrored, parquet

from xmtf.errors import MissingSourceError, SourceError
from xmtf.sources import SourceRef, read_source
from xmtf.sources.hub.layout import NoSuchSplitError, find_split
from xmtf.sources.locate import locate


def texts(ref, **how):
    return read_source(ref, **how).table["text"].to_pylist()


@pytest.mark.parametrize(
    ("files", "subset", "found"),
    [
        (["fr/train/0000.parquet", "fr/train/0001.parquet", "de/train/0000.parquet"], "fr", [0, 1]),
        (["default/train/0000.parquet", "default/test/0000.parquet"], "", [0]),
        (["plain_text/train/0000.parquet"], "", [0]),
        (["train.parquet", "test.parquet"], "", [0]),
        (["fr/train.parquet"], "fr", [0]),
        (["de_fr/wiki_lingua-train.parquet", "de_fr/wiki_lingua-test.parquet"], "de_fr", [0]),
        (["fr/set-train-00000-of-00002.parquet", "fr/set-train-00001-of-00002.parquet"], "fr", [0, 1]),
        (["a/train/0000.parquet", "a/partial-train/0000.parquet"], "a", [0]),
        (["fr-en/train/0000.parquet", "de-fr/train/0000.parquet", "de-en/train/0000.parquet"], "*-en", [2, 0]),
        (["all/train/0000.parquet"], "eng-fra", [0]),
        (["eng-fra/train/0000.parquet", "all/train/0000.parquet"], "eng-fra", [0]),
    ],
)
def test_every_layout_is_found_by_its_files(files, subset, found):
    split = find_split(files, subset, "train", table="all" if "-fra" in subset else "")
    assert list(split.paths) == [files[number] for number in found]
    assert not split.partial


@pytest.mark.parametrize(
    ("files", "subset", "said"),
    [
        (["a/train/0000.parquet", "b/train/0000.parquet"], "", "several configurations, and none is given: a, b"),
        (["default/train/0000.parquet", "train.parquet"], "", r"\(files at the top\), default"),
        (
            ["a/train/0000.parquet", "a/x-train.parquet"],
            "a",
            r"several sets .* a/train/\*\.parquet, a/x-train",
        ),
        (["a/x-train.parquet", "a/y-train.parquet"], "a", r"several sets .* a/x-train\*.parquet, a/y-train\*.parquet"),
        (["a/train/0000.parquet", "a/train/0002.parquet"], "a", "some are missing: 0000, 0002"),
        (["a/s-train-00000-of-00002.parquet"], "a", "some are missing"),
        (["a/test/0000.parquet"], "a", "no split 'train', but test"),
        (["training/train/0000.parquet"], "train", "no configuration 'train' with split 'train', but training"),
        (["a-b/train/0000.parquet"], "*-c", r"no configuration '\*-c' with split 'train', but a-b"),
        (["data.jsonl"], "", "there are no Parquet files"),
    ],
)
def test_what_is_not_there_or_twice_is_a_miss_that_lists_what_is(files, subset, said):
    with pytest.raises(NoSuchSplitError, match=said):
        find_split(files, subset, "train")


def test_misses_on_the_hub_are_told_from_failures(hub):
    hub.add(Repository("own/set").add({"fr/train/0000.parquet": parquet([{"text": "un"}])}, CONVERTED))
    hub.add(Repository("own/unconverted"))
    assert texts(SourceRef("own/set", "fr", revision=CONVERTED)) == ["un"]
    for ref, said in (
        (SourceRef("own/set", "fr", "test", revision=CONVERTED), r"refs/convert/parquet of own/set there is no split"),
        (SourceRef("own/set", "de", revision=CONVERTED), "no configuration 'de' with split 'train', but fr"),
        (SourceRef("own/absent", "fr", revision=CONVERTED), "the hub has no own/absent"),
        (SourceRef("own/unconverted", revision=CONVERTED), "the hub has no own/unconverted"),
        (SourceRef("own/absent"), "the hub has no own/absent"),
    ):
        with pytest.raises(MissingSourceError, match=said):
            locate(ref)
    hub.faults["/api/datasets/own/busy"] += [503] * 9
    with pytest.raises(SourceError, match=r"failed \(status 503\) after several tries") as caught:
        locate(SourceRef("own/busy", revision=CONVERTED))
    assert not isinstance(caught.value, MissingSourceError)
    assert hub.waits == [1, 2, 4, 8]


def test_the_card_of_a_dataset_says_its_splits(hub, tmp_path):
    for split, text in (("train", "un"), ("test", "deux")):
        path = tmp_path / f"own/card/fr/{split}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(parquet([{"text": text}]))
    commit = hub.add(mirrored(tmp_path, "own/card", converted=False)).commit("main")
    assert texts(SourceRef("own/card", "fr")) == ["un"]
    assert texts(SourceRef("own/card", "fr"), offline=True) == ["un"]
    assert locate(SourceRef("own/card", "fr"), offline=True).origin.commit == commit
    for ref, said in (
        (SourceRef("own/card", "fr", "validation"), "no split 'validation' of it, but test, train"),
        (SourceRef("own/card", "de"), "BuilderConfig 'de' not found. Available: .'fr'"),
    ):
        with pytest.raises(MissingSourceError, match=said):
            locate(ref)


def flores(hub, *, pair, table):
    def rows(words):
        return parquet([{"id": 1, **{f"sentence_{code}": f"{word} {code}" for code, word in words.items()}}])

    repository = hub.add(Repository("facebook/flores"))
    if pair:
        repository.add(
            {"eng_Latn-fra_Latn/dev/0000.parquet": rows({"eng_Latn": "pair", "fra_Latn": "pair"})}, CONVERTED
        )
    if table:
        words = dict.fromkeys(("eng_Latn", "fra_Latn", "deu_Latn"), "hub table")
        repository.add({"all/dev/0000.parquet": rows(words)}, CONVERTED)
    return rows


def test_flores_is_the_pair_or_the_table_of_the_mirror_then_of_the_hub(hub, tmp_path, monkeypatch):
    rows = flores(hub, pair=True, table=True)
    root = tmp_path / "mirror"
    monkeypatch.setenv("XMTF_DATA_ROOT", str(root))
    how = {"revision": CONVERTED, "adapter": "flores", "flat": True, "table": "all"}

    def source(subset="eng_Latn-fra_Latn"):
        table = read_source(SourceRef("facebook/flores", subset, "dev", **how)).table
        assert {name for name in table.column_names if name.startswith("sentence_")} == {
            f"sentence_{code}" for code in subset.split("-")
        }
        return table["source"].to_pylist()

    assert source() == ["pair eng_Latn"]
    assert source("fra_Latn-eng_Latn") == ["hub table fra_Latn"]
    with pytest.raises(SourceError, match="needs the column 'sentence_zul_Latn'"):
        source("zul_Latn-eng_Latn")
    for name, said in (("all/dev", "named"), ("dev", "flat"), ("eng_Latn-fra_Latn/dev", "own")):
        path = root / "facebook/flores" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rows(dict.fromkeys(("eng_Latn", "fra_Latn"), said)))
        assert source() == [f"{said} eng_Latn"]
    assert source("eng_Latn-deu_Latn") == ["hub table eng_Latn"]  # the mirror's tables lack German
    with pytest.raises(SourceError, match="needs the column 'sentence_zul_Latn'"):
        source("zul_Latn-eng_Latn")
