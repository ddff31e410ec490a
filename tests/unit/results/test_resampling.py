"""Rows as units: translations of a row stand and fall together, and so do its prompts."""

import numpy as np
import pytest

from xmtf.intervals import wilson
from xmtf.results.estimates import changes_without, estimate, estimate_change, estimates_without
from xmtf.results.resampling import RESAMPLES, JobCounts, Resamples, row_set


def job(rows_of, right, rows=None):
    right = np.asarray(right, dtype=np.float64)
    rows = np.arange(len(right)) if rows is None else np.asarray(rows)
    return JobCounts(rows_of, rows, np.stack([right, np.ones_like(right)], axis=1))


def test_rows_of_a_parallel_set_have_one_name():
    assert row_set("facebook/xnli", "xnli/fr", "validation") == row_set("facebook/xnli", "xnli/sw", "validation")
    assert row_set("", "paws-x/de", "test") != row_set("", "paws-x/ja", "test")


def test_jobs_of_a_set_are_drawn_alike_and_others_apart():
    fr, sw, other = job("xnli", [1, 0, 1, 0]), job("xnli", [1, 0, 1, 0]), job("paws", [1, 0, 1, 0])
    resamples = Resamples([fr, sw, other])
    assert np.array_equal(resamples.totals([fr]), resamples.totals([sw]))
    assert not np.array_equal(resamples.totals([fr]), resamples.totals([other]))
    assert resamples.totals([fr, other])[:, 1].tolist() == [8.0] * RESAMPLES
    assert resamples.num_rows == 8


def test_the_worked_example():
    fr, sw = job("xnli", [1, 1, 0]), job("xnli", [0, 1, 0])
    assert Resamples([fr, sw]).by_row([fr, sw]).tolist() == [[1.0, 2.0], [2.0, 2.0], [0.0, 2.0]]


def test_translations_are_no_further_evidence():
    """Eight languages that answer 750 rows alike are as sure as one of them; taken apart they would seem surer."""
    right = np.arange(750) % 3 == 0
    alike = estimate("accuracy", [job("xnli", right) for _ in range(8)])
    low, high = wilson(1 / 3, 750)
    assert (alike.low, alike.high) == pytest.approx((low, high), abs=0.004)
    apart = estimate("accuracy", [job(f"task {n}", right) for n in range(8)])
    assert apart.high - apart.low < 0.45 * (alike.high - alike.low)


def test_the_interval_is_that_of_an_independent_bootstrap():
    random = np.random.default_rng(0)
    hardness = random.uniform(0, 1, 200)
    languages = [(random.uniform(0, 1, 200) > hardness).astype(float) for _ in range(4)]
    found = estimate("accuracy", [job("set", right) for right in languages])
    table = np.array(languages)
    drawn = [table[:, random.integers(0, 200, 200)].mean() for _ in range(5000)]
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(drawn, [2.5, 97.5])), abs=0.01)
    assert found.value == table.mean()


def test_languages_that_lack_rows_keep_those_that_they_have():
    first, second = job("set", [1, 1, 0], rows=[0, 2, 5]), job("set", [1, 0], rows=[2, 9])
    resamples = Resamples([first, second])
    assert resamples.num_rows == 4
    assert resamples.by_row([first, second]).tolist() == [[1, 1], [2, 2], [0, 1], [0, 1]]


def test_rows_asked_once_have_wilsons_interval_and_so_have_rows_that_are_all_alike():
    once = estimate("accuracy", [job("a", [1] * 30 + [0] * 70)])
    assert (once.low, once.high) == wilson(0.3, 100)
    never = estimate("accuracy", [job("a", [0] * 50), job("a", [0] * 50)])
    assert (never.low, never.high) == wilson(0.0, 50)


def test_a_change_of_nothing_may_hide_one_row():
    same = estimate_change("accuracy", [job("a", [1, 0, 1, 1])], [job("a", [1, 0, 1, 1])])
    assert same.value == 0
    assert same.high == -same.low == wilson(0.0, 4)[1]
    alone = estimate_change("accuracy", [job("a", [0])], [job("a", [1])])
    assert not alone.excludes_zero


def test_templates_that_contradict_each_other_make_a_share_surer_than_independent_items():
    """A model that says yes to one wording and no to the other is right once in every row, whatever the row is."""
    random = np.random.default_rng(3)
    gold, luck = random.integers(0, 2, 205), random.random(205) < 0.25
    yes, no = (gold == 1) | luck, (gold == 0) & ~luck | luck
    found = estimate("accuracy", [job("set", yes), job("set", no)])
    table = np.array([yes, no], float)
    drawn = [table[:, random.integers(0, 205, 205)].mean() for _ in range(5000)]
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(drawn, [2.5, 97.5])), abs=0.006)
    low, high = wilson(table.mean(), table.size)
    assert found.high - found.low < 0.8 * (high - low)


@pytest.mark.parametrize("measure", ["accuracy", "f1"])
def test_leaving_templates_out_at_once_is_leaving_out_each(measure):
    random = np.random.default_rng(5)
    draw = (lambda: random.integers(0, 2, 60)) if measure == "accuracy" else (lambda: random.random(60))
    jobs = [job(rows_of, draw()) for rows_of in ("x", "y") for _ in range(3)]
    after = [job(each.rows_of, draw()) for each in jobs]
    templates = ["a", "b", "c"] * 2
    for name, found in estimates_without(measure, jobs, templates):
        rest = [each for each, group in zip(jobs, templates, strict=True) if group != name]
        assert found == pytest.approx(estimate(measure, rest), abs=1e-9)
    for name, found in changes_without(measure, jobs, after, templates):
        first, second = (
            [each for each, group in zip(side, templates, strict=True) if group != name] for side in (jobs, after)
        )
        assert found == pytest.approx(estimate_change(measure, first, second), abs=1e-9)


def test_leaving_out_a_template_with_rows_of_its_own_draws_among_the_others():
    jobs = [job("x", [1, 0, 1, 0, 1, 1]), job("x", [1, 1, 0], rows=[0, 1, 2]), job("x", [0, 1, 1], rows=[0, 1, 2])]
    found = dict(estimates_without("accuracy", jobs, ["a", "b", "c"]))
    assert found["a"] == estimate("accuracy", jobs[1:])
    once = dict(estimates_without("accuracy", jobs[1:], ["b", "c"]))
    assert (once["b"].low, once["b"].high) == wilson(2 / 3, 3)


def test_leaving_out_counts_of_a_corpus_metric():
    random = np.random.default_rng(6)
    counts = [np.repeat(random.integers(1, 9, (30, 1)), 18, axis=1).astype(float) for _ in range(3)]
    jobs = [JobCounts("x", np.arange(30), each) for each in counts]
    for name, found in estimates_without("chrf", jobs, ["a", "b", "c"]):
        rest = [each for each, group in zip(jobs, ("a", "b", "c"), strict=True) if group != name]
        assert found == pytest.approx(estimate("chrf", rest))
