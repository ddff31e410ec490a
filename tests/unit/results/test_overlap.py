"""Overlap on disk: what was found in which data."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xmtf.errors import DataError, SourceError
from xmtf.results.overlap import OVERLAP, Overlap, read_overlap, write_overlap

FOUND = {
    "xnli/fr [validation]": (np.array([0, 2, 5]), np.array([True, False, True])),
    "odd [name] [test]": (np.array([1]), np.array([False])),
}


def test_overlap_reads_back(tmp_path):
    write_overlap(tmp_path / OVERLAP, Overlap("mix", 13, {"xnli/fr [validation]": "abc"}, FOUND))
    for path in (tmp_path, tmp_path / OVERLAP):
        found = read_overlap(path)
        assert (found.mixture, found.words, found.data) == ("mix", 13, {"xnli/fr [validation]": "abc"})
        assert found.seen("xnli/fr", "validation", np.array([5, 2])).tolist() == [True, False]
        assert found.seen("odd [name]", "test", np.array([1])).tolist() == [False]


def test_rows_that_nobody_looked_for_are_unknown():
    found = Overlap("mix", 13, {}, FOUND)
    for task, rows in (("xnli/fr", [0, 1]), ("xnli/fr", [6]), ("xnli/sw", [0])):
        assert found.seen(task, "validation", np.array(rows)) is None


def test_nothing_found_is_written_too(tmp_path):
    write_overlap(tmp_path / OVERLAP, Overlap("", 5, {}, {}))
    assert read_overlap(tmp_path).found == {}


def test_another_file_is_refused(tmp_path):
    with pytest.raises(SourceError, match=r"has no overlap\.parquet; `xmtf analyze contamination"):
        read_overlap(tmp_path)
    (tmp_path / OVERLAP).write_text("task,row")
    with pytest.raises(DataError, match="not an overlap file written by"):
        read_overlap(tmp_path)
    pq.write_table(pa.table({"task": ["x"]}), tmp_path / OVERLAP)
    with pytest.raises(DataError, match="not an overlap file written by"):
        read_overlap(tmp_path)
