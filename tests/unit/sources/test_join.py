"""Subsets whose rows become one row: what a pair of languages is where every language is a subset of its own."""

from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xmtf.errors import ConfigError, SourceError
from xmtf.sources import SourceRef, read_source
from xmtf.sources.fetch import sources_to_fetch
from xmtf.sources.join import NO_KEY, UNMATCHED
from xmtf.sources.locate import is_here
from xmtf.sources.read import fingerprint_source
from xmtf.sources.reference import Join
from xmtf.tasks import load_catalogue
from xmtf.tasks.entries import read_catalogue_file

ENGLISH = [{"id": 3, "text": "a cat", "topic": "animals"}, {"id": 1, "text": "hello", "topic": "words"}]
SWAHILI = [{"id": 2, "text": "mbwa"}, {"id": 3, "text": "paka"}, {"id": 1, "text": " "}]


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.setenv("XMTF_DATA_ROOT", str(tmp_path))

    def one(subset, rows, dataset="own/flores"):
        (tmp_path / dataset / subset).mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / dataset / subset / "devtest.parquet")

    return one


def pair(first="eng_Latn", second="swh_Latn", on="id", **more):
    return SourceRef(
        "own/flores", f"{first}-{second}", "devtest", join=Join(on, {"source": first, "target": second}), **more
    )


def test_rows_with_one_key_are_one_row_that_has_the_number_of_its_key(write):
    write("eng_Latn", [*ENGLISH, {"id": None, "text": "lost", "topic": ""}, {"id": 9, "text": "alone", "topic": ""}])
    assert not is_here(pair())
    write("swh_Latn", SWAHILI)
    assert is_here(pair())
    read = read_source(pair(), offline=True)
    assert read.table.to_pylist() == [
        {"id": 3, "source_text": "a cat", "source_topic": "animals", "target_text": "paka"},
        {"id": 1, "source_text": "hello", "source_topic": "words", "target_text": " "},
    ]
    assert read.rows.tolist() == [3, 1]
    assert read.dropped == {NO_KEY: 1, UNMATCHED: 1}
    assert fingerprint_source(pair(), offline=True) == read.fingerprint
    adapted = read_source(pair(adapter="joined-text"), offline=True)
    assert adapted.table.to_pylist() == [
        {"source": "a cat", "target": "paka", "source_language_name": "English", "target_language_name": "Swahili"}
    ]
    assert (adapted.rows.tolist(), adapted.dropped) == ([3], {NO_KEY: 1, UNMATCHED: 1, "empty segment": 1})
    write("swh_Latn", SWAHILI[:2])
    assert fingerprint_source(pair(), offline=True) != read.fingerprint


def test_a_row_has_one_number_whatever_it_is_joined_with(write):
    keys = ["x", "y", "z"]
    for code, order in (("eng_Latn", keys), ("swh_Latn", keys[::-1]), ("fra_Latn", keys[1:])):
        write(code, [{"uid": key, "text": f"{code} {key}"} for key in order])
    found = {
        code: dict(zip(read.table.column("uid").to_pylist(), read.rows.tolist(), strict=True))
        for code in ("swh_Latn", "fra_Latn")
        if (read := read_source(pair(second=code, on="uid"), offline=True))
    }
    assert found["fra_Latn"] == {key: found["swh_Latn"][key] for key in keys[1:]}
    assert len(set(found["swh_Latn"].values())) == 3


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [{"key": 1}],
            "subset 'swh_Latn' has no column 'id' to join by; there are key",
        ),
        ([{"id": 1}, {"id": 1}], "1 keys occur in several rows of 'id': 1"),
        ([{"id": "1"}], "not of one type in all subsets .eng_Latn: int64, swh_Latn: large_string"),
        ([{"id": 0.5}], "of type double; name one of numbers or texts"),
    ],
)
def test_what_cannot_be_joined_is_refused(write, rows, message):
    write("eng_Latn", ENGLISH)
    write("swh_Latn", rows)
    with pytest.raises(SourceError, match=message):
        read_source(pair(), offline=True)


def test_a_subset_that_is_missing_is_named(write):
    write("eng_Latn", ENGLISH)
    with pytest.raises(SourceError, match=r"own/flores/swh_Latn \[devtest\].*swh_Latn/devtest.parquet"):
        read_source(pair(), offline=True)


def test_pairs_are_fetched_as_the_subsets_that_they_join_each_once():
    tasks = load_catalogue().tasks
    names = ("eng_Latn-swh_Latn", "swh_Latn-eng_Latn", "eng_Latn-cmn_Hant")
    refs = [tasks[f"flores-plus/{name}"].source("devtest") for name in names]
    assert [ref.subset for ref in sources_to_fetch(refs)] == ["eng_Latn", "swh_Latn", "cmn_Hant"]
    assert all(ref.adapter is None for ref in sources_to_fetch(refs))
    assert tasks["flores-plus/eng_Latn-cmn_Hant"].language == "zh-Hant"
    assert sum(name.startswith("flores-plus/") for name in tasks) == 2 * 208
    renamed = replace(refs[0], on_hub=("theirs/flores", "eng_Latn-swh_Latn", "test"))
    assert [part.asked for part in renamed.parts] == [
        ("theirs/flores", code, "test") for code in ("eng_Latn", "swh_Latn")
    ]


ENTRY = """
tasks:
  - id: crossed
    cluster: exams
    dataset: own/exams
    splits: {evaluation: [test]}
    templates: multiple-choice
    LANGUAGES
    join: JOIN
"""


def entry(tmp_path, join, languages):
    path = tmp_path / "mine.yaml"
    path.write_text(ENTRY.replace("JOIN", join).replace("LANGUAGES", languages))
    return read_catalogue_file(path)


def test_any_subsets_of_a_set_can_be_joined(tmp_path):
    join = "{on: uid, subsets: {question: '{subset}', options: EN_US}}"
    (task,) = entry(tmp_path, join, "subsets: {SW_KE: sw}")
    assert task.join == Join("uid", {"question": "SW_KE", "options": "EN_US"})
    assert [part.subset for part in task.source("test").parts] == ["SW_KE", "EN_US"]


@pytest.mark.parametrize(
    ("join", "languages", "message"),
    [
        ("{on: id}", "subsets: {sw: sw}", "join: 'sw' has no parts before and after a `-`; give `subsets` of the join"),
        ("{on: id}", "language: sw", "join: 'the entry' has no parts"),
        ("{on: id, subsets: {a: '{sub}', b: x}}", "language: sw", "subset '{sub}': only {subset}"),
        ("{on: id, subsets: {a: x}}", "language: sw", "join.subsets"),
        (
            "{on: id}",
            "pairs: {codes: [sw, en]}\n    flat: true",
            "flat: subsets that are joined are files",
        ),
        ("{on: id}", "pairs: {codes: [sw, en]}\n    hub: {subset: x}", "hub.subset: subsets that are joined"),
    ],
)
def test_a_join_that_cannot_be_meant_is_refused(tmp_path, join, languages, message):
    with pytest.raises(ConfigError, match=message):
        entry(tmp_path, join, languages)


def test_rows_that_would_have_one_number_are_refused(write, monkeypatch):
    write("eng_Latn", [{"id": "a", "text": "a cat"}, {"id": "b", "text": "hello"}])
    write("swh_Latn", [{"id": "b", "text": "habari"}, {"id": "a", "text": "paka"}])
    assert len(set(read_source(pair()).rows.tolist())) == 2
    monkeypatch.setattr("xmtf.sources.join._number", lambda key: 7)
    with pytest.raises(SourceError, match="two keys of column 'id' have the same row number"):
        read_source(pair())
