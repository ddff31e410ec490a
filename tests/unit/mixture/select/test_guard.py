import numpy as np
import pyarrow as pa

from xmtf.mixture.select.guard import Asked, read_guard, write_guard
from xmtf.mixture.select.keys import hash_strings


def asked(suite, inputs):
    return Asked(suite, f"task of {suite}", "test", hash_strings(pa.array(inputs)))


def test_the_guard_finds_what_a_suite_asks_and_names_it(tmp_path):
    write_guard(tmp_path, [asked("first", ["a", "b"]), asked("second", ["c", "b"])])
    guard = read_guard(tmp_path)
    found = guard.find(hash_strings(pa.array(["x", "c", "b", ""])))
    assert found.tolist() == [-1, 1, 0, -1]
    assert guard.sources[1] == {"suite": "second", "task": "task of second", "split": "test"}


def test_inputs_that_agree_in_their_first_half_only_are_different(tmp_path):
    hashes = np.array([[7, 1], [7, 3], [9, 1]], np.uint64)
    write_guard(tmp_path, [Asked("suite", "task", "test", hashes)])
    guard = read_guard(tmp_path)
    assert guard.find(np.array([[7, 3], [7, 2], [9, 2], [9, 1]], np.uint64)).tolist() == [0, -1, -1, 0]


def test_a_guard_without_suites_finds_nothing(tmp_path):
    write_guard(tmp_path, [])
    assert read_guard(tmp_path).find(np.array([[1, 2]], np.uint64)).tolist() == [-1]
