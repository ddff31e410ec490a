import numpy as np
import pyarrow as pa
import pytest

from xmtf.mixture.select.filters import cap_rows, unfit_rows


def table_of(inputs, targets=None):
    return pa.table({"inputs": pa.array(inputs, pa.string()), "targets": targets or ["t"] * len(inputs)})


def test_each_unfit_row_has_one_reason():
    table = table_of(["", "ab", "abc", "abc", "abcdef"], ["t", "t", "", "t", "t"])
    masks = unfit_rows(table, min_input_characters=3, max_characters=5)
    assert {reason: mask.tolist() for reason, mask in masks.items()} == {
        "empty inputs": [True, False, False, False, False],
        "empty target": [False, False, True, False, False],
        "inputs under 3 characters": [False, True, False, False, False],
        "over 5 characters": [False, False, False, False, True],
    }


def test_lengths_are_characters_not_bytes():
    assert unfit_rows(table_of(["中文"]), min_input_characters=2, max_characters=3) == {}


@pytest.mark.parametrize(
    ("policy", "kept"),
    [("shortest", [1, 4]), ("longest", [2, 3]), ("alphabetical", [1, 3]), ("random", [2, 4])],
)
def test_cap_policies(policy, kept):
    table = table_of(["bb", "a", "ccc", "aa", "d"])  # of equal lengths the smaller sample key wins
    keys = np.array([9, 5, 1, 6, 7 if policy == "shortest" else 2], np.uint64)
    assert cap_rows(table, np.zeros(5, np.int32), 2, policy, keys).tolist() == kept


def test_the_highest_scores_stay_and_rows_without_one_come_last():
    scores = pa.array([1.5, None, 1.1, float("nan"), 1.5, 2.0])
    table = table_of(list("abcdef")).append_column("score", scores)
    keys = np.array([9, 1, 5, 1, 2, 3], np.uint64)  # of equal scores the smaller sample key wins

    def kept(cap):
        return cap_rows(table, np.zeros(6, np.int32), cap, "score", keys).tolist()

    assert [kept(cap) for cap in (1, 2, 3, 4)] == [[5], [4, 5], [0, 4, 5], [0, 2, 4, 5]]
    assert set(kept(5)) > {0, 2, 4, 5}


def test_each_group_has_its_own_cap():
    table = table_of(["a", "b", "c", "d"])
    rows = cap_rows(table, np.array([0, 0, 1, 0], np.int32), 1, "alphabetical", np.zeros(4, np.uint64))
    assert rows.tolist() == [0, 2]


def test_without_a_cap_all_rows_stay():
    assert cap_rows(table_of(["a", "b"]), np.zeros(2, np.int32), None, "random", np.zeros(2, np.uint64)).tolist() == [
        0,
        1,
    ]
