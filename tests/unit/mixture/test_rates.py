from hypothesis import given
from hypothesis import strategies as st

from xmtf.mixture.rates import quotas
from xmtf.recipe.schema import Rates


def sampled(policy, max_examples, temperature=1.0):
    return Rates(policy=policy, max_examples=max_examples, temperature=temperature)


def test_all_keeps_every_example():
    assert quotas([3, 5], [1, 1], Rates()) == [3, 5]


def test_proportional_and_temperature():
    assert quotas([900, 90, 10], [1, 1, 1], sampled("proportional", 10)) == [9, 1, 0]
    assert quotas([900, 90, 10], [1, 1, 1], sampled("temperature", 10, 2.0)) == [7, 2, 1]


def test_a_rate_multiplies_the_share():
    assert quotas([100, 100], [3, 1], sampled("proportional", 40)) == [30, 10]


def test_a_small_task_gives_all_it_has_and_the_others_the_rest():
    assert quotas([2, 100, 100], [50, 1, 1], sampled("proportional", 42)) == [2, 20, 20]


def test_enough_room_for_everything():
    assert quotas([2, 0, 3], [1, 1, 1], sampled("proportional", 10)) == [2, 0, 3]


@given(
    st.lists(st.integers(0, 1000), min_size=1, max_size=8),
    st.integers(1, 3000),
    st.sampled_from(["proportional", "temperature"]),
)
def test_the_quotas_sum_to_what_is_wanted_and_never_exceed_what_is_there(sizes, wanted, policy):
    counts = quotas(sizes, [1.0 + index for index in range(len(sizes))], sampled(policy, wanted, 3.0))
    assert sum(counts) == min(wanted, sum(sizes))
    assert all(0 <= count <= size for count, size in zip(counts, sizes, strict=True))
