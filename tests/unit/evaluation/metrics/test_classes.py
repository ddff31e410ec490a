"""What accuracy hides, against its definitions computed by hand."""

import numpy as np
import pytest

from xmtf.evaluation.metrics.accuracy import RankItem, rank_metrics
from xmtf.evaluation.metrics.classes import count_picks, macro_f1

CHOICES = ("yes", "no", "maybe")


def item(scores, gold, choices=CHOICES):
    return RankItem(choices, tuple(scores), (1,) * len(choices), gold)


def f1_by_hand(gold, picked):
    scores = []
    for label in set(gold) | set(picked):
        right = sum(g == p == label for g, p in zip(gold, picked, strict=True))
        scores.append(2 * right / (gold.count(label) + picked.count(label)))
    return sum(scores) / len(scores)


def test_macro_f1_is_the_mean_over_the_choices_that_occur():
    random = np.random.default_rng(0)
    gold, picked = (random.integers(0, 3, 50).tolist() for _ in range(2))
    found = macro_f1(gold, picked, 4)
    assert found.value == pytest.approx(f1_by_hand(gold, picked))
    assert found.low < found.value < found.high
    assert macro_f1([0, 1], [0, 1], 2).value == 1.0


def test_the_interval_of_macro_f1_is_a_bootstrap_over_items():
    random = np.random.default_rng(1)
    gold, picked = (random.integers(0, 3, 120).tolist() for _ in range(2))
    drawn = [random.integers(0, 120, 120) for _ in range(2000)]
    values = [f1_by_hand([gold[i] for i in rows], [picked[i] for i in rows]) for rows in drawn]
    found = macro_f1(gold, picked, 3)
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(values, [2.5, 97.5])), abs=0.015)


def test_a_model_that_always_picks_one_choice_does_not_look_as_if_it_had_learned():
    items = [item((0.0, -1.0, -2.0), gold) for gold in [0] * 64 + [1] * 36]
    accuracy, f1, calibrated = rank_metrics(items, "bloomz")
    assert [metric.name for metric in (accuracy, f1, calibrated)] == ["accuracy", "macro_f1", "calibrated_accuracy"]
    assert (accuracy.value, accuracy.majority, accuracy.chance) == (0.64, 0.64, pytest.approx(1 / 3))
    assert f1.value == pytest.approx(0.5 * 2 * 64 / 164)


def test_calibration_takes_away_what_a_prompt_gives_to_a_word():
    # the second choice is right where its score is higher than it usually is
    items = [item((-1.0, -3.0), 0, ("a", "b")), item((-1.0, -2.0), 1, ("a", "b"))] * 5
    accuracy, _, calibrated = rank_metrics(items, "bloomz")
    assert (accuracy.value, calibrated.value) == (0.5, 1.0)


def test_choices_that_differ_by_row_have_accuracy_alone():
    items = [item((0.0, -1.0), 0, ("a", "b")), item((0.0, -1.0), 1, ("c", "d"))]
    (accuracy,) = rank_metrics(items, "bloomz")
    assert accuracy.majority is None


def test_picks_are_counted_by_choice_or_by_place():
    found = count_picks([CHOICES] * 4, [0, 0, 1, 1], [0, 1, 1, 1], [(0, -1, -2), (-1, 0, -1), (-3, 0, 0), (-3, 0, -1)])
    assert (found.labels, found.by_choice) == (CHOICES, True)
    assert (found.gold, found.picked, found.right, found.ties) == ((2, 2, 0), (1, 3, 0), (1, 2, 0), 1)
    assert found.recall == (0.5, 1.0, None)
    apart = count_picks([("a", "b"), ("c", "d", "e")], [0, 2], [1, 2], [(-1, -1), (0, 1, 2)])
    assert (apart.labels, apart.by_choice) == (("1", "2", "3"), False)
    assert (apart.gold, apart.picked, apart.right, apart.ties) == ((1, 0, 1), (0, 1, 1), (0, 0, 1), 1)
