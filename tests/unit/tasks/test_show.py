from dataclasses import replace

import pytest

from xmtf.errors import SourceError
from xmtf.tasks.entries import read_catalogue_file
from xmtf.tasks.prompting.show import preview_row
from xmtf.templates import Template


@pytest.fixture
def task(catalogue_file, mirror):
    return {task.id: task for task in read_catalogue_file(catalogue_file)}["tiny/fra"]


def test_a_row_is_shown_as_a_mixture_renders_it(task):
    template = Template("t", "{{ text }} |||\n  {{ text }}")
    (text,) = preview_row(task, [template])
    (program,) = preview_row(replace(task, language="python"), [template])
    assert text.targets == ("bien",)
    assert program.targets == ("\n  bien",)


def test_rows_are_counted_as_the_adapter_leaves_them(task, mirror):
    (mirror / "own/tiny/fra/train.csv").write_text("text,label\na,1\nb,-1\nc,0\n", encoding="utf-8")
    task = replace(task, adapter="hidden-labels")
    (shown,) = preview_row(task, [Template("t", "{{ text }} ||| x")], row=1)
    assert (shown.inputs, shown.origin.row) == ("c", 2)
    with pytest.raises(SourceError, match=r"tiny/fra \[train\] has 2 rows; --row 2 is out of range"):
        preview_row(task, [], row=2)


@pytest.mark.parametrize(
    ("jinja", "choices", "problem"),
    [
        ("{{ text }} ||| {{ answer_choices[label - 2] }}", "no ||| yes", "negative label: the label is -1, of 2"),
        ("{{ text }} ||| bon", "no ||| yes", "target is not among the answer choices: the target is 'bon', the"),
        ("{{ txet }} ||| bon", None, "reads the column 'txet', which the rows do not have; did you mean 'text'?"),
        ("{{ [text] | map('upper') }} ||| bon", None, "NotTextError: 'text' is a generator, not text"),
        (" ", None, "template does not apply"),
    ],
)
def test_a_row_that_makes_no_example_says_what_the_build_says(task, jinja, choices, problem):
    (shown,) = preview_row(replace(task, kind="rank"), [Template("t", jinja, choices)])
    assert problem in shown.problem
