"""What a report reads out of figures: above chance, above the most frequent answer, and not by one prompt alone."""

from dataclasses import replace

import numpy as np
import pytest

from xmtf.errors import ConfigError
from xmtf.evaluation.metrics.accuracy import rank_counts
from xmtf.evaluation.scoring.compare import paired_difference
from xmtf.intervals import wilson
from xmtf.records import AnswerLanguage, Metric, Picks, Provenance, Score
from xmtf.report.comparison.compare import compare, verdict
from xmtf.report.comparison.results import Results, job_of
from xmtf.report.comparison.summary import headline
from xmtf.report.tables import cut_text, result_tables
from xmtf.results.estimates import estimate
from xmtf.results.overlap import Overlap
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


def test_results_of_the_chat_form_have_rows_of_their_own():
    results = Results()
    add(results, "m", shares(60, 40))
    add(results, "m (chat)", shares(70, 30), computed={"chat": "hash of the template"})
    found = {each.suite: [label for label, value in each.values.items() if value] for each in compare(results)}
    assert found == {"held out": ["m"], "held out (chat)": ["m (chat)"]}


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


def test_details_stand_in_columns_one_figure_a_model():
    results = Results()
    for label, picked, right in (("before", (100, 0), (50, 0)), ("after", (60, 40), (40, 30))):
        picks = Picks(("yes", "no"), True, (50, 50), picked, right, ties=3 if label == "after" else 0)
        add(results, label, shares(sum(right), 100 - sum(right)), picks=picks, calibrated=shares(50, 50), majority=0.5)
        score = results.scores[label][0]
        results.scores[label] = [replace(score, metrics=(*score.metrics, Metric("macro_f1", 0.4, 0.3, 0.5, None, 100)))]
    table = result_tables(results)[0]
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert (row["majority"], row["macro-F1"]) == ("50.0", "40.0 / 40.0")
    assert row["recall"] == "yes: 100.0, no: 0.0 / yes: 80.0, no: 60.0"
    assert row["picks"] == "1: 100.0, 2: 0.0 / 1: 60.0, 2: 40.0"
    assert row["calibrated"].split(" / ")[0] == "50.0 [40.4, 59.6]"
    assert row["ties"] == "0 / 3"
    assert "in language" not in table.columns


def test_classes_of_other_words_are_named_by_their_place_and_of_other_numbers_not_at_all():
    for labels, expected in ((("ja", "nein"), "1: 50.0, 2: 50.0"), (("a", "b", "c"), None)):
        results = Results()
        for template, names in (("x", ("yes", "no")), ("y", labels)):
            counts = [(2,) * len(names), (2,) * len(names), (1,) * len(names)]
            add(results, "m", [1.0] * 4, template=template, picks=Picks(names, True, *counts))
        table = result_tables(results)[0]
        assert dict(zip(table.columns, table.rows[0], strict=True)).get("recall") == expected


def test_the_language_of_answers_stands_beside_or_the_table_says_that_nobody_can_tell():
    for gap, cell in (("", "75.0 [30.1, 95.4] of 4"), ("not measurable: the identifier does not know wo", None)):
        results = Results()
        told = AnswerLanguage(None if gap else 0.75, None, None, 0 if gap else 4, 1.0, gap)
        add(results, "m", [1.0, 1.0, 0.0, 1.0], answer_language=told)
        (job,) = results.counts["m"]
        if not gap:
            results.counts["m"][job] |= {"in_language": results.counts["m"][job]["accuracy"]}
        table = result_tables(results)[0]
        row = dict(zip(table.columns, table.rows[0], strict=True))
        assert row["in language"] == (cell or "not measurable")


def overlap_of(seen, rows=None, data=None):
    rows = np.arange(len(seen)) if rows is None else np.asarray(rows)
    return Overlap("f-mixture", 13, data or {}, {"sentiment/sw [test]": (rows, np.asarray(seen, bool))})


def test_clean_and_seen_items_have_values_of_their_own():
    results = Results()
    for template in ("x", "y"):
        add(results, "before", shares(100, 100), template=template)
        add(results, "after", [1.0] * 50 + shares(75, 75), template=template)
    results = replace(results, overlap=overlap_of([True] * 50 + [False] * 150))
    (found,) = compare(results)
    parts = found.parts["after"]
    assert (parts.seen.value, parts.clean.value, parts.num_seen, parts.num_clean) == (1.0, 0.5, 100, 300)
    assert parts.clean == estimate("accuracy", [
        JobCounts("sentiment/sw", np.arange(50, 200), job["accuracy"].counts[50:])
        for job in results.counts["after"].values()
    ])  # fmt: skip
    table = result_tables(results)[0]
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert (row["clean items"], row["seen items"]) == ("300", "100")
    assert row["clean"].split(" / ")[1].startswith("50.0 [")
    assert row["seen"].split(" / ")[1].startswith("100.0 [")


def test_no_clean_items_are_a_dash_and_rows_nobody_looked_for_too():
    results = Results()
    add(results, "m", shares(5, 5))
    every = result_tables(replace(results, overlap=overlap_of([True] * 10)))[0]
    row = dict(zip(every.columns, every.rows[0], strict=True))
    assert (row["seen items"], row["clean items"], row["clean"]) == ("10", "0", "-")
    (found,) = compare(replace(results, overlap=overlap_of([True] * 9)))
    assert found.parts == {}


def test_report_and_compare_agree_where_nobody_changed_an_answer():
    results = Results()
    for label in ("before", "after"):
        add(results, label, shares(60, 40))
    found = only(results).change
    rows = [("own", "plain", row) for row in range(100)]
    pairs = [(bool(right), bool(right)) for right in shares(60, 40)]
    other = paired_difference("t", pairs, rows)
    assert (found.value, found.low, found.high) == (other.change, other.low, other.high)
    assert found.high == wilson(0.0, 100)[1]
