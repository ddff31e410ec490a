from dataclasses import replace

import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from xmtf.errors import ConfigError, SourceError
from xmtf.evaluation.engine.answer import Answer
from xmtf.evaluation.scoring.compare import compare_lines, compare_results, paired_difference
from xmtf.evaluation.scoring.score import items_table
from xmtf.evaluation.suites.jobs import Job
from xmtf.intervals import wilson
from xmtf.records import Origin, Provenance, Request
from xmtf.results.items import About, JobInfo, items_writer

ABOUT = {"model": "m", "model_fingerprint": "f", "scoring": "bloomz", "versions": {}}


def test_changes_are_paired():
    pairs = [(False, True)] * 8 + [(True, False)] * 2 + [(True, True)] * 10
    found = paired_difference("t", pairs, [("test", "t", row) for row in range(20)])
    assert (found.first, found.second, found.gained, found.lost) == (0.6, 0.9, 8, 2)
    assert found.change == pytest.approx(0.3)
    assert found.low < 0.3 < found.high
    assert found.p_value == pytest.approx(0.109375)  # 2 * (C(10,0) + C(10,1) + C(10,2)) / 2 ** 10


def test_templates_of_a_row_are_not_independent():
    pairs = [(False, True), (False, False)] * 10
    alone = paired_difference("t", pairs * 5, [("t", "test", index) for index in range(100)])
    rows = [("t", "test", index % 20) for index in range(100)]
    together = paired_difference("t", pairs * 5, rows)
    assert together.change == alone.change
    assert together.high - together.low > 1.5 * (alone.high - alone.low)


def test_equal_models_do_not_differ():
    found = paired_difference("t", [(True, True), (False, False)], [("t", "test", 0), ("t", "test", 1)])
    bound = wilson(0.0, 2)[1]  # a change of one row in so many may still hide, as reports have it
    assert (found.change, found.low, found.high, found.p_value) == (0.0, -bound, bound, 1.0)


def job_of(suite, kind, task, language, template, metrics, requests):
    provenance = Provenance(language, "en", "none", task, "c", "own", "", "test", template)
    return Job(JobInfo(suite, "none", kind, provenance, "h" * 8, metrics), requests)


def write_job(folder, job, table, **about):
    """Write a job into a file of its own, so that others may follow."""
    name = "-".join((job.info.provenance.task.replace("/", "-"), job.info.provenance.template))
    with items_writer(folder / "items" / f"{name}.parquet") as items:
        items.add(table, About(job.info, **ABOUT, **about))


def write(folder, task, right, language="en", **about):
    requests = tuple(Request(f"p{row}", ("a", "b"), 0, ("a",), Origin("own", "", "test", row)) for row in right)
    job = job_of(folder.name, "rank", task, language, "t", ("accuracy",), requests)
    answers = [Answer((-1.0, -2.0) if good else (-2.0, -1.0), (1, 1)) for good in right.values()]
    answers[-1] = replace(answers[-1], scores=(), error="non-finite score") if task == "broken" else answers[-1]
    table = items_table(job, answers, "bloomz")
    write_job(folder, job, table, **about)


def test_items_are_paired_by_row_and_template(tmp_path):
    before, after = tmp_path / "before", tmp_path / "after"
    write(before, "x", {0: False, 1: True, 2: True})
    write(after, "x", {1: True, 2: False, 3: True})
    write(before, "broken", {0: True, 1: True})
    write(after, "broken", {0: True, 1: True})
    by_task = {found.task: found for found in compare_results(before, after)}
    assert {task: found.items for task, found in by_task.items()} == {"x": 2, "broken": 1, "all": 3}
    assert by_task["x"].lost == 1
    assert len(compare_lines(list(by_task.values()))) == 4
    write(tmp_path / "other", "y", {0: True})
    with pytest.raises(SourceError, match="no scored item in common"):
        compare_results(before, tmp_path / "other")
    with pytest.raises(SourceError, match="no items"):
        compare_results(before, tmp_path / "nothing")


def test_a_chat_form_beside_a_plain_one_is_told(tmp_path, capsys):
    plain, chat = tmp_path / "plain", tmp_path / "chat"
    write(plain, "x", {0: False, 1: True})
    write(chat, "x", {0: True, 1: True}, computed={"chat": "0f5c"})
    assert compare_results(plain, chat)[0].gained == 1
    assert f"x: {chat} was prompted in its chat format, {plain} without" in capsys.readouterr().err
    compare_results(chat, chat)
    assert not capsys.readouterr().err


def write_texts(folder, texts, language="de", template="t"):
    requests = tuple(
        Request(f"p{row}", (), None, (right,), Origin("own", "", "test", row)) for row, (_, right) in enumerate(texts)
    )
    job = job_of("s", "generation", f"mt/{language}", language, template, ("bleu", "chrf"), requests)
    table = items_table(job, [Answer(text=text) for text, _ in texts], "bloomz")
    write_job(folder, job, table)


RIGHT = [f"der {word} liegt heute auf dem Tisch" for word in ("Hund", "Hut", "Ball", "Brief", "Ring", "Stein")] * 4
WORSE = [text.replace("heute auf", "gern unter") for text in RIGHT]


