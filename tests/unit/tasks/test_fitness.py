"""Rows that make no example: the same reasons for a mixture and an evaluation, with the first row and what to do."""

import json
from collections import Counter
from dataclasses import replace

import pytest

from xmtf.artefacts.manifest_parts import DropNote, FirstDropped
from xmtf.errors import TemplateError
from xmtf.evaluation.suites.jobs import jobs
from xmtf.evaluation.suites.setup import Setup, SuiteSlice
from xmtf.recipe.schema import Evaluation, Suite, TaskSelection
from xmtf.tasks import DropReport, load_catalogue, prompted_parts
from xmtf.tasks.prompting.fitness import remedy
from xmtf.tasks.task import Slice, Task

ROWS = [
    {"text": "a", "answer": "yes", "other": "no", "label": 0},
    {"text": "b", "answer": None, "other": "no", "label": -1},
    {"text": None, "answer": "yes", "other": "no", "label": 2},
    {"text": "d", "answer": "maybe", "other": "no", "label": None},
    {"text": "e", "answer": "yes", "other": "yes", "label": 1},
    {"text": "f", "answer": "yes", "other": " ", "label": 1},
]


@pytest.fixture
def slice_of(tmp_path):
    """Make a slice of an own task of one template."""

    def make(jinja, answer_choices=None, rows=ROWS, **fields):
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        template = {"name": "t", "jinja": jinja, "answer_choices": answer_choices}
        file = tmp_path / f"{len(list(tmp_path.iterdir()))}.yaml"  # files are read once a process
        file.write_text(json.dumps({"templates": [template]}))
        task = Task(
            id="mine",
            cluster="own",
            dataset="mine",
            subset="",
            language="en",
            splits={"train": ("train",)},
            template_file=file,
            paths={"train": str(tmp_path / "rows.jsonl")},
            **{"kind": "rank"} | fields,
        )
        return Slice(task, "train", task.templates())

    return make


def dropped(part, **how):
    (prompted,) = prompted_parts(part, **{"failing_rows": 1.0} | how)
    return prompted.table["row"].to_pylist(), prompted.dropped


def test_labels_and_nulls_are_dropped_by_reason(slice_of):
    part = slice_of("{{text}}? ||| {{answer_choices[label]}}", "yes ||| no")
    assert dropped(part) == (
        [0, 4, 5],
        {"negative label": 1, "null in the inputs": 1, "null label": 1},
    )


def test_choices_of_rank_tasks_are_dropped_by_reason(slice_of):
    part = slice_of("{{text or 'x'}}? ||| {{answer}}", "yes ||| {{other}}")
    assert dropped(part) == (
        [0, 2],
        {
            "null target": 1,
            "target is not among the answer choices": 1,
            "equal answer choices": 1,
            "empty answer choice": 1,
        },
    )
    assert dropped(slice_of("{{label}}? ||| {{answer}}", "{{other}}"))[1]["fewer than two answer choices"] == 4
    constant = slice_of("{{label}}? ||| yes", "yes ||| no |||")
    assert dropped(constant)[1] == {"null in the inputs": 1, "empty answer choice": 5}
    assert dropped(slice_of("{{label}}? ||| yes", "yes ||| yes"))[1]["equal answer choices"] == 5


def test_prompts_without_choices_are_no_fault_of_a_rank_task(slice_of):
    assert dropped(slice_of("{{other}}? ||| {{other}}")) == ([0, 1, 2, 3, 4], {"empty target": 1})


@pytest.mark.parametrize("fields", [{"kind": "generation"}, {"choices": "keep"}])
def test_choices_may_stay_with_a_note(slice_of, fields):
    part = slice_of("{{label or 0}}? ||| {{other}}", "yes ||| yes", **fields)
    (prompted,) = prompted_parts(part)
    assert prompted.dropped == {"empty target": 1}
    assert prompted.notes == (
        "equal answer choices on 5 rows, first row 0",
        "target is not among the answer choices on 4 rows, first row 0",
    )


