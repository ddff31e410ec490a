"""Every figure of results.csv, computed again by small code of its own, on results with parallel sets.

Ranked: four languages of 120 rows that are translations of each other, two templates, a third of the rows seen.
Written: two languages of 90 rows that are translations of each other, of which some answers are in English or cut.
"""

import csv
from dataclasses import replace

import numpy as np
import pytest
import sacrebleu
from rouge_score import rouge_scorer
from scipy.stats import binomtest

from xmtf.evaluation.engine.answer import Answer
from xmtf.evaluation.scoring.compare import compare_results
from xmtf.evaluation.scoring.score import items_table, score_items
from xmtf.evaluation.suites.jobs import Job
from xmtf.records import Origin, Provenance, Request
from xmtf.report.comparison.compare import compare
from xmtf.report.comparison.results import collect_results
from xmtf.report.inputs import Inputs
from xmtf.report.tables import write_tables
from xmtf.report.tables_and_figures import tables_of
from xmtf.results.files import SCORES
from xmtf.results.items import About, JobInfo, suite_items
from xmtf.results.overlap import OVERLAP, Overlap, write_overlap
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


SEEN = np.arange(ROWS) % 3 == 0
WRITTEN_ROWS = 90
SENTENCES = {
    "fr": "le chat noir dort souvent sur une chaise dans la cuisine pendant que nous mangeons",
    "sw": "watoto wanacheza mpira uwanjani kila siku baada ya shule pamoja na marafiki zao",
    "en": "the black cat often sleeps on a chair in the kitchen while we eat our dinner",
}
WORDS = {language: sentence.split() for language, sentence in SENTENCES.items()}
WRITTEN = ("fr", "sw")


@pytest.fixture(scope="module")
def written():
    """Texts of two models: (answer, reference, why it ended) of each row; the first often writes English."""
    random = np.random.default_rng(11)
    found = {}
    for language in WRITTEN:
        words = WORDS[language]
        references = [" ".join(random.choice(words, 9)) for _ in range(WRITTEN_ROWS)]
        for label, english, wrong in (("before", 0.6, 4), ("after", 0.1, 2)):
            texts = []
            for reference in references:
                answer = reference.split()
                for place in random.choice(9, wrong, replace=False):
                    answer[place] = random.choice(words)
                texts.append(" ".join(random.choice(WORDS["en"], 9) if random.random() < english else answer))
            endings = random.choice(["end of text", "budget"], WRITTEN_ROWS, p=[0.9, 0.1])
            found[label, language] = list(zip(texts, references, endings.tolist(), strict=True))
    return found


@pytest.fixture(scope="module")
def folders(world, written, tmp_path_factory):
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
            for language in WRITTEN:
                asked = Provenance(language, "en", "none", f"mt/{language}", "mt", "own/mt", language, "test", "say")
                metrics = ("chrf", "bleu", "rouge_l")
                info = JobInfo("written", "none", "generation", asked, "h", metrics, parallel="own/mt")
                rows = written[label, language]
                requests = tuple(
                    Request(f"{row} in {language}?", (), None, (right,), Origin("own/mt", language, "test", row))
                    for row, (_, right, _) in enumerate(rows)
                )
                answers = [Answer(text=text, ending=ending) for text, _, ending in rows]
                table = items_table(Job(info, requests), answers, "bloomz")
                about = About(info, label, label, "bloomz", {})
                items.add(table, about)
                found.append(score_items(table, about))
        write_scores(root / label / SCORES, found)
    places = {f"nli/{language} [test]": (np.arange(ROWS), SEEN) for language in LANGUAGES}
    write_overlap(root / OVERLAP, Overlap("", 13, {}, places))
    return root


