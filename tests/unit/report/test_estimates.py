import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmtf.intervals import wilson
from xmtf.report.estimates import clustered_mean


def test_the_worked_example():
    values = np.array([1.0, 1, 0, 0, 1, 1])
    rows = np.array([0, 0, 1, 1, 2, 2])
    estimate = clustered_mean(values, rows)
    assert estimate.value == pytest.approx(4 / 6)
    # three rows with means 1, 0, 1: standard error sqrt(sum of squared deviations / (3 * 2)) = 1/3
    assert (estimate.high - estimate.low) / 2 == pytest.approx(1.959964 / 3)


def test_asking_every_row_twice_alike_adds_no_certainty():
    values = np.array([1.0, 0, 1, 1, 0])
    once = clustered_mean(values, np.arange(5))
    twice = clustered_mean(np.repeat(values, 2), np.repeat(np.arange(5), 2))
    assert twice == pytest.approx(once)


def test_all_right_still_has_an_interval():
    estimate = clustered_mean(np.ones(10), np.arange(10))
    assert estimate.value == 1
    assert estimate.low == pytest.approx(wilson(1.0, 10)[0])


def test_one_row_tells_nothing_of_a_difference():
    estimate = clustered_mean(np.array([-1.0]), np.array([0]))
    assert not estimate.excludes_zero


def test_nothing_to_average_is_an_error():
    with pytest.raises(ValueError, match="no values"):
        clustered_mean(np.array([]), np.array([], dtype=np.int64))


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6)), min_size=2, max_size=60))
def test_the_interval_holds_the_mean(pairs):
    estimate = clustered_mean(np.array([float(v) for v, _ in pairs]), np.array([c for _, c in pairs]))
    assert estimate.low <= estimate.value + 1e-12
    assert estimate.value <= estimate.high + 1e-12