def test_corpus_metrics_are_paired_by_rows(tmp_path):
    for template in ("t", "u"):
        write_texts(tmp_path / "a", list(zip(WORSE, RIGHT, strict=True)), template=template)
        write_texts(tmp_path / "b", list(zip(RIGHT, RIGHT, strict=True)), template=template)
    (bleu, chrf) = compare_results(tmp_path / "a", tmp_path / "b")
    worse = sacrebleu.corpus_bleu(WORSE, [RIGHT]).score
    assert (bleu.metric, chrf.metric, bleu.items) == ("bleu", "chrf", 48)
    assert (bleu.first, bleu.second) == (pytest.approx(worse), pytest.approx(100.0))
    assert bleu.low <= bleu.change <= bleu.high
    assert bleu.low > 0
    assert bleu.p_value < 0.01
    assert bleu.gained is None
    (same, _) = compare_results(tmp_path / "a", tmp_path / "a")
    assert (same.change, same.low, same.high, same.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_languages_weigh_the_same_in_their_mean(tmp_path):
    write(tmp_path / "a", "x/fr", {0: False, 1: False}, "fr")
    write(tmp_path / "b", "x/fr", {0: True, 1: True}, "fr")
    write(tmp_path / "a", "x/de", dict.fromkeys(range(8), True))
    write(tmp_path / "b", "x/de", dict.fromkeys(range(8), True))
    found = {one.task: one for one in compare_results(tmp_path / "a", tmp_path / "b")}
    mean = found["x, mean of 2 languages"]
    assert (mean.first, mean.second, mean.low, mean.high) == (0.5, 1.0, 0.5, 0.5)
    assert found["all"].change == pytest.approx(0.2)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_one_template_a_row_is_mcnemars_test(pairs):
    found = paired_difference("t", pairs, [("test", "t", row) for row in range(len(pairs))])
    gained, lost = pairs.count((False, True)), pairs.count((True, False))
    expected = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert found.p_value == pytest.approx(expected)


def test_templates_of_a_row_are_no_further_evidence():
    pairs, rows = [(False, True)] * 4 + [(True, False)] * 2, range(6)
    once = paired_difference("t", pairs, [("test", "t", row) for row in rows])
    often = paired_difference("t", pairs * 5, [("test", f"t{n}", row) for n in range(5) for row in rows])
    assert often.p_value == pytest.approx(once.p_value, abs=0.03)  # 30 unpaired items would give 0.1


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"prompt": "p1, please"}, r"1 of 3 items with the same name have different prompt \(x: 1\)"),
        ({"choices": ("a", "c")}, r"1 of 3 items with the same name have different choices \(x: 1\)"),
        ({"references": ("a", "A")}, r"1 of 3 items with the same name have different references \(x: 1\)"),
    ],
)
def test_items_of_equal_names_that_are_not_the_same_are_refused(tmp_path, changed, says):
    requests = [Request(f"p{row}", ("a", "b"), 0, ("a",), Origin("own", "", "test", row)) for row in range(3)]
    other = [requests[0], replace(requests[1], **changed), requests[2]]
    for folder, asked in (("first", requests), ("same", requests), ("other", other)):
        job = job_of("s", "rank", "x", "en", "t", ("accuracy",), tuple(asked))
        write_job(tmp_path / folder, job, items_table(job, [Answer((-1.0, -2.0), (1, 1))] * 3, "bloomz"))
    assert compare_results(tmp_path / "first", tmp_path / "same")[0].items == 3
    with pytest.raises(ConfigError, match=says):
        compare_results(tmp_path / "first", tmp_path / "other")


def write_suite(folder, suite, axis, task, right):
    requests = tuple(
        Request(f"p{row}", ("a", "b"), 0, ("a",), Origin("own", "", "test", row)) for row in range(len(right))
    )
    job = job_of(suite, "rank", task, task.rpartition("/")[2], "t", ("accuracy",), requests)
    job = replace(job, info=replace(job.info, axis=axis))
    answers = [Answer((-1.0, -2.0) if good else (-2.0, -1.0), (1, 1)) for good in right]
    with items_writer(folder / "items" / f"{suite}-{task.replace('/', '-')}.parquet") as items:
        items.add(items_table(job, answers, "bloomz"), About(job.info, **ABOUT))


def test_trained_and_held_out_languages_never_share_a_mean(tmp_path):
    for folder, gain in (("a", 0), ("b", 4)):
        for task in ("nli/fr", "nli/es"):
            write_suite(tmp_path / folder, "trained", "rows", task, [True] * (4 + gain) + [False] * (6 - gain))
        for task in ("nli/sw", "nli/yo"):
            write_suite(tmp_path / folder, "held out", "languages", task, [True] * 5 + [False] * 5)
    found = compare_results(tmp_path / "a", tmp_path / "b")
    means = {(one.suite, one.axis): one.change for one in found if "mean of" in one.task}
    assert means == {("trained", "rows"): pytest.approx(0.4), ("held out", "languages"): 0.0}
    assert {one.task for one in found if one.task.startswith("all")} == {"all of trained", "all of held out"}
    assert compare_lines(found)[0].split()[0] == "suite"
