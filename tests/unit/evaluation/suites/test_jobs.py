from dataclasses import replace
from types import SimpleNamespace

import pyarrow as pa
import pytest

from xmtf.errors import ConfigError
from xmtf.evaluation.suites.jobs import job_of
from xmtf.evaluation.suites.setup import SuiteSlice, named_suites
from xmtf.recipe.schema import Suite, TaskSelection
from xmtf.records import Provenance
from xmtf.tasks.task import Slice, Task

TEMPLATE = SimpleNamespace(name="ask: a/b?", hash="abcdef0123", language="de", translation="human")


def part(kind="rank", metrics=("accuracy",), cap=None):
    task = Task(
        "own/fr", "qa", "own", "fr", "fr", splits={"evaluation": ("test",)}, kind=kind, metrics=metrics, revision="r1"
    )
    suite = Suite(name="held-out rows", axis="rows", tasks=(TaskSelection(),))
    return SuiteSlice(suite, Slice(task, "test", (TEMPLATE,), cap_examples=cap))


def prompted(*examples, dropped=None):
    columns = ("inputs", "targets", "choices", "row")
    rows = [dict(zip(columns, example, strict=True)) for example in examples]
    return SimpleNamespace(table=pa.Table.from_pylist(rows), dropped=dropped or {})


def test_gold_is_the_place_of_the_target_and_the_rest_is_counted():
    job = job_of(
        part(),
        TEMPLATE,
        prompted(
            ("p0", "no", ["yes", "no"], 3),
            ("p1", "No", ["yes", "no"], 4),
            ("p2", "yes", ["yes"], 5),
            ("p3", "yes", None, 6),
            ("p4", "yes", ["yes", "no"], 9),
            dropped={"template does not apply": 2},
        ),
        seed=1,
    )
    assert [(request.prompt, request.gold, request.origin.row) for request in job.requests] == [
        ("p0", 1, 3),
        ("p4", 0, 9),
    ]
    assert job.info.dropped == {
        "template does not apply": 2,
        "target is not among the answer choices": 1,
        "fewer than two answer choices": 2,
    }
    assert (job.info.suite, job.info.axis, job.info.kind, job.info.revision) == ("held-out rows", "rows", "rank", "r1")
    assert job.info.provenance == Provenance("fr", "de", "human", "own/fr", "qa", "own", "fr", "test", "ask: a/b?")
    assert str(job.requests[0].origin) == "own/fr [test] row 3"


def test_a_pinned_commit_is_the_revision_of_a_job():
    asked = part()
    task = replace(asked.slice.task, commit="c" * 40)
    job = job_of(
        replace(asked, slice=replace(asked.slice, task=task)), TEMPLATE, prompted(("p", "a", ["a", "b"], 0)), seed=1
    )
    assert job.info.revision == "c" * 40


def test_generation_jobs_keep_their_reference_and_metrics():
    job = job_of(part("generation", ("bleu", "chrf")), TEMPLATE, prompted(("p", "a", None, 0)), seed=1)
    assert job.info.metrics == ("bleu", "chrf")
    assert job.requests[0].references == ("a",)
    assert job.requests[0].choices == ()


def test_a_cap_keeps_a_seeded_choice_in_the_order_of_rows():
    examples = [(f"p{row}", "a", None, row) for row in range(50)]
    kept = job_of(part("generation", cap=7), TEMPLATE, prompted(*examples), seed=1).requests
    rows = [request.origin.row for request in kept]
    assert len(rows) == 7
    assert rows == sorted(rows)
    assert kept == job_of(part("generation", cap=7), TEMPLATE, prompted(*examples), seed=1).requests
    assert kept != job_of(part("generation", cap=7), TEMPLATE, prompted(*examples), seed=2).requests


@pytest.mark.parametrize("names", ["demo,demo", "xnli, XNLI", "l1,xnli,L1"])
def test_a_suite_named_twice_is_refused(names):
    with pytest.raises(ConfigError, match=r"--suite: (demo|xnli|l1) is given 2 times; each suite is evaluated once"):
        named_suites(names)
