"""A split that is read in pieces gives the mixture of the split that is read whole."""

import gzip
import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xmtf.errors import SourceError, TemplateError
from xmtf.mixture import build_mixture
from xmtf.mixture.plan.plan import mixture_slices
from xmtf.sources import SourceRef, read_source
from xmtf.sources.adapters import ADAPTERS
from xmtf.sources.adapters.base import Adapted
from xmtf.sources.stream import open_stream
from xmtf.sources.tables import read_table_file
from xmtf.tasks.prompting.pieces import Pieces
from xmtf.tasks.prompting.prompted import chosen_rows

ROWS = [{"a": n % 23, "b": n * 7 % 19} for n in range(150)]


def write(path, rows=ROWS):
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=40)
    elif path.suffix == ".csv":
        path.write_text("a;b\n" + "".join(f"{row['a']};{row['b']}\n" for row in rows))
    else:
        data = "".join(json.dumps(row) + "\n" for row in rows).encode()
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.fixture
def in_pieces(monkeypatch):
    """Return a function that has splits read in pieces of a few rows."""

    def switch():
        monkeypatch.setattr("xmtf.sources.stream.STREAMED_BYTES", 1)
        monkeypatch.setattr("xmtf.tasks.prompting.pieces._PIECE_ROWS", 20)
        monkeypatch.setattr("xmtf.sources.files.json_tables._BLOCK_ROWS", 9)
        monkeypatch.setattr("xmtf.sources.files.arrow_tables._BLOCK_ROWS", 11)

    return switch


def built(loaded, out):
    manifest = build_mixture(loaded, out)
    parts = {name: sha for name, sha in manifest.outputs.items() if name.endswith(".parquet")}
    return parts, manifest.counts


CAP = "mixture.cap_examples="


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("fr.parquet", [f"{CAP}null"]),
        ("fr.jsonl", [f"{CAP}null", "mixture.tasks.0.limit_rows=70", "mixture.deduplicate=false"]),
        ("fr.jsonl.gz", [f"{CAP}null"]),
        ("fr.csv", [f"{CAP}10"]),
        ("fr.jsonl", [f"{CAP}10", "mixture.cap_policy=longest"]),
        ("fr.parquet", [f"{CAP}31", "mixture.cap_policy=score", "mixture.cap_score=b"]),
        ("fr.parquet", [f"{CAP}9", "mixture.cap_policy=score", "mixture.cap_score=b", "mixture.tasks.0.limit_rows=90"]),
        ("fr.csv", [f"{CAP}7", "mixture.cap_policy=alphabetical", "mixture.held_out.overlap=flag"]),
    ],
)
def test_the_bytes_are_those_of_the_whole(recipe, tmp_path, in_pieces, name, settings):
    write(tmp_path / name)
    loaded = recipe(f"own_tasks.0.path={name}", *settings)
    whole, counts = built(loaded, tmp_path / "whole")
    in_pieces()
    parts, pieced = built(loaded, tmp_path / "pieces")
    assert pieced == counts
    assert parts == whole


def test_columns_that_come_late_and_numbers_that_change_are_those_of_the_whole(tmp_path, in_pieces):
    rows = [{"a": 1, "s": {"x": n}} for n in range(30)] + [{"a": 2.5, "b": "late", "s": {"y": "z"}}]
    for name in ("a.jsonl", "a.json"):
        path = tmp_path / name
        path.write_text(json.dumps(rows) if name == "a.json" else "".join(json.dumps(row) + "\n" for row in rows))
        whole = read_table_file(path)
        in_pieces()
        stream = open_stream(SourceRef("d", path=str(path)))
        assert stream is not None
        numbers, blocks = zip(*stream.blocks(), strict=True)
        assert pa.concat_tables(blocks).equals(whole, check_metadata=True)
        assert list(numbers) == [0, 9, 18, 27]
        assert stream.num_rows == len(rows)


def test_small_splits_are_read_whole(tmp_path, in_pieces):
    write(tmp_path / "a.jsonl")
    assert open_stream(SourceRef("d", path=str(tmp_path / "a.jsonl"))) is None
    in_pieces()
    with pytest.raises(SourceError, match=r"a\.jsonl: line 1 is not JSON"):
        (tmp_path / "a.jsonl").write_text("{")
        open_stream(SourceRef("d", path=str(tmp_path / "a.jsonl")))


def made(row):
    """Return sixty rows."""
    return [row(n) for n in range(60)]


