import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from xmtf.mixture.select.keys import Keys, concat_keys, hash_strings, mix, row_keys


def keys_of(inputs, targets, seed=0, origin=None):
    return row_keys(hash_strings(pa.array(inputs)), hash_strings(pa.array(targets)), seed, origin)


def test_equal_examples_have_equal_keys_and_stand_side_by_side():
    keys = keys_of(["1 + 1", "1 + 1", "1 + 1"], ["2", "two", "2"])
    order = keys.order()
    assert order[keys.is_first(order)].tolist() in ([0, 1], [1, 0])


def test_swapping_inputs_and_targets_is_another_example():
    keys = keys_of(["a", "b"], ["b", "a"])
    assert keys.is_first(keys.order()).all()


def test_another_seed_gives_another_order():
    texts = [str(number) for number in range(100)]
    assert keys_of(texts, texts, 1).order().tolist() != keys_of(texts, texts, 2).order().tolist()


def test_an_origin_tells_equal_examples_apart():
    keys = keys_of(["a", "a"], ["b", "b"], origin=np.array([1, 2], np.uint64))
    assert keys.is_first(keys.order()).all()


def test_rows_with_equal_high_words_are_told_apart_by_the_low_word():
    keys = Keys(np.array([5, 5, 5], np.uint64), np.array([1, 2, 1], np.uint64))
    order = keys.order()
    assert order.tolist() == [0, 2, 1]
    assert keys.is_first(order).tolist() == [True, False, True]


def test_hashes_do_not_depend_on_chunks_slices_or_offset_width():
    texts = ["x", "été", "", "中文", "long " * 100]
    whole = hash_strings(pa.array(texts))
    assert np.array_equal(whole, hash_strings(pa.chunked_array([texts[:2], texts[2:]])))
    assert np.array_equal(whole, hash_strings(pa.array(texts, pa.large_string())))
    assert np.array_equal(whole[1:4], hash_strings(pa.array(texts).slice(1, 3)))


def test_no_rows():
    keys = concat_keys([])
    assert len(keys) == 0
    assert keys.order().tolist() == []
    assert hash_strings(pa.chunked_array([], pa.string())).shape == (0, 2)


@given(st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3)), max_size=40))
def test_as_many_keys_as_distinct_examples(rows):
    keys = keys_of(pa.array([row[0] for row in rows], pa.string()), pa.array([row[1] for row in rows], pa.string()))
    assert keys.is_first(keys.order()).sum() == len(set(rows))


def test_mix_loses_nothing():
    assert len(set(mix(np.arange(1000, dtype=np.uint64)).tolist())) == 1000
