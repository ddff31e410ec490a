"""What a report reads out of figures: above chance, above the most frequent answer, and not by one prompt alone."""

from dataclasses import replace

import numpy as np
import pytest

from xmtf.errors import ConfigError
from xmtf.evaluation.metrics.accuracy import rank_counts
from xmtf.records import Metric, Picks, Provenance, Score
from xmtf.report.compare import compare, verdict
from xmtf.report.results import Results, job_of
from xmtf.report.summary import headline
from xmtf.report.tables import cut_text, result_tables
from xmtf.results.estimates import estimate
from xmtf.results.resampling import JobCounts

ASKED = Provenance("sw", "en", "none", "sentiment/sw", "sentiment", "own/sentiment", "sw", "test", "plain")


def add(results, label, right, *, template="plain", language="sw", calibrated=None, parallel="", **known):
    """Add one job of one model: which of its rows it gets right."""
    right = np.asarray(right, dtype=np.float64)
    measures = {"accuracy": right, "calibrated_accuracy": calibrated}
    asked = replace(ASKED, template=template, language=language, task=f"sentiment/{language}")
    majority = known.pop("majority", None)
    signature = known.pop("signature", "")
    metric = Metric("accuracy", float(right.mean()), 0.0, 1.0, 0.5, len(right), signature, majority)
    score = Score(
        model=label, model_fingerprint=label, suite="held out", axis="languages", kind="rank", scoring="bloomz",
        provenance=asked, template_hash="h", metrics=(metric,), parallel=parallel, **known,
    )  # fmt: skip
    results.scores.setdefault(label, []).append(score)
    rows = np.arange(len(right))
    results.counts.setdefault(label, {})[job_of(score)] = {
        name: JobCounts(
            parallel or asked.task, rows, np.stack([np.asarray(values, float), np.ones(len(right))], axis=1)
        )
        for name, values in measures.items()
        if values is not None
    }


def only(results):
    (found,) = compare(results)
    return found


def shares(*parts):
    """Return rows of which so many are right, then so many wrong, and so on."""
    return [float(place % 2 == 0) for place, count in enumerate(parts) for _ in range(count)]


def test_above_chance_has_to_beat_the_most_frequent_answer():
    for majority, expected in ((0.64, "no better than the most frequent answer"), (0.5, "above chance")):
        results = Results()
        add(results, "m", shares(650, 350), majority=majority)
        assert verdict(only(results)) == expected
        assert headline(compare(results)) == [f"Above chance: {int(majority == 0.5)} of 1 suites (m)."]


def test_a_rise_that_one_template_makes_is_called_so():
    results = Results()
    for template, after in (("good", shares(500, 0)), ("plain", shares(250, 250)), ("other", shares(250, 250))):
        add(results, "before", shares(250, 250), template=template)
        add(results, "after", after, template=template)
    found = only(results)
    assert found.change.excludes_zero
    assert verdict(found) == "rises with one template only (good), above chance with one template only (good)"
    assert found.trend == "flat"


def test_a_rise_of_two_templates_is_a_rise():
    results = Results()
    for template in ("good", "plain"):
        add(results, "before", shares(250, 250), template=template)
        add(results, "after", shares(350, 150), template=template)
    assert verdict(only(results)) == "rises, above chance"
    assert only(results).trend == "up"


def test_a_rise_that_calibration_takes_away_is_a_shift_of_picks():
    results = Results()
    add(results, "before", shares(500, 500), calibrated=shares(600, 400))
    add(results, "after", shares(600, 400), calibrated=shares(600, 400))
    assert verdict(only(results)) == "rises by a shift of picks, above chance"


def test_translations_are_resampled_together_and_languages_agree_with_the_whole():
    results = Results()
    right = np.arange(750) % 3 == 0
    for language in ("fr", "sw", "hi", "ar"):
        add(results, "m", right, language=language, parallel="own/sentiment")
    found = only(results)
    (whole,) = [found.last]
    by_language = compare(results, lambda score: score.provenance.language)
    assert whole.value == pytest.approx(np.mean([one.last.value for one in by_language]))
    assert whole.high - whole.low > 0.9 * (by_language[0].last.high - by_language[0].last.low)


def test_metrics_of_different_meaning_are_refused():
    results = Results()
    add(results, "before", shares(5, 5), signature="")
    add(results, "after", shares(5, 5), signature="v:2")
    with pytest.raises(ConfigError, match=r"accuracy of sentiment/sw .* - \(before\), v:2 \(after\); .*rescore"):
        compare(results)


def test_other_prompts_on_the_same_rows_are_no_change():
    results = Results()
    add(results, "before", shares(5, 5), hashes={"prompts": "a"})
    add(results, "after", shares(10, 0), hashes={"prompts": "b"})
    assert only(results).change is None


def test_what_was_cut_stands_beside_the_score_and_is_flagged_from_five_percent():
    results = Results()
    add(results, "m", shares(50, 50), endings={"budget": 5, "end of text": 95}, truncated=2)
    found = only(results)
    assert cut_text(found) == "answers 5.0 %!, prompts 2.0 %"
    table = result_tables(results)[0]
    assert table.rows[0][table.columns.index("cut")] == "answers 5.0 %!, prompts 2.0 %"


def test_what_stands_beside_accuracy_is_no_result_of_its_own():
    results = Results()
    scores = [(-1.0, -2.0), (-2.0, -1.0)] * 10
    counts = rank_counts([("a", "b")] * 20, [0, 1] * 10, scores)
    calibrated = [one[1][0] for one in counts]
    picks = Picks(("a", "b"), True, (10, 10), (10, 10), (10, 10), ties=3)
    add(results, "m", [1.0] * 20, calibrated=calibrated, picks=picks)
    beside = only(results).beside["m"]
    assert (beside.ties, beside.macro_f1) == (3, None)
    (job,) = results.counts["m"].values()
    assert beside.calibrated == estimate("calibrated_accuracy", [job["calibrated_accuracy"]])
