"""Guesses of how a text continues."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmtf.evaluation.generation.lookup import Lookup, worth_reading


def test_what_followed_the_same_two_tokens_is_guessed():
    lookup = Lookup((1, 2, 3, 4, 5, 6, 1, 2))
    assert lookup.guess(99, 1) == (3, 4, 5, 6)
    lookup.extend([9])
    assert lookup.guess(99, 1) == ()
    lookup.extend([1, 2])
    assert lookup.guess(2, 1) == (9, 1), "the last place counts"
    assert lookup.guess(0, 1) == ()
    assert lookup.guess(-1, 1) == ()


def test_what_reaches_the_end_of_the_text_is_repeated():
    assert Lookup("abcabc").guess(99, 1) == tuple("abca")
    assert Lookup("aaa").guess(99, 1) == tuple("aaaa")


@pytest.mark.parametrize("text", ["", "a", "ab", "aa"])
def test_short_texts_repeat_nothing(text):
    assert Lookup(text).guess(9, 1) == ()


def test_guesses_grow_with_those_that_were_right():
    lookup = Lookup("aaa")
    lookup.learn(4, 4)
    assert len(lookup.guess(99, 1)) == 8
    lookup.learn(8, 8)
    assert len(lookup.guess(99, 1)) == 8
    lookup.learn(8, 2)
    assert len(lookup.guess(99, 1)) == 3
    lookup.learn(3, 0)
    assert len(lookup.guess(99, 1)) == 1


def test_many_rows_guess_less():
    lookup = Lookup("aaa")
    lookup.learn(4, 4)
    assert [len(lookup.guess(99, rows)) for rows in (1, 16, 32, 64, 128, 1000)] == [8, 7, 3, 1, 0, 0]


@given(st.lists(st.sampled_from("ab"), max_size=30), st.lists(st.sampled_from("ab"), max_size=30))
def test_a_text_that_grows_guesses_as_one_read_at_once(first, more):
    grown = Lookup(first)
    grown.extend(more)
    text = "".join(first + more)
    guess = "".join(grown.guess(4, 1))
    assert guess == "".join(Lookup(text).guess(4, 1))
    earlier = text[:-1].rfind(text[-2:]) if len(text) > 2 else -1
    assert guess[:1] == (text[earlier + 2] if earlier >= 0 else "")


def test_few_guesses_among_many_rows_are_left_out():
    assert worth_reading([(1,), (2,), (3,), ()])
    assert not worth_reading([(1,), (), (3,), ()])
    assert worth_reading([(1,)])
