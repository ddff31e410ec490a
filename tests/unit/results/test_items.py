"""Items on disk: a file a suite, a row group a job; files of earlier versions are read, damaged ones named."""

import socket
from dataclasses import asdict, replace

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xmtf.errors import ConfigError, DataError
from xmtf.records import Provenance
from xmtf.results.files import check_results
from xmtf.results.items import ITEM_SCHEMA, About, JobInfo, item_files, item_paths, open_items, suite_items, suite_path
from xmtf.text.lines import to_line

ASKED = Provenance("fr", "en", "none", "xnli/fr", "nli", "facebook/xnli", "fr", "validation", "guess")
EARLIER = [name for name in ITEM_SCHEMA.names if name not in ("cluster", "dataset", "subset", "joint")]
"""Columns of the first version, but ``joint``, which came later."""


def job(suite="one", template="guess"):
    return About(JobInfo(suite, "rows", "rank", replace(ASKED, template=template), "h", ("accuracy",), {"cut": 1}),
                 "m", "f", "bloomz", {"torch": "2"}, hashes={"weights": "w"})  # fmt: skip


def table(about, rows):
    shared = {"suite": about.job.suite, **asdict(about.job.provenance)}
    made = [{**shared, "row": row, "prompt": f"p{row}", "choices": ["a", "b"], "correct": row > 1} for row in rows]
    return pa.Table.from_pylist(made, schema=ITEM_SCHEMA)


JOBS = [
    (job("one", "guess"), [0, 1, 2]),
    (job("two", "guess"), [7]),
    (job("one", "none"), []),
    (job("one", "last"), [5]),
]


def write(folder, jobs=JOBS):
    with suite_items(folder) as items:
        for about, rows in jobs:
            items.add(table(about, rows), about)


def write_earlier(folder, about, rows):
    """Write a file of one job as version 0.1.0 did before suites had files."""
    told = to_line(about) | {"job": to_line(about.job)}
    path = folder / "items" / f"{about.job.suite}--{about.job.provenance.template}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    old = table(about, rows).select(EARLIER).replace_schema_metadata({b"xmtf": orjson.dumps(told)})
    pq.write_table(old, path, compression="zstd")
    return path


def test_a_suite_is_a_file_and_a_job_a_row_group(tmp_path):
    write(tmp_path)
    assert [path.name for path in item_paths(tmp_path)] == ["one.parquet", "two.parquet"]
    (one, two) = item_files(tmp_path)
    assert [about.job.provenance.template for about in one.jobs] == ["guess", "none", "last"]
    assert (one.rows, two.rows) == ((3, 0, 1), (1,))
    assert pq.ParquetFile(one.path).num_row_groups == 3
    assert one.jobs[0] == JOBS[0][0]
    assert one.read()["row"].to_pylist() == [0, 1, 2, 5]
    assert one.read(["row", "template"], [2]).to_pylist() == [{"row": 5, "template": "last"}]
    assert [rows["row"].to_pylist() for _, rows in one.each_job(["row"])] == [[0, 1, 2], [], [5]]
    assert pq.read_table(one.path).column_names == ITEM_SCHEMA.names


def test_jobs_of_earlier_versions_are_read(tmp_path):
    for about, rows in JOBS:
        write_earlier(tmp_path, about, rows)
    found = [found for file in item_files(tmp_path) for found in file.each_job()]
    read = {(told.job.suite, told.job.provenance.template): (told, rows) for told, rows in found}
    for about, rows in JOBS:
        told, items = read[about.job.suite, about.job.provenance.template]
        assert told == about
        assert items.equals(table(about, rows))


def test_new_items_take_the_place_of_all_that_were_there(tmp_path):
    old = write_earlier(tmp_path, *JOBS[0])
    write(tmp_path, JOBS[1:2])
    assert not old.exists()
    assert [path.name for path in item_paths(tmp_path)] == ["two.parquet"]


def test_items_that_were_not_all_written_leave_those_before(tmp_path):
    write(tmp_path)
    before = {path.name: path.read_bytes() for path in item_paths(tmp_path)}
    with pytest.raises(KeyboardInterrupt), suite_items(tmp_path) as items:
        items.add(table(*JOBS[3]), JOBS[3][0])
        raise KeyboardInterrupt
    assert {path.name: path.read_bytes() for path in (tmp_path / "items").iterdir()} == before


def test_what_a_killed_evaluation_left_is_neither_read_nor_kept(tmp_path):
    (tmp_path / "items").mkdir()
    rest = tmp_path / "items" / f".one.parquet.{socket.gethostname()}-99999999.tmp"
    rest.write_bytes(b"PAR1 cut sh")
    assert item_files(tmp_path) == []
    write(tmp_path)
    assert sorted(path.name for path in (tmp_path / "items").iterdir()) == ["one.parquet", "two.parquet"]


def test_files_of_others_are_neither_read_nor_deleted(tmp_path):
    (tmp_path / "items").mkdir()
    mine = tmp_path / "items" / "mine.parquet"
    pq.write_table(pa.table({"row": [1]}), mine)
    with pytest.raises(ConfigError, match="contains something other than results"):
        check_results(tmp_path, never="completions.jsonl")
    with pytest.raises(DataError, match=r"mine\.parquet: not an items file"):
        item_files(tmp_path)
    write(tmp_path)
    assert mine.exists()


@pytest.mark.parametrize(
    ("told", "match"),
    [
        ([], "not an items file"),
        ([{"rows": 3}], "job 1: not a job of an evaluation"),
        ([{"rows": 2, **to_line(JOBS[0][0]), "job": to_line(JOBS[0][0].job)}], "not an items file"),
        ([{"rows": 3, **to_line(JOBS[0][0]), "job": to_line(JOBS[0][0].job) | {"split": 1}}], "job 1: split is 1"),
    ],
)
def test_damaged_files_are_named(tmp_path, told, match):
    path = tmp_path / "bad.parquet"
    writer = pq.ParquetWriter(path, ITEM_SCHEMA)
    writer.write_table(table(*JOBS[0]))
    writer.add_key_value_metadata({"xmtf_jobs": orjson.dumps(told)})
    writer.close()
    with pytest.raises(DataError, match=match) as raised:
        open_items(path)
    assert "bad.parquet" in str(raised.value)


def test_a_file_cut_short_is_named(tmp_path):
    write(tmp_path)
    path = tmp_path / "items" / "one.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"one\.parquet"):
        item_files(tmp_path)


def test_file_names_are_safe_and_distinct(tmp_path):
    one, other = suite_path(tmp_path, "rows: a/b?"), suite_path(tmp_path, "rows_ a_b_")
    assert one.parent == other.parent == tmp_path / "items"
    assert one != other
    assert " " not in one.name
