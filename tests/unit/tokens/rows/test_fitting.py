"""Overlong examples: the worked example and the corners."""

import numpy as np
import pytest

from xmtf.errors import ConfigError
from xmtf.tokens.rows.fitting import Overlong, fit_items


def _ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


@pytest.mark.parametrize(
    ("overlong", "head", "tail", "size"),
    [
        ("skip", [3, 6], [0, 0], [5, 8]),
        ("truncate_left", [3, 0], [0, 4], [5, 6]),
        ("truncate_right", [3, 4], [0, 0], [5, 6]),
    ],
)
def test_worked_example(overlong: Overlong, head: list[int], tail: list[int], size: list[int]) -> None:
    fitted = fit_items(_ints(3, 6), _ints(2, 2), (6,), overlong)
    assert (fitted.head.tolist(), fitted.tail.tolist(), fitted.sizes.tolist()) == (head, tail, [size])
    assert (fitted.skipped, fitted.truncated) == ((1, 0) if overlong == "skip" else (0, 1))


def test_markers_at_the_ends_survive() -> None:
    left = fit_items(_ints(9), _ints(2), (6,), "truncate_left", keep_first=True)
    right = fit_items(_ints(9), _ints(2), (6,), "truncate_right", keep_last=True)
    assert (left.head.tolist(), left.tail.tolist()) == ([1], [3])
    assert (right.head.tolist(), right.tail.tolist()) == ([3], [1])


def test_targets_are_never_cut() -> None:
    fitted = fit_items(_ints(4, 4, 9), _ints(6, 7, 5), (6,), "truncate_left")
    assert (fitted.skipped, fitted.truncated) == (2, 1)
    assert (fitted.sizes[0] > 6).tolist() == [True, True, False]
    apart = fit_items(_ints(4, 9, 9), _ints(4, 2, 3), (8, 3), "truncate_right")
    assert (apart.skipped, apart.truncated) == (1, 2)
    assert apart.head.tolist() == [4, 8, 8]


def test_targets_of_encoder_decoders_are_trimmed_where_asked() -> None:
    fitted = fit_items(_ints(4, 4, 9), _ints(2, 7, 9), (8, 3), "skip", overlong_targets="truncate")
    assert fitted.target.tolist() == [2, 3, 3]
    assert fitted.sizes.tolist() == [[4, 4, 9], [2, 3, 3]]
    assert (fitted.skipped, fitted.truncated, fitted.cut_targets) == (1, 0, 2)
    both = fit_items(_ints(9), _ints(9), (8, 3), "truncate_right", overlong_targets="truncate")
    assert (both.head.tolist(), both.target.tolist(), both.skipped) == ([8], [3], 0)
    left_alone = fit_items(_ints(4), _ints(7), (8, 3), "skip")
    assert (left_alone.target.tolist(), left_alone.skipped, left_alone.cut_targets) == ([7], 1, 0)


def test_error_names_the_first_item() -> None:
    with pytest.raises(ConfigError, match=r"fr \(train\): 1 examples do not fit a row of 6 tokens, .* item 1 "):
        fit_items(_ints(3, 6), _ints(2, 2), (6,), "error", where="fr (train)")