def tables(folders, by, tmp_path):
    """Return the lines of a table as they stand in its file, by suite."""
    column = by.removeprefix("results-by-").removeprefix("results")
    found = tables_of([folders / "before", folders / "after"], Inputs(overlap=folders / OVERLAP))
    write_tables([table for table in found if table.name == by], tmp_path)
    with (tmp_path / f"{by}.csv").open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    return column, lines


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
    by_row = [table.mean(axis=0) for table in tables]  # every job asks every row
    drawn = np.random.default_rng(99).integers(0, len(by_row[0]), (4000, len(by_row[0])))
    values = by_row[-1][drawn].mean(axis=1) - (by_row[0][drawn].mean(axis=1) if len(tables) == 2 else 0)
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


def picks_of(world, label, **only):
    """Return the picks and the calibrated picks of each job, ``[jobs, rows]``."""
    chosen = [
        world[1][label, language, template] for language in LANGUAGES for template in TEMPLATES
        if only.get("language", language) == language and only.get("template", template) == template
    ]  # fmt: skip
    return (
        np.array([one.argmax(axis=1) for one in chosen]),
        np.array([(one - one.mean(axis=0)).argmax(axis=1) for one in chosen]),
    )


def f1_of(picked, gold):
    return np.mean([
        np.mean([2 * ((row == k) & (gold == k)).sum() / ((row == k).sum() + (gold == k).sum()) for k in range(3)])
        for row in picked
    ])  # fmt: skip


def check_details(line, world, **only):
    gold = world[0]
    for place, label in enumerate(("before", "after")):
        told = {name: line[name].split(" / ")[place] for name in ("macro-F1", "calibrated", "recall", "picks")}
        picked, calibrated = picks_of(world, label, **only)
        assert told["macro-F1"] == f"{100 * f1_of(picked, gold):.1f}"
        share = [100 * (picked == gold)[:, gold == k].mean() for k in range(3)]
        assert told["recall"] == ", ".join(f"{name}: {one:.1f}" for name, one in zip(CHOICES, share, strict=True))
        share = [100 * (picked == k).mean() for k in range(3)]
        assert told["picks"] == ", ".join(f"{k}: {one:.1f}" for k, one in enumerate(share, 1))
        right = (calibrated == gold).astype(float)
        value, low, high = cells(told["calibrated"])
        assert value == pytest.approx(100 * right.mean(), abs=0.051)
        assert (low, high) == pytest.approx(tuple(100 * bootstrap(right)), abs=0.9)
        for name, rows in (("clean", ~SEEN), ("seen", SEEN)):
            right = (picked == gold).astype(float)[:, rows]
            assert line[f"{name} items"] == str(right.size)
            value, low, high = cells(line[name].split(" / ")[place])
            assert value == pytest.approx(100 * right.mean(), abs=0.051)
            assert (low, high) == pytest.approx(tuple(100 * bootstrap(right)), abs=2.0)


@pytest.mark.parametrize("by", ["results", "results-by-language", "results-by-template"])
def test_every_figure_comes_out_again(world, folders, tmp_path, by):
    column, found = tables(folders, by, tmp_path)
    lines = [line for line in found if line["suite"] == "held out"]
    assert len(lines) == {"": 1, "language": len(LANGUAGES), "template": len(TEMPLATES)}[column]
    for line in lines:
        only = {column: line[column]} if column else {}
        check_row(line, right(world, "before", **only), right(world, "after", **only), world[0])
        check_details(line, world, **only)


def in_language(written, label, languages):
    """Return whether each text is of the words of its language, ``[languages, rows]``: English words are of none."""
    return np.array([
        [float(set(text.split()) <= set(WORDS[language])) for text, _, _ in written[label, language]]
        for language in languages
    ])  # fmt: skip


def corpus(metric, written, label, language, rows):
    texts, references, _ = zip(*(written[label, language][row] for row in rows), strict=True)
    if metric == "rouge l %":
        scorer = rouge_scorer.RougeScorer(["rougeL"], tokenizer=SplitWords())
        pairs = zip(references, texts, strict=True)
        return 100 * np.mean([scorer.score(right, text)["rougeL"].fmeasure for right, text in pairs])
    measure = sacrebleu.CHRF(word_order=2) if metric == "chrf" else sacrebleu.BLEU()
    return measure.corpus_score(list(texts), [list(references)]).score


