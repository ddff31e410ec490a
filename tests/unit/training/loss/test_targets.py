from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xmtf.errors import ConfigError
from xmtf.training.loss.batches import examples_of_row
from xmtf.training.loss.targets import causal_targets, decoder_targets, loss_scales


def causal(tokens, segments, is_input, groups=((0, 1),)):
    return SimpleNamespace(
        tokens=np.array(tokens),
        segment_ids=np.array(segments, np.int32),
        is_input=np.array(is_input, bool),
        groups=np.array(groups, np.int32),
    )


EXAMPLE = causal([[6, 7, 8, 3, 4, 5, 0]], [[1, 1, 1, 2, 2, 2, 0]], [[1, 1, 0, 1, 1, 0, 0]])


def test_worked_example():
    targets = causal_targets(EXAMPLE, "target")
    assert targets.positions.tolist() == [1, 4]
    assert targets.labels.tolist() == [8, 5]
    assert targets.loss_weights.tolist() == [1, 1]
    assert targets.groups.tolist() == [0, 1]
    assert (targets.denominator, targets.num_targets, targets.num_real, targets.num_positions) == (2, 2, 6, 6)


def test_examples_of_a_row_are_told_apart_again():
    def plain(batch, row):
        return [(inputs.tolist(), targets.tolist()) for inputs, targets in examples_of_row(batch, row)]

    assert plain(EXAMPLE, 0) == [([6, 7], [8]), ([3, 4], [5])]
    pair = SimpleNamespace(
        encoder_tokens=np.array([[0] * 4, [5, 6, 8, 0]]),
        encoder_segment_ids=np.array([[0] * 4, [1, 1, 2, 0]]),
        decoder_targets=np.array([[0] * 5, [7, 1, 9, 1, 0]]),
        decoder_segment_ids=np.array([[0] * 5, [1, 1, 2, 2, 0]]),
    )
    assert plain(pair, 1) == [([5, 6], [7, 1]), ([8], [9, 1])]
    assert plain(pair, 0) == []


def test_a_full_row_has_one_token_more_than_positions():
    full = causal([[6, 7, 8, 3, 4, 5, 9]], [[1, 1, 1, 2, 2, 2, 2]], [[1, 1, 0, 1, 1, 0, 0]])
    targets = causal_targets(full, "target")
    assert (targets.num_real, targets.num_positions) == (6, 6)


def test_each_target_counts_once_whatever_its_length():
    batch = causal([[6, 8, 9, 1, 3, 5, 0]], [[1, 1, 1, 1, 2, 2, 0]], [[1, 0, 0, 0, 1, 0, 0]])
    by_target = causal_targets(batch, "target")
    assert by_target.positions.tolist() == [0, 1, 2, 4]
    np.testing.assert_allclose(by_target.loss_weights, [1 / 3, 1 / 3, 1 / 3, 1])
    assert by_target.denominator == 2
    by_token = causal_targets(batch, "token")
    assert by_token.loss_weights.tolist() == [1, 1, 1, 1]
    assert by_token.denominator == 4


def test_positions_of_later_rows_count_on():
    batch = causal([[6, 8, 0], [3, 4, 5]], [[1, 1, 0], [1, 1, 1]], [[1, 0, 0], [1, 1, 0]], [[0], [1]])
    targets = causal_targets(batch, "target")
    assert targets.positions.tolist() == [0, 3]
    assert targets.labels.tolist() == [8, 5]
    assert targets.groups.tolist() == [0, 1]
    assert (targets.rows.tolist(), targets.num_rows) == ([0, 1], 2)


def test_compat_merges_targets_that_touch_over_the_end_of_a_row():
    # Row 0 is filled to its end with a target of one token; row 1 begins with an input of one token and a target of
    # two: in the flattened labels their runs touch, and BLOOMZ counted them as one target of three.
    batch = causal([[6, 7, 8], [3, 4, 5]], [[1, 1, 1], [1, 1, 1]], [[1, 1, 0], [1, 0, 0]], [[0], [0]])
    compat = causal_targets(batch, "target_compat")
    np.testing.assert_allclose(compat.loss_weights, [1 / 3] * 3)
    assert compat.denominator == pytest.approx(1)
    assert causal_targets(batch, "target").denominator == 2


def test_compat_equals_target_weights_inside_a_row():
    compat, target = causal_targets(EXAMPLE, "target_compat"), causal_targets(EXAMPLE, "target")
    assert compat.loss_weights.tolist() == target.loss_weights.tolist()


def encoder_decoder():
    return SimpleNamespace(
        encoder_segment_ids=np.array([[1, 1, 2, 2, 2, 0]], np.int32),
        decoder_targets=np.array([[8, 9, 1, 5, 1, 0]]),
        decoder_segment_ids=np.array([[1, 1, 1, 2, 2, 0]], np.int32),
        groups=np.array([[1, 0]], np.int32),
    )


def test_decoder_worked_example():
    targets = decoder_targets(encoder_decoder(), "target")
    assert targets.positions.tolist() == [0, 1, 2, 3, 4]
    assert targets.labels.tolist() == [8, 9, 1, 5, 1]
    np.testing.assert_allclose(targets.loss_weights, [1 / 3, 1 / 3, 1 / 3, 1 / 2, 1 / 2])
    assert targets.groups.tolist() == [1, 1, 1, 0, 0]
    assert (targets.denominator, targets.num_real, targets.num_positions) == (2, 10, 12)


def test_decoder_has_no_compat_weighting():
    with pytest.raises(ConfigError, match="target_compat"):
        decoder_targets(encoder_decoder(), "target_compat")


def test_scales_share_one_denominator_and_skip_what_predicts_nothing():
    nothing = causal([[6, 7, 0]], [[1, 1, 0]], [[1, 1, 0]], [[0]])
    parts = [causal_targets(EXAMPLE, "target"), causal_targets(nothing, "target")]
    assert loss_scales(parts, "target") == [0.5, 0.5]
    compat = [causal_targets(EXAMPLE, "target_compat"), causal_targets(nothing, "target_compat")]
    assert loss_scales(compat, "target_compat") == [0.25, 0.0]
    assert loss_scales([parts[1]], "target") == [0.0]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(step=st.integers(0, 1000), weighting=st.sampled_from(["target", "token"]))
def test_weights_of_any_cut_are_those_of_the_whole(tiny_loader, step, weighting):
    loader = tiny_loader(rows_per_step=8)

    def scaled(num_micro):
        batches = [loader.batch(step, micro=micro, num_micro=num_micro) for micro in range(num_micro)]
        parts = [causal_targets(batch, weighting) for batch in batches]
        scales = loss_scales(parts, weighting)
        return np.concatenate([part.loss_weights * scale for part, scale in zip(parts, scales, strict=True)])

    whole = scaled(1)
    assert whole.sum() == pytest.approx(1)
    np.testing.assert_allclose(scaled(8), whole, rtol=1e-6)
    np.testing.assert_allclose(scaled(2), whole, rtol=1e-6)