def asked(n):
    return {"question": f"q{n}", "choices": ["a", "b"], "answer": "ABC"[n % 3]}


def pair(n):
    return {"translation": {"eng": f"e{n}", "swh": f"s{n}"}, "laser_score": n * 37 % 61 / 7}


def sentence(n):
    texts = {"sourceString": ["une", "", "deux", "trois", None][n % 5], "targetString": "x"}
    return {"sourceLang": "eng", "targetlang": "fra"} | texts


ADAPTED = {
    "apps": ("", made(lambda n: {"solutions": json.dumps([f"s{n}", f"t{n}"] if n % 3 else [])})),
    "wmt22": ("eng-swh", made(pair)),
    "tatoeba": ("eng-fra", made(sentence)),
    "hidden-labels": ("", made(lambda n: {"label": n % 4 - 1, "text": str(n)})),
    "options": ("", made(asked)),
    "global-mmlu": ("", made(lambda n: {"sample_id": f"s{n}"} | asked(n))),
    "ntrex-headline": ("", made(lambda n: {"document": f"d{n // 7}", "target": f"t{n}", "target_language": "fra"})),
}


@pytest.mark.parametrize("name", ADAPTED)
def test_an_adapter_makes_the_same_of_pieces(name, tmp_path, in_pieces, monkeypatch):
    subset, rows = ADAPTED[name]
    monkeypatch.setitem(ADAPTERS, "wmt22", replace(ADAPTERS["wmt22"], best=("laser_score", 25)))
    for file in ("a.parquet", "a.jsonl"):
        write(tmp_path / file, rows)
        ref = SourceRef("set", subset, path=str(tmp_path / file), adapter=name)
        whole = read_source(ref)
        in_pieces()
        pieces = list(open_stream(ref).adapted())
        together = Adapted.join(pieces)
        assert len(pieces) > 4
        assert together.table.to_pylist() == whole.table.to_pylist()
        assert together.rows.tolist() == whole.rows.tolist()
        assert together.dropped == whole.dropped


def test_rows_of_an_adapter_are_chosen_as_of_the_whole_split(recipe, tmp_path, in_pieces):
    write(tmp_path / "fr.jsonl", [row | {"label": row["a"] % 3 - 1} for row in ROWS])
    chosen = mixture_slices(recipe("mixture.cap_examples=null"))[0]
    task = replace(chosen.task, adapter="hidden-labels")
    in_pieces()
    for limit in (9, 60, 1000):
        part = replace(chosen, task=task, limit_rows=limit)
        whole = read_source(task.source("train"))
        rows = whole.rows[chosen_rows(part, whole, 0)].tolist()
        pieces = [piece.data for _, piece in Pieces(part, seed=0, offline=True)]
        assert [row for data in pieces for row in data.rows.tolist()] == rows
        assert [row for data in pieces for row in data.table.to_pylist()] == [
            ROWS[row] | {"label": ROWS[row]["a"] % 3 - 1} for row in rows
        ]
        assert sum(sum(data.dropped.values()) for data in pieces) == (0 if limit < 100 else 150 - len(rows))


def test_two_rows_of_one_key_are_refused_wherever_they_stand(tmp_path, in_pieces):
    rows = ADAPTED["global-mmlu"][1]
    write(tmp_path / "a.jsonl", [*rows, rows[0]])
    in_pieces()
    with pytest.raises(SourceError, match="two rows have the same key"):
        list(open_stream(SourceRef("set", path=str(tmp_path / "a.jsonl"), adapter="global-mmlu")).adapted())


@pytest.mark.parametrize("failing", [60, 90])
def test_the_share_of_failing_rows_is_that_of_the_whole_split(recipe, tmp_path, in_pieces, failing):
    rows = [{"a": 1 if n >= failing else None, "b": n} for n in range(150)]  # whole pieces of them fail
    (tmp_path / "fr.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    in_pieces()
    loaded = recipe("mixture.cap_examples=null", "mixture.tasks=[{tasks: [sums-fr]}]")
    if failing > 75:
        with pytest.raises(TemplateError, match=r"\[train\], template 'ask': .* on 90 of 150 rows, first on row 0"):
            build_mixture(loaded, tmp_path / "mixture")
        return
    manifest = build_mixture(loaded, tmp_path / "mixture")
    assert manifest.counts["in"] == 300
    assert sum(count for reason, count in manifest.counts["dropped"].items() if "null" in reason) == 120