class SplitWords:
    def tokenize(self, text):
        return text.split()


@pytest.mark.parametrize("by", ["results", "results-by-language"])
def test_every_figure_of_written_answers_comes_out_again(written, folders, tmp_path, by):
    column, found = tables(folders, by, tmp_path)
    lines = [line for line in found if line["suite"] == "written"]
    assert len(lines) == 3 * (len(WRITTEN) if column else 1)
    random = np.random.default_rng(5)
    drawn = [random.integers(0, WRITTEN_ROWS, WRITTEN_ROWS) for _ in range(10)]
    for line in lines:
        languages = [line["language"]] if column else list(WRITTEN)

        def value(label, rows, line=line, languages=languages):
            return np.mean([corpus(line["metric"], written, label, language, rows) for language in languages])

        whole = range(WRITTEN_ROWS)
        assert line["items"] == str(WRITTEN_ROWS * len(languages))
        for name in ("before", "after"):
            told, low, high = cells(line[name])
            assert told == pytest.approx(value(name, whole), abs=0.051)
            if line["metric"] == "chrf" and not column:
                spread = np.std([value(name, rows) for rows in drawn])
                assert (high - low) / (2 * 1.96) == pytest.approx(spread, rel=0.6)
        assert cells(line["change"])[0] == pytest.approx(value("after", whole) - value("before", whole), abs=0.11)
        check_beside(line, written, languages)


def check_beside(line, written, languages):
    cut = max(
        np.mean([ending == "budget" for language in languages for _, _, ending in written[label, language]])
        for label in ("before", "after")
    )
    assert line["cut"] == f"answers {100 * cut:.1f} %{'!' if cut >= 0.05 else ''}"
    for place, label in enumerate(("before", "after")):
        told, _, judged = line["in language"].split(" / ")[place].partition(" of ")
        table = in_language(written, label, languages)
        assert judged == str(table.size)
        value, low, high = cells(told)
        assert value == pytest.approx(100 * table.mean(), abs=0.051)
        alone = binomtest(int(table.sum()), table.size).proportion_ci(method="wilson")
        ends = np.array(bootstrap(table) if len(languages) > 1 else alone)
        assert (low, high) == pytest.approx(tuple(100 * ends), abs=2.0)


def test_report_all_and_mean_agree(world, folders):
    report = compare(collect_results([folders / "before", folders / "after"]))[0]
    found = {one.task: one for one in compare_results(folders / "before", folders / "after")}
    whole, mean = found["all of held out"], found["nli, mean of 4 languages"]
    for one in (whole, mean):
        assert (one.first, one.second) == pytest.approx((report.first.value, report.last.value))
        assert (one.low, one.high) == pytest.approx((report.change.low, report.change.high))
    assert whole.change == pytest.approx(right(world, "after").mean() - right(world, "before").mean())


def test_macro_f1_and_calibrated_accuracy_come_out_again(world, folders):
    gold, scores = world
    results = collect_results([folders / "after"])
    for score in results.scores["after"]:
        if score.kind != "rank":
            continue
        found = {metric.name: metric.value for metric in score.metrics}
        ours = scores["after", score.provenance.language, score.provenance.template]
        picked = ours.argmax(axis=1)
        f1 = [2 * ((picked == k) & (gold == k)).sum() / ((picked == k).sum() + (gold == k).sum()) for k in range(3)]
        assert found["macro_f1"] == pytest.approx(np.mean(f1))
        assert found["calibrated_accuracy"] == ((ours - ours.mean(axis=0)).argmax(axis=1) == gold).mean()
        assert score.picks.picked == tuple(np.bincount(picked, minlength=3))
    assert replace(results.scores["after"][0], picks=None).parallel == "own/nli"
