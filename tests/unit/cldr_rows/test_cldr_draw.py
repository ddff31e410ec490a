"""Draws depend on texts alone: the same on every machine, in every process."""

from hypothesis import given
from hypothesis import strategies as st

from cldr_rows.draw import deal, draw, pick, split_rows, stable_hash


def test_hash_is_the_same_everywhere():
    assert stable_hash("dates", "fr", 0) == 17842666322414061016
    assert stable_hash("a", "bc") != stable_hash("ab", "c")


@given(st.sets(st.text(max_size=4), max_size=12), st.integers(0, 15), st.text(max_size=3))
def test_draw_takes_each_item_once(items, count, seed):
    pool = sorted(items)
    drawn = draw(pool, count, seed)
    assert len(drawn) == min(count, len(pool)) == len(set(drawn))
    assert set(drawn) <= items
    assert draw(pool, count, seed) == drawn


def test_draw_leaves_out():
    assert sorted(draw("abcd", 9, "x", without="bd")) == ["a", "c"]


@given(st.lists(st.text(max_size=3), max_size=5), st.text(max_size=3))
def test_deal_keeps_the_wrong_answers_in_order(wrong, seed):
    choices, label = deal("right", wrong, seed)
    assert choices[label] == "right"
    assert choices[:label] + choices[label + 1 :] == wrong


def test_deal_puts_the_answer_everywhere():
    labels = [deal("r", ["a", "b", "c"], row)[1] for row in range(400)]
    assert all(70 < labels.count(place) < 130 for place in range(4))


def test_pick_reaches_every_item():
    assert {pick("abc", row) for row in range(50)} == set("abc")


def test_equal_keys_share_a_split_and_repeated_rows_are_left_out():
    rows = [{"key": f"k{i % 50}", "value": i % 100, "fact": i % 50} for i in range(200)]
    splits = split_rows(rows)
    train, test = (set(splits[name]["fact"].to_pylist()) for name in ("train", "test"))
    assert not train & test
    assert train | test == set(range(50))
    assert splits["train"].num_rows + splits["test"].num_rows == 100
    assert splits["train"].column_names == ["value", "fact"]
    assert 2 <= len(test) <= 20
