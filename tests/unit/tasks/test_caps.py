import numpy as np
import pytest

from xmtf.tasks.caps import tightest, within_cap
from xmtf.tasks.task import Slice, Task

TASK = Task("own/fr", "qa", "own", "", "fr", splits={"train": ("train",)})


@pytest.mark.parametrize(
    ("own", "further", "kept"), [(5, 3, 3), (3, 5, 3), (None, 4, 4), (4, None, 4), (None, None, None)]
)
def test_the_tightest_cap_counts(own, further, kept):
    assert Slice(TASK, "train", (), cap_examples=own).capped(further).cap_examples == kept
    assert tightest(own, further) == kept


def test_the_smallest_draws_stay_in_their_order():
    draws = np.array([7, 2, 9, 4], np.uint64)
    assert within_cap(draws, 2).tolist() == [1, 3]
    assert within_cap(draws, 4).tolist() == within_cap(draws, None).tolist() == [0, 1, 2, 3]
    assert within_cap(draws, 0).tolist() == []
    assert within_cap(np.zeros(0, np.uint64), 2).tolist() == []


def test_a_cap_is_never_exceeded_where_draws_are_equal():
    assert len(within_cap(np.zeros(9, np.uint64), 4)) == 4
