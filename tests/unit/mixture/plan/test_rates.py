import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmtf.errors import UnknownNameError
from xmtf.mixture.plan.rates import explicit_rates, quotas, shares
from xmtf.recipe.schema import Rates


def sampled(policy, max_examples, temperature=1.0):
    return Rates(policy=policy, max_examples=max_examples, temperature=temperature)


def test_all_keeps_every_example():
    assert quotas([3, 5], [1, 1], Rates()) == [3, 5]


def test_proportional_and_temperature():
    assert quotas([900, 90, 10], [1, 1, 1], sampled("proportional", 10)) == [9, 1, 0]
    assert quotas([900, 90, 10], [1, 1, 1], sampled("temperature", 10, 2.0)) == [7, 2, 1]


def test_worked_example_of_all_policies():
    sizes, wanted = [900, 90, 10], 10
    capped = Rates(policy="capped", max_examples=wanted, size_cap=90)
    explicit = Rates(policy="explicit", max_examples=wanted)
    assert quotas(sizes, [1, 1, 1], sampled("proportional", wanted)) == [9, 1, 0]
    assert quotas(sizes, [1, 1, 1], capped) == [5, 5, 0]  # counts as 90, 90, 10
    assert quotas(sizes, [1, 1, 1], sampled("temperature", wanted, 2.0)) == [7, 2, 1]
    assert quotas(sizes, [5, 3, 2], explicit) == [5, 3, 2]  # whatever their sizes


def test_capped_may_have_a_temperature_as_in_seqio():
    policy = Rates(policy="capped", max_examples=15, size_cap=400, temperature=2.0)
    assert quotas([10_000, 100, 100], [1, 1, 1], policy) == [7, 4, 4]  # roots of 400, 100, 100: 20, 10, 10


UNITS = [("fr", "a"), ("fr", "b"), ("sw", "a")]


def test_rates_by_language_choose_examples_of_languages_first():
    even = Rates(policy="temperature", temperature=1000.0, max_examples=20, by="language")
    assert shares(UNITS, [60, 30, 10], [1, 1, 1], even) == [7, 3, 10]
    assert shares(UNITS, [60, 30, 10], [1, 2, 1], even) == [5, 5, 10]  # the rate of a task counts within its language
    root = Rates(policy="temperature", temperature=2.0, max_examples=40, by="language")
    assert shares(UNITS, [60, 30, 10], [1, 1, 1], root) == [20, 10, 10]  # roots 9.5 and 3.2, and all that sw has
    by_task = root.model_copy(update={"by": "task"})
    assert shares(UNITS, [60, 30, 10], [1, 1, 1], by_task) == quotas([60, 30, 10], [1, 1, 1], by_task)


def test_quotas_of_languages_hold_under_every_policy():
    assert shares(UNITS, [60, 30, 10], [1, 1, 1], Rates(languages={"fra": 30})) == [20, 10, 10]
    assert shares(UNITS, [60, 30, 10], [1, 1, 1], Rates(languages={"sw": 5, "*": 9})) == [6, 3, 5]
    sampled_too = Rates(policy="proportional", max_examples=30, languages={"fr": 30})
    assert shares(UNITS, [60, 30, 10], [1, 1, 1], sampled_too) == [15, 8, 7]


def test_explicit_numbers_go_to_the_first_pattern_that_matches():
    policy = Rates(policy="explicit", max_examples=9, tasks={"xnli/fr": 5, "xnli/*": 2})
    assert explicit_rates(["xnli/de", "xnli/fr", "gsm8k"], policy) == [2, 5, 1]
    assert explicit_rates(["gsm8k"], Rates()) == [1]
    with pytest.raises(UnknownNameError, match=r"mixture\.rates\.tasks.*'xnli/\*'"):
        explicit_rates(["gsm8k"], policy.model_copy(update={"tasks": {"xnli/*": 2}}))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"policy": "capped", "max_examples": 5}, "size_cap require each other"),
        ({"policy": "proportional", "max_examples": 5, "size_cap": 3}, "size_cap require each other"),
        ({"policy": "proportional", "max_examples": 5, "tasks": {"a": 1}}, "policy 'explicit'"),
        ({"policy": "explicit", "max_examples": 5, "temperature": 2}, "no temperature"),
        ({"policy": "explicit"}, "needs max_examples"),
        ({"by": "language"}, "ignores languages"),
        ({"policy": "explicit", "max_examples": 5, "by": "language"}, "ignores languages"),
        ({"languages": {"fr": 0}}, "greater than or equal to 1"),
        ({"languages": {"fr": 3, "fra": 4}}, "name the same language"),
        ({"policy": "explicit", "max_examples": 5, "tasks": {"a": 0}}, "greater than 0"),
    ],
)
def test_keys_that_contradict_each_other(keys, message):
    with pytest.raises(ValueError, match=message):
        Rates(**keys)


def test_keys_that_are_not_used_leave_fingerprints_alone():
    assert set(Rates().model_dump()) == {"policy", "max_examples", "temperature"}


def test_a_rate_multiplies_the_share():
    assert quotas([100, 100], [3, 1], sampled("proportional", 40)) == [30, 10]


def test_a_small_task_gives_all_it_has_and_the_others_the_rest():
    assert quotas([2, 100, 100], [50, 1, 1], sampled("proportional", 42)) == [2, 20, 20]


def test_enough_room_for_everything():
    assert quotas([2, 0, 3], [1, 1, 1], sampled("proportional", 10)) == [2, 0, 3]


@given(
    st.lists(st.integers(0, 1000), min_size=1, max_size=8),
    st.integers(1, 3000),
    st.sampled_from(
        [
            {"policy": "proportional"},
            {"policy": "temperature", "temperature": 3.0},
            {"policy": "capped", "size_cap": 50},
            {"policy": "explicit"},
        ]
    ),
)
def test_the_quotas_sum_to_what_is_wanted_and_never_exceed_what_is_there(sizes, wanted, keys):
    counts = quotas(sizes, [1.0 + index for index in range(len(sizes))], Rates(max_examples=wanted, **keys))
    assert sum(counts) == min(wanted, sum(sizes))
    assert all(0 <= count <= size for count, size in zip(counts, sizes, strict=True))


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=8), st.integers(1, 3000), st.integers(1, 1000))
def test_a_cap_no_task_reaches_is_proportional_and_a_cap_of_one_is_explicit(sizes, wanted, extra):
    rates = [1.0] * len(sizes)
    proportional = quotas(sizes, rates, sampled("proportional", wanted))
    assert (
        quotas(sizes, rates, Rates(policy="capped", max_examples=wanted, size_cap=max(sizes) + extra)) == proportional
    )
    explicit = quotas(sizes, rates, Rates(policy="explicit", max_examples=wanted))
    assert quotas(sizes, rates, Rates(policy="capped", max_examples=wanted, size_cap=1)) == explicit


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=8), st.integers(1, 500))
def test_explicit_tasks_that_have_enough_get_equal_numbers(sizes, wanted):
    counts = quotas(sizes, [1.0] * len(sizes), Rates(policy="explicit", max_examples=wanted))
    unfilled = [count for count, size in zip(counts, sizes, strict=True) if count < size]
    assert not unfilled or max(counts) - min(unfilled) <= 1