def test_nulls_may_be_empty_or_an_error(slice_of):
    jinja = "{{text}}? ||| {{other}}"
    assert dropped(slice_of(jinja, nulls="empty"))[1] == {"empty target": 1}
    where = r"mine \[train\], template 't': null in the inputs on 1 of 6 rows .*, first on row 2: 'text' is null; fill"
    with pytest.raises(TemplateError, match=where):
        dropped(slice_of(jinja, nulls="error"))
    with pytest.raises(TemplateError, match="null label on 1 of 6 rows"):
        dropped(slice_of("{{other}}? ||| {{answer_choices[label]}}", "yes ||| no ||| so", labels="error"))
    with pytest.raises(TemplateError, match="equal answer choices on 5 of 6 rows"):
        dropped(slice_of("{{other}}? ||| {{other}}", "no ||| no ||| yes", choices="error"))


def test_more_drops_than_failing_rows_stop_the_work(slice_of):
    rows = [{"text": "a", "label": str(number % 2)} for number in range(4)]
    part = slice_of("{{text}}? ||| {{answer_choices[label]}}", "yes ||| no", rows)
    said = (
        r"label is no whole number on 4 of 4 rows, first on row 0: the label is '0', a str "
        r"\(column 'label', on every row\); write the label as .*int\]"
    )
    with pytest.raises(TemplateError, match=said):
        dropped(part, failing_rows=0.5)


def test_legacy_mode_looks_at_none_of_it(slice_of):
    part = slice_of("{{text}}? ||| {{answer_choices[label]}}", "yes ||| yes")
    assert dropped(part, mode="legacy") == ([0, 1, 4, 5], {"empty target": 2})


def test_evaluations_drop_what_mixtures_drop_and_say_so(slice_of):
    part = slice_of("{{text or 'x'}}? ||| {{answer}}", "yes ||| {{other}}")
    suite = Suite(name="s", tasks=(TaskSelection(),))
    setup = Setup(Evaluation(), load_catalogue(), failing_rows=1.0)
    report = DropReport()
    (job,) = jobs(setup, [SuiteSlice(suite, part)], report)
    rows, reasons = dropped(part)
    assert ([request.origin.row for request in job.requests], job.info.dropped) == (rows, reasons)
    lines = list(report.lines(job.info.dropped))
    assert len(lines) == 4
    assert (
        "dropped 1: null target, first mine [train] row 1, template 't' ('answer' is null); remove the row" in lines[0]
    )
    assert all(remedy(reason) for reason in reasons)


def test_what_is_told_of_shards_is_merged_in_order():
    first = FirstDropped("a/x", "s", "t", 3, "d")
    one = DropReport({"null target": first}, [DropNote("a/x", "s", "t", "n")])
    two = DropReport({"null target": replace(first, row=1)}, [DropNote("a/y", "s", "t", "n")])
    report = DropReport()
    report.merge(one.to_json())
    report.merge(two.to_json())
    lines = list(report.lines(Counter({"null target": 7})))
    assert lines[0].startswith("dropped 7: null target, first a/x [s] row 3, template 't' (d); ")
    assert lines[1:] == ["check a/x [s], template 't' (and 1 more templates and splits): n"]


def test_a_label_column_that_never_picks_a_choice_is_named_with_the_one_that_does(slice_of):
    rows = [{"text": f"a {n}", "label_id": 100 + n, "label": n % 2, "other": 7} for n in range(6)]
    part = slice_of("{{text}}? ||| {{answer_choices[label_id]}}", "yes ||| no", rows)
    said = (
        r"label out of range on 6 of 6 rows, first on row 0: the label is 100, of 2 answer choices "
        r"\(column 'label_id', on every row; the values of 'label' do\); labels count from 0"
    )
    with pytest.raises(TemplateError, match=said):
        dropped(part, failing_rows=0.5)
