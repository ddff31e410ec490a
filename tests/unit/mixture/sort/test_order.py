import json
from collections import Counter
from itertools import chain

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmtf.mixture.select.choose import Chosen
from xmtf.mixture.select.keys import Keys
from xmtf.mixture.sort.order import SampleKeys, cut_range, key_ranges, order_range, part_starts, sample_limit
from xmtf.mixture.sort.runs import write_runs
from xmtf.records import Provenance


def run_of(folder, name, highs):
    """A run in ``folder`` whose examples have these keys."""
    table = pa.table(
        {
            "inputs": [f"{name} {high}" for high in highs],
            "targets": ["t"] * len(highs),
            "choices": pa.nulls(len(highs), pa.list_(pa.string())),
            "row": list(range(len(highs))),
        }
    )
    keys = Keys(np.array(highs, np.uint64), np.array(highs, np.uint64))
    group = Provenance("fr", "en", "none", name, "cluster", name, "", "train", "template")
    chosen = Chosen(table, keys, [group], np.zeros(len(highs), np.int32), Counter(), [])
    [run] = write_runs(folder, name, chosen)
    return {"path": run.file, "limit": None}


@pytest.fixture
def work(tmp_path):
    (tmp_path / "ranges").mkdir()
    return tmp_path


def ordered(work, runs, name="fr-0", start=0, stop=None):
    """Run the shard function on a range; return its folder and its result."""
    (work / "runs.json").write_text(json.dumps({"runs": runs}))
    folder = work / "ranges" / name
    folder.mkdir()
    spec = {"runs": "runs.json", "runs_hash": "", "sampled": True, "start": start, "stop": stop}
    return folder, order_range(spec, folder)


def test_of_equal_keys_the_first_run_keeps_its_example(work):
    folder, result = ordered(work, [run_of(work, "anli", [4, 1]), run_of(work, "xnli", [2, 4, 7])])
    assert np.load(folder / "high.npy").tolist() == [1, 2, 4, 7]
    assert np.load(folder / "run.npy").tolist() == [0, 1, 0, 1]
    assert result == {"sizes": [2, 2], "duplicates": [0, 1]}


def test_ranges_together_are_the_whole(work):
    runs = [run_of(work, "anli", [4, 1]), run_of(work, "xnli", [2, 4, 7])]
    first, below = ordered(work, runs, "fr-0", 0, 4)
    second, above = ordered(work, runs, "fr-1", 4)
    assert [np.load(folder / "high.npy").tolist() for folder in (first, second)] == [[1, 2], [4, 7]]
    assert (below["sizes"], above["sizes"], above["duplicates"]) == ([1, 1], [1, 1], [0, 1])


@given(st.integers(0, 2000), st.integers(1, 50))
def test_ranges_cover_all_keys_once(rows, range_rows):
    ranges = key_ranges(rows, range_rows)
    assert ranges[0][0] == 0
    assert ranges[-1][1] is None
    assert [stop for _, stop in ranges[:-1]] == [start for start, _ in ranges[1:]]
    assert rows <= len(ranges) * range_rows


@given(st.lists(st.integers(0, 20), min_size=1), st.integers(1, 7))
def test_parts_begin_every_so_many_examples_over_all_ranges(sizes, part_rows):
    before = np.cumsum([0, *sizes])
    starts = [
        int(first) + position
        for first, of in zip(before[:-1], part_starts(sizes, part_rows), strict=True)
        for position in of
    ]
    assert starts == list(range(0, sum(sizes), part_rows))
    assert all(
        position < size for size, of in zip(sizes, part_starts(sizes, part_rows), strict=True) for position in of
    )


def test_cuts_are_keys_of_what_is_sampled(work):
    runs = [run_of(work, "anli", [1, 3, 5, 7, 9]), run_of(work, "xnli", [2, 4])]
    ordered(work, runs)
    limits = [0, None]  # nothing of the first run stays
    entries = [run | {"limit": limit} for run, limit in zip(runs, limits, strict=True)]
    (work / "order.json").write_text(json.dumps({"runs": entries}))
    spec = {"range": "ranges/fr-0", "order": "order.json", "positions": [0, 1]}
    assert cut_range(spec, work / "cuts" / "fr-0") == {"keys": [2, 4]}


@given(st.lists(st.lists(st.integers(0, 2**64 - 1), max_size=30), min_size=1, max_size=4), st.integers(0, 100))
def test_a_limit_lets_exactly_the_quota_through(arrays, quota):
    keys = [np.sort(np.array(array, np.uint64)) for array in arrays]
    together = sorted(set(chain(*arrays)))
    limit = sample_limit(keys, quota)
    if quota >= sum(map(len, arrays)):
        assert limit is None
    elif len(together) == sum(map(len, arrays)):
        assert limit == together[quota]


def test_a_sample_is_counted_without_reading_the_examples(work):
    runs = [run_of(work, "anli", list(range(50))), run_of(work, "xnli", [60, 61])]
    folders, results = zip(ordered(work, runs, "fr-0", 0, 20), ordered(work, runs, "fr-1", 20), strict=True)
    found = SampleKeys(folders, [result["sizes"] for result in results])
    limit = sample_limit(found.of_runs([0]), 7)
    expected = np.sort(Keys(*[np.arange(50, dtype=np.uint64)] * 2).sample_keys())
    assert limit == int(expected[7])
    assert np.sum(found.sizes([limit, None]), axis=0).tolist() == [7, 2]
    assert np.sum(found.sizes([sample_limit(found.of_runs([0]), 0), None]), axis=0).tolist() == [0, 2]
    assert sample_limit(found.of_runs([1]), 2) is None
