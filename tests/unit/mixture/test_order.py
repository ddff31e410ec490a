from collections import Counter

import numpy as np
import pyarrow as pa

from xmtf.mixture.choose import Chosen
from xmtf.mixture.groups import Group
from xmtf.mixture.keys import Keys
from xmtf.mixture.order import language_order, part_ranges, sample_limit
from xmtf.mixture.runs import write_runs


def run_of(folder, name, highs):
    table = pa.table(
        {
            "inputs": [f"{name} {high}" for high in highs],
            "targets": ["t"] * len(highs),
            "choices": pa.nulls(len(highs), pa.list_(pa.string())),
            "row": list(range(len(highs))),
        }
    )
    keys = Keys(np.array(highs, np.uint64), np.array(highs, np.uint64))
    group = Group("fr", "en", "none", name, "cluster", name, "", "train", "template")
    chosen = Chosen(table, keys, [group], np.zeros(len(highs), np.int32), Counter(), [])
    [run] = write_runs(folder, name, chosen)
    return folder / run.file


def test_of_equal_keys_the_first_run_keeps_its_example(tmp_path):
    runs = [run_of(tmp_path, "anli", [4, 1]), run_of(tmp_path, "xnli", [2, 4, 7])]
    order = language_order(runs)
    assert order.keys.high.tolist() == [1, 2, 4, 7]
    assert order.run_of_row.tolist() == [0, 1, 0, 1]
    assert order.duplicates == [0, 1]
    assert order.sizes() == [2, 2]


def test_parts_cut_the_keys(tmp_path):
    order = language_order([run_of(tmp_path, "anli", [1, 2, 4, 7, 9])])
    assert [(part.start, part.stop, part.rows) for part in part_ranges(order.keys, 2)] == [
        (0, 4, 2),
        (4, 9, 2),
        (9, None, 1),
    ]


def test_a_sample_has_exactly_its_quota(tmp_path):
    order = language_order([run_of(tmp_path, "anli", list(range(50))), run_of(tmp_path, "xnli", [60, 61])])
    limit = sample_limit(order.sample_keys_of([0]), 7)
    assert order.sampled([limit, None]).sizes() == [7, 2]
    assert order.sampled([sample_limit(order.sample_keys_of([0]), 0), None]).sizes() == [0, 2]
    assert sample_limit(order.sample_keys_of([1]), 2) is None
