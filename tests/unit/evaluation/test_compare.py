from dataclasses import replace

import pytest

from xmtf.errors import SourceError
from xmtf.evaluation.answer import Answer
from xmtf.evaluation.compare import compare_lines, compare_results, paired_difference
from xmtf.evaluation.jobs import Job
from xmtf.evaluation.results import About, items_table, write_items
from xmtf.records import Origin, Request

ABOUT = {"model": "m", "model_fingerprint": "f", "scoring": "bloomz", "versions": {}}


def test_changes_are_paired():
    pairs = [(False, True)] * 8 + [(True, False)] * 2 + [(True, True)] * 10
    found = paired_difference("t", pairs, [("t", "test", row) for row in range(20)])
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
    assert (found.change, found.low, found.high, found.p_value) == (0.0, 0.0, 0.0, 1.0)


def write(folder, task, right):
    requests = tuple(Request(f"p{row}", ("a", "b"), 0, ("a",), Origin("own", "", "test", row)) for row in right)
    job = Job(
        suite=folder.name, axis="none", kind="rank", task=task, cluster="c", dataset="own", subset="", split="test",
        template="t", template_hash="h" * 8, language="en", prompt_language="en", translation="none",
        metrics=("accuracy",), requests=requests, dropped={},
    )  # fmt: skip
    answers = [Answer((-1.0, -2.0) if good else (-2.0, -1.0), (1, 1)) for good in right.values()]
    answers[-1] = replace(answers[-1], scores=(), error="non-finite score") if task == "broken" else answers[-1]
    table = items_table(job, answers, "bloomz")
    write_items(folder / "items" / f"{job.name}.parquet", table, About(job.about(), **ABOUT))


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
    with pytest.raises(SourceError, match="no judged item in common"):
        compare_results(before, tmp_path / "other")
    with pytest.raises(SourceError, match="no items"):
        compare_results(before, tmp_path / "nothing")
