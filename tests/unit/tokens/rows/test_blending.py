"""Blending by largest deficit."""

import pytest

from xmtf.tokens.rows.blending import Blend, Once


def test_worked_example() -> None:
    streams, rows = Blend([0.5, 0.3, 0.2]).rows(0, 10)
    assert streams.tolist() == [0, 1, 2, 0, 1, 0, 2, 0, 1, 0]
    assert rows.tolist() == [0, 0, 0, 1, 1, 2, 1, 3, 2, 4]


def test_any_prefix_is_within_a_row_of_its_weights() -> None:
    weights = [0.62, 0.25, 0.1, 0.03]
    streams, _ = Blend(weights).rows(0, 9000)
    for stop in (1, 7, 100, 5000, 9000):
        for stream, weight in enumerate(weights):
            assert abs((streams[:stop] == stream).sum() - weight * stop) <= 1.5


def test_a_part_is_the_same_as_the_whole() -> None:
    whole = Blend([3, 2, 1]).rows(0, 10_000)
    part = Blend([0.5, 1 / 3, 1 / 6]).rows(8000, 8100)
    assert [side[8000:8100].tolist() for side in whole] == [side.tolist() for side in part]


@pytest.mark.parametrize("weights", [[], [1.0, 0.0], [1.0, float("nan")]])
def test_unusable_weights(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Blend(weights)


def test_streams_that_end_are_stepped_over():
    lengths = (4, 1, 2)
    once = Once([0.5, 0.3, 0.2], lambda stream, row: row < lengths[stream])
    streams, rows = once.rows(0, 7)
    assert list(zip(streams.tolist(), rows.tolist(), strict=True)) == [
        (0, 0), (1, 0), (2, 0), (0, 1), (0, 2), (2, 1), (0, 3),
    ]  # fmt: skip
    assert (once.available(3), once.available(99)) == (3, 7)
    with pytest.raises(ValueError, match="there are 7 rows, not 8"):
        once.rows(7, 8)
