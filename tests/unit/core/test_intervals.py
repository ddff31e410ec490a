import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from xmtf.intervals import bootstrap_mean, wilson


@given(st.integers(0, 40), st.integers(1, 40))
def test_wilson_agrees_with_scipy(right, more):
    count = max(right, more)
    expected = binomtest(right, count).proportion_ci(method="wilson")
    assert wilson(right / count, count) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_bootstrap_is_seeded_and_holds_the_mean():
    values = [0.0, 1.0] * 50
    low, high = bootstrap_mean(values)
    assert (low, high) == bootstrap_mean(values)
    assert 0.38 < low < 0.42
    assert 0.58 < high < 0.62
