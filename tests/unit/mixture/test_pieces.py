"""A split that is read in pieces gives the mixture of the split that is read whole."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xmtf.errors import SourceError, TemplateError
from xmtf.mixture import build_mixture
from xmtf.sources import SourceRef
from xmtf.sources.stream import open_stream
from xmtf.sources.tables import read_table_file

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


@pytest.mark.parametrize("name", ["fr.parquet", "fr.jsonl", "fr.jsonl.gz", "fr.csv"])
@pytest.mark.parametrize(
    "settings",
    [
        ["mixture.cap_examples=null"],
        ["mixture.cap_examples=null", "mixture.tasks.0.limit_rows=70", "mixture.deduplicate=false"],
        ["mixture.cap_examples=10"],
        ["mixture.cap_examples=10", "mixture.cap_policy=longest"],
    ],
    ids=["all", "limited", "capped", "longest"],
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


def test_small_splits_and_those_of_adapters_are_read_whole(tmp_path, in_pieces):
    write(tmp_path / "a.jsonl")
    assert open_stream(SourceRef("d", path=str(tmp_path / "a.jsonl"))) is None
    in_pieces()
    assert open_stream(SourceRef("d", path=str(tmp_path / "a.jsonl"), adapter="hidden-labels")) is None
    with pytest.raises(SourceError, match=r"a\.jsonl: line 1 is not JSON"):
        (tmp_path / "a.jsonl").write_text("{")
        open_stream(SourceRef("d", path=str(tmp_path / "a.jsonl")))


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
