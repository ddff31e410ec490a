"""Every figure of results.csv, computed again by small code of its own, on results with parallel sets."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from xmtf.evaluation.engine.answer import Answer
from xmtf.evaluation.scoring.compare import compare_results
from xmtf.evaluation.scoring.score import items_table, score_items
from xmtf.evaluation.suites.jobs import Job
from xmtf.records import Origin, Provenance, Request
from xmtf.report.compare import compare
from xmtf.report.results import collect_results
from xmtf.report.tables import results_table, write_tables
from xmtf.results.files import SCORES
from xmtf.results.items import About, JobInfo, suite_items
from xmtf.results.scores import write_scores

CHOICES = ("yes", "no", "maybe")
ROWS, LANGUAGES, TEMPLATES = 120, ("fr", "sw", "hi", "vi"), ("ask", "tell")


@pytest.fixture(scope="module")
def world():
    """Answers of two models: rows are hard or easy in all languages; half of the gold answers are the first choice."""
    random = np.random.default_rng(7)
    gold = random.choice(3, ROWS, p=[0.5, 0.3, 0.2])
    hard = random.normal(size=ROWS)
    scores = {}
    for label, skill in (("before", 0.2), ("after", 1.1)):
        for language in LANGUAGES:
            for template in TEMPLATES:
                noise = random.normal(size=(ROWS, 3))
                noise[np.arange(ROWS), gold] += skill - hard
                scores[label, language, template] = noise - 5
    return gold, scores


@pytest.fixture(scope="module")
def folders(world, tmp_path_factory):
    gold, scores = world
    root = tmp_path_factory.mktemp("results")
    for label in ("before", "after"):
        found = []
        with suite_items(root / label) as items:
            for language in LANGUAGES:
                for template in TEMPLATES:
                    asked = Provenance(
                        language, "en", "none", f"nli/{language}", "nli", "own/nli", language, "test", template
                    )
                    info = JobInfo("held out", "languages", "rank", asked, "h", ("accuracy",), parallel="own/nli")
                    requests = tuple(
                        Request(
                            f"{template} {row} in {language}?",
                            CHOICES,
                            int(gold[row]),
                            (),
                            Origin("own/nli", language, "test", row),
                        )
                        for row in range(ROWS)
                    )
                    answers = [Answer(tuple(row), (1, 1, 1)) for row in scores[label, language, template].tolist()]
                    table = items_table(Job(info, requests), answers, "bloomz")
                    about = About(info, label, label, "bloomz", {})
                    items.add(table, about)
                    found.append(score_items(table, about))
        write_scores(root / label / SCORES, found)
    return root


def right(world, label, **only):
    """Return whether each item is right, ``[jobs, rows]``."""
    gold, scores = world
    return np.array([
        scores[label, language, template].argmax(axis=1) == gold
        for language in LANGUAGES for template in TEMPLATES
        if only.get("language", language) == language and only.get("template", template) == template
    ]).astype(float)  # fmt: skip


def bootstrap(*tables):
    """Return the 95 % interval of the last table's mean less the first's (or of the only one's), rows drawn whole."""
    random = np.random.default_rng(99)
    drawn = [random.integers(0, ROWS, ROWS) for _ in range(6000)]
    signs = (-1, 1) if len(tables) == 2 else (1,)
    values = [sum(sign * table[:, rows].mean() for sign, table in zip(signs, tables, strict=True)) for rows in drawn]
    return np.percentile(values, [2.5, 97.5])


def cells(text):
    """Return value and ends of ``12.3 [4.5, 6.7]``."""
    value, _, ends = text.partition(" [")
    return float(value), *map(float, ends.rstrip("]").split(", "))


def check_row(line, before, after, gold):
    names = {
        "items": str(before.size),
        "chance": f"{100 / 3:.1f}",
        "majority": f"{100 * np.bincount(gold).max() / ROWS:.1f}",
    }
    assert {name: line[name].replace(",", "") for name in names} == names
    for name, tables in (("before", (before,)), ("after", (after,)), ("change", (before, after))):
        value, low, high = cells(line[name])
        expected = 100 * (tables[-1].mean() - (tables[0].mean() if len(tables) == 2 else 0))
        assert value == pytest.approx(expected, abs=0.051), name
        assert (low, high) == pytest.approx(tuple(100 * bootstrap(*tables)), abs=0.9), name


@pytest.mark.parametrize("by", ["results", "results-by-language", "results-by-template"])
def test_every_figure_comes_out_again(world, folders, tmp_path, by):
    column = by.removeprefix("results-by-").removeprefix("results")
    grouped = (lambda score: getattr(score.provenance, column)) if column else (lambda score: "")
    comparisons = compare(collect_results([folders / "before", folders / "after"]), grouped)
    write_tables([results_table(by, "", comparisons, column)], tmp_path)
    with (tmp_path / f"{by}.csv").open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert len(lines) == {"": 1, "language": len(LANGUAGES), "template": len(TEMPLATES)}[column]
    for line in lines:
        only = {column: line[column]} if column else {}
        check_row(line, right(world, "before", **only), right(world, "after", **only), world[0])


def test_report_all_and_mean_agree(world, folders):
    (report,) = compare(collect_results([folders / "before", folders / "after"]))
    found = {one.task: one for one in compare_results(folders / "before", folders / "after")}
    whole, mean = found["all"], found["nli, mean of 4 languages"]
    for one in (whole, mean):
        assert (one.first, one.second) == pytest.approx((report.first.value, report.last.value))
        assert (one.low, one.high) == pytest.approx((report.change.low, report.change.high))
    assert whole.change == pytest.approx(right(world, "after").mean() - right(world, "before").mean())


def test_macro_f1_and_calibrated_accuracy_come_out_again(world, folders):
    gold, scores = world
    results = collect_results([folders / "after"])
    for score in results.scores["after"]:
        found = {metric.name: metric.value for metric in score.metrics}
        ours = scores["after", score.provenance.language, score.provenance.template]
        picked = ours.argmax(axis=1)
        f1 = [2 * ((picked == k) & (gold == k)).sum() / ((picked == k).sum() + (gold == k).sum()) for k in range(3)]
        assert found["macro_f1"] == pytest.approx(np.mean(f1))
        assert found["calibrated_accuracy"] == ((ours - ours.mean(axis=0)).argmax(axis=1) == gold).mean()
        assert score.picks.picked == tuple(np.bincount(picked, minlength=3))
    assert replace(results.scores["after"][0], picks=None).parallel == "own/nli"
