"""A table renders as its rows do, one by one, whichever way is taken."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmtf.errors import TemplateError
from xmtf.records import Origin
from xmtf.templates import Template
from xmtf.templates.rendering.columns import BATCH_ROWS
from xmtf.templates.rendering.substitute import SPACE, substitution

SOURCES = [
    ("{{a}} and {{b}} ||| {{c}}", None),
    (" {{a}}\n{{b}} ||| {{answer_choices[c]}} ", "no ||| {{a}} ||| yes"),
    ("{{a}}{{b}} ||| {{answer_choices[0]}}", "{{a}}|||{{b}}"),
    ("| {{a}} || {{a}} ||| {{answer_choices[-1]}}", "no ||| yes"),
    ("{{a}}|||{{b}}||||{{a}}", None),
    ("{{s.text[0]}} {{s['n']}} ||| {{l[1]}} {{l}}", None),
    ("{% if c == 1 %}{{a}} ||| {{b}}{% endif %}", None),
    ("{{a | choice}} ||| {{missing}}", "{{b}}"),
    ("{{a.x.y}} {{s.text[0].z}} ||| {{b}}", None),
    ("{{d}} {{e}} ||| {{a}}", None),
    ("{% if c == 1 or not d %}{{a}} ||| {{b}}{% elif s.text %}{{s.text[0]}} ||| x{% else %} {% endif %}", None),
    (
        "{{a}}\n{% if a != 'ab' and s.text != [] %}{{b}}{% endif %} ||| {% if d == 1 %}{{answer_choices[c]}}"
        "{% endif %}",
        "x",
    ),
    ("{% if a %}{{a}} |{% endif %}|| {{b}} ||| y", None),
    ("{{answer_choices | join(', ')}}? ||| {{answer_choices[c]}}", "{% if l %}{{a}}|||{% endif %}{{b}} ||| no"),
    ("{{answer_choices | join}} {{a | trim | upper}} ||| {{l[0] | lower}}", "yes ||| no"),
    ("{% if l | length > 1 %}{{l[1]}}{% endif %} ||| {% if a | length == 2 %}{{a}}{% endif %}", None),
    ("{% if c > 0 %}{{a}}{% if c >= 2 %}{{b}}{% endif %}{% endif %} ||| {% if c != -1 %}{{c}}{% endif %}", None),
    ("{% if a == 7 or c == 'a' or d == true or c == 1.0 %}x{% endif %} ||| {{a}}", None),
    ("{% if missing %}x{% endif %} ||| {{a}}", None),
    ("{{k | join(' / ')}} {{answer_choices | join}} ||| {{answer_choices[c]}}", "{{k | join(' ||| ')}}"),
    ("{{', '.join(answer_choices)}} ||| {{answer_choices[-2]}}", "{{s.text | join('|||')}}"),
    ("{{b[:3]}} {{b[2:5] | upper}} {{a[1:]}} ||| {{l[:1]}}", None),
    ("{{b[:2]}}: {{'x' if c == 1 else a}}{{'y' if d}} ||| {{answer_choices[n | int - 1]}}", "no|||{{b}}"),
    ("{{\"a 'constant'\"}} {{b}} ||| {{answer_choices[c + 1]}}{{answer_choices[c | int]}}", "no ||| yes"),
]
TEXT = st.text(st.sampled_from("ab|\n \u00a0\u200b\u3000\x1f{}é"), max_size=8)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "a": st.none() | TEXT,
            "b": TEXT | st.just("x " * 1500),
            "c": st.none() | st.integers(-3, 3),
            "d": st.none() | st.booleans(),
            "e": st.none() | st.floats(),
            "s": st.none()
            | st.fixed_dictionaries({"text": st.none() | st.lists(TEXT, max_size=2), "n": st.integers(0, 9)}),
            "l": st.none() | st.lists(st.none() | TEXT, max_size=2),
            "k": st.lists(TEXT, min_size=1, max_size=3),
            "n": st.sampled_from(["1", "2", "3", "x", " 2 ", "1.5", ""]) | st.just("1"),
        }
    ),
    max_size=4,
)
SCHEMA = pa.schema(
    {
        "a": pa.string(),
        "b": pa.string(),
        "c": pa.int32(),
        "d": pa.bool_(),
        "e": pa.float64(),
        "s": pa.struct({"text": pa.list_(pa.string()), "n": pa.int64()}),
        "l": pa.list_(pa.string()),
        "k": pa.list_(pa.string()),
        "n": pa.string(),
    }
)


@pytest.mark.parametrize("mode", ["fixed", "legacy"])
@pytest.mark.parametrize(("jinja", "choices"), SOURCES)
@settings(max_examples=15, deadline=None)
@given(rows=ROWS, strip=st.booleans())
def test_table_is_rendered_as_its_rows_are(jinja, choices, mode, rows, strip):
    template = Template("t", jinja, choices)
    table = pa.Table.from_pylist(rows, SCHEMA)
    numbers = range(5, 5 + len(rows))
    rendered = template.render_table(
        table, dataset="d", subset="s", split="train", rows=numbers, mode=mode, strip=strip
    )
    failed = {failure.row: failure.message for failure in rendered.failures}
    failed |= {row: unfit.reason for unfit in rendered.unfit for row in unfit.rows.tolist()}
    assert len(failed) == len(rendered.failures) + sum(len(unfit.rows) for unfit in rendered.unfit)
    for index, row in enumerate(table.to_pylist()):
        found = [rendered.inputs[index].as_py(), rendered.targets[index].as_py(), rendered.choices[index].as_py()]
        try:
            one = template.render(row, origin=Origin("d", "s", "train", 5 + index), mode=mode, strip=strip)
        except TemplateError as error:
            assert failed[index + 5] in str(error)  # noqa: PT017 - compared with the table's own answer
            assert found == [None, None, None]
            continue
        assert index + 5 not in failed
        if one is None:
            assert found == [None, None, None]
        else:
            one_choices = None if one.answer_choices is None else list(one.answer_choices)
            assert found == [one.inputs, list(one.targets), one_choices]


def test_only_random_draws_above_are_never_rendered_by_column():
    plans = [substitution(jinja, choices, "fixed") for jinja, choices in SOURCES]
    assert [number for number, plan in enumerate(plans) if plan is None] == [7]


def test_rows_of_both_branches_come_back_in_order():
    template = Template("t", "{% if n == 1 %}one ||| {{n}}{% elif n == 2 %}{{s.x}} ||| two{% endif %}")
    table = pa.table({"n": [2, 1, 3, 1], "s": [{"x": "a"}, {"x": "b"}, {"x": "c"}, {"x": "d"}]})
    found = substitution(template.jinja, None, "fixed").render(table)
    assert found.inputs.to_pylist() == ["a", "one", None, "one"]
    assert found.targets.to_pylist() == [["two"], ["1"], None, ["1"]]
    assert found.choices.to_pylist() == [None] * 4


def test_choices_from_a_list_are_rendered_by_column():
    template = Template("t", "{{k | join(', ')}}? ||| {{answer_choices[n | int - 1]}}", "{{k | join('|||')}}")
    table = pa.table({"n": ["1", "3", "2"], "k": [["a"], [" b", "c |||", "d"], ["e", "f"]]})
    found = substitution(template.jinja, template.answer_choices, "fixed").render(table.slice(1))
    assert found.inputs.to_pylist() == ["b, c |||, d?", "e, f?"]
    assert found.targets.to_pylist() == [["d"], ["f"]]
    assert found.choices.to_pylist() == [["b", "c |||", "d"], ["e", "f"]]


def test_failures_name_rows_of_the_split():
    table = pa.table({"x": [1, 0, 2]})
    rendered = Template("t", "{{1 // x}} ||| y").render_table(
        table, dataset="d", subset="", split="s", rows=[10, 20, 30]
    )
    assert [(failure.row, failure.kind) for failure in rendered.failures] == [(20, "ZeroDivisionError")]
    assert rendered.inputs.to_pylist() == ["1", None, "0"]


@pytest.mark.parametrize("whole", [2**26, 0])
def test_large_and_empty_tables(monkeypatch, whole):
    monkeypatch.setattr("xmtf.templates.rendering.columns._WHOLE_BYTES", whole)
    rows = 2 * BATCH_ROWS + 3
    table = pa.table({"x": range(rows)})
    for jinja in ("{{x}} ||| y", "{{x | string}} ||| y"):
        rendered = Template("t", jinja).render_table(table, dataset="d", subset="", split="s")
        assert rendered.inputs.to_pylist() == [str(x) for x in range(rows)]
        empty = Template("t", jinja).render_table(table.slice(0, 0), dataset="d", subset="", split="s")
        assert (len(empty.inputs), len(empty.targets), len(empty.choices)) == (0, 0, 0)


def test_white_space_outside_fields_is_stripped_in_large_tables_as_in_small_ones():
    values = ["a", " a", "a\u3000", "\u2028", "", "\u00a0a", "\u0e01", "\u3042"] * 100
    rendered = Template("t", " \n{{x}} {{x}} \n||| \u3000 {{x}}").render_table(
        pa.table({"x": values}), dataset="d", subset="", split="s"
    )
    assert rendered.inputs.to_pylist() == [f" \n{value} {value} \n".strip() for value in values]
    assert rendered.targets.to_pylist() == [[value.strip()] for value in values]


def test_a_table_is_given_up_after_some_rows_without_end():
    template = Template("t", "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %} ||| y")
    rendered = template.render_table(pa.table({"x": range(1000)}), dataset="d", subset="", split="s")
    assert len(rendered.failures) == 1000
    assert {failure.kind for failure in rendered.failures} == {"LimitError"}
    assert rendered.failures[-1].message.startswith("not tried")


def test_more_text_than_a_column_holds_is_refused(monkeypatch):
    monkeypatch.setattr("xmtf.templates.rendering.columns.MAX_CHARACTERS", 10_000)
    template = Template("endless", "{{x}}" * 600 + "||| y")
    with pytest.raises(TemplateError, match=r"template 'endless': renders .* rows to more than .* render fewer rows"):
        template.render_table(pa.table({"x": ["a" * 100] * 9}), dataset="d", subset="", split="s")


def test_space_is_what_python_strips():
    assert "".join(chr(code) for code in range(0x110000) if chr(code).isspace()) == SPACE
