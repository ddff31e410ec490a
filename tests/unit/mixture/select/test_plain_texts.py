import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from xmtf.mixture.select.letters import last_bytes, letters_of
from xmtf.mixture.select.plain_texts import PlainFilters, known_by, near_filter, pass_filter


@pytest.mark.parametrize("bits", [10, 17, 22])
def test_a_filter_lets_all_of_its_own_pass_and_few_others(bits):
    random = np.random.default_rng(0)
    own, others = random.integers(0, 2**64, (2, 2**bits // 32), np.uint64)
    near = near_filter(own, bits)
    assert pass_filter(near, own).tolist() == list(range(len(own)))
    assert len(pass_filter(near, others)) <= max(3, 0.01 * len(others))


def test_the_last_bytes_of_letters_are_the_same_for_all_spellings():
    texts = ["Ab cdefgh i", "ÄB, CDEFGH", "дом \0 ДОМ", "語ab", "", "한국", unicodedata.normalize("NFD", "한국")]
    read = last_bytes(pa.array(texts))
    assert read.letters.split(b"\0")[:4] == [b"abcdefghi", b"abcdefgh", b"4><4><", b"\x9eab"]
    assert read.letters.count(b"\0") == len(texts)
    assert read.letters.split(b"\0")[5] == read.letters.split(b"\0")[6]
    assert read.dense.tolist() == [3]
    assert letters_of(texts, with_low=True).low.tobytes() == read.letters.replace(b"\0", b"")


def _filters(fields, *, enough=True):
    letters = letters_of(fields, with_low=True)
    start = np.append(0, letters.ends[:-1])
    length = letters.ends - start
    known = known_by(letters.low, start, length, length // 3)
    return PlainFilters.of(known, np.full(len(fields), enough))


@given(
    field=st.text("abсдẞ한é ", min_size=8, max_size=40),
    before=st.text("abсд,é", max_size=9),
    after=st.text("abсд,é", max_size=9),
)
def test_a_field_is_found_wherever_it_stands(field, before, after):
    assume(len(letters_of([field]).kinds) >= 8)
    texts = pa.array(["another text", f"{before} {field.swapcase()} {after}"])
    assert 1 in _filters([field]).may_hold(texts).tolist()


def test_texts_without_the_whole_field_are_not_looked_at_closely():
    filters = _filters(["The ground got wet because it rained.", "It rained all day", "He did all"])
    texts = ["the ground got wet", "It rained all night", "it rained all day!", "He does all", "SO HE DID ALL", ""]
    assert filters.may_hold(pa.array([*texts, "Привет, мир"])).tolist() == [2, 4]


def test_fields_that_are_not_enough_have_to_be_two():
    filters = _filters(["It rained all day", "He did all"], enough=False)
    texts = pa.array(["It rained all day.", "He did all", "It rained all day. He did all."])
    assert filters.may_hold(texts).tolist() == [2]
