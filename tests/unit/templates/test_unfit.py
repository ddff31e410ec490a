"""A value that is not there never becomes text in fixed mode; what is no text is a fault of the template."""

import datetime
import decimal

import pyarrow as pa
import pytest

from xmtf.errors import TemplateError
from xmtf.templates import Rendered, Template
from xmtf.templates.sandbox.unfit import REMEDIES

CHOICES = "no ||| yes"


def rendered(jinja, column, choices=None, **how):
    """Render a table of one column ``x``; return inputs or targets, reason or failure of each row."""
    table = column if isinstance(column, pa.Table) else pa.table({"x": column})
    found = Template("t", jinja, choices).render_table(table, dataset="d", subset="", split="s", **how)
    said = {row: each.reason for each in found.unfit for row in each.rows.tolist()}
    said |= {each.row: each.kind for each in found.failures}
    texts = zip(found.inputs.to_pylist(), found.targets.to_pylist(), strict=True)
    return [said.get(row) or (None if text is None else (text, *targets)) for row, (text, targets) in enumerate(texts)]


@pytest.mark.parametrize(
    "printed",
    [
        "{{x}}",
        "{{x | upper}}",
        "{{x | trim | lower}}",
        "{{x | replace('a', 'b')}}",
        "{{x ~ '.'}}",
        "{{'%s!' | format(x)}}",
        "{{'%s!' % x}}",
        "{{x[:3]}}",
        "{{x.split(' ')[0]}}",
        "{{[x, 'b'] | join(', ')}}",
        "{{[x, 'b']}}",
        "{{[x] ~ 'b'}}",
        "{{'%s' % [[x]]}}",
        "{{'%s' | format({'a': x})}}",
        "{{[x] | string | upper}}",
        "{{[x] | map('upper') | join}}",
        "{% set y = x %}{{y}}",
        "{% filter upper %}{{x}}{% endfilter %}",
        "{{x | string}}",
        "{{x + 'b'}}",
        "{{x if true else 'b'}}",
        "{{x | int}}",
    ],
)
def test_a_null_is_never_printed(printed):
    column = pa.array([None, "12"], pa.string())
    nothing, something = rendered(f"{printed} ? ||| b", column)
    assert nothing == "null in the inputs"
    assert isinstance(something, tuple)
    assert rendered(f"a ||| {printed}", column)[0] == "null target"
    assert rendered("a ||| {{answer_choices[0]}}", column, f"{printed} ||| b")[0] == "null answer choice"


@pytest.mark.parametrize(
    ("jinja", "text"),
    [
        ("{{x or ''}}a", "a"),
        ("{{x | default('none', true)}}", "none"),
        ("{% if x %}{{x}}{% else %}nothing{% endif %}", "nothing"),
        ("{{'of ' ~ x if x}}a", "a"),
        ("{% if x is none %}a{% endif %}", "a"),
        ("{% if x | lower == 'b' or x | int > 3 or 'c' in x | trim %}b{% else %}a{% endif %}", "a"),
        ("{{(x | trim) or 'a'}}", "a"),
        ("{{x | select | list | length}}{{x | map('upper') | list | length}}{{x | rejectattr('y') | list}}", "00[]"),
    ],
)
def test_conditions_and_defaults_may_look_at_nulls(jinja, text):
    assert rendered(f"{jinja} ||| b", pa.nulls(1, pa.string())) == [(text, "b")]


def test_nulls_may_print_nothing():
    column = pa.array([None, "a"], pa.string())
    for jinja in ("x{{x}} ||| b", "x{{x | upper | lower}} ||| b"):
        assert rendered(jinja, column, nulls="empty") == [("x", "b"), ("xa", "b")]
    assert rendered("x{{x}} ||| b", column, mode="legacy") == [("xNone", "b"), ("xa", "b")]


def test_what_is_undefined_is_null():
    assert rendered("{{x[0]}} ||| b", pa.array([["a"], [], None])) == [("a", "b")] + ["null in the inputs"] * 2
    assert rendered("{{x.a}} ||| b", pa.array([{"a": "a"}, None])) == [("a", "b"), "null in the inputs"]
    assert rendered("{{y}} ||| b", pa.array(["a"])) == ["null in the inputs"]


@pytest.mark.parametrize("jinja", ["{{answer_choices[x]}}", "{{answer_choices[x] | trim}}", "{{['no', 'yes'][x]}}"])
def test_labels_pick_an_answer_choice_or_the_row_is_unfit(jinja):
    labels = pa.array([0, 1, -1, 2, None])
    expected = [("a", "no"), ("a", "yes"), "negative label", "label out of range", "null label"]
    assert rendered(f"a ||| {jinja}", labels, CHOICES) == expected
    assert rendered(f"a ||| {jinja}", pa.array([True, False]), CHOICES) == ["label is no whole number"] * 2
    assert rendered(f"a ||| {jinja}", pa.array(["1", "yes"]), CHOICES) == ["label is no whole number"] * 2
    floats = rendered(f"a ||| {jinja}", pa.array([1.0, 0.5, float("nan")]), CHOICES)
    assert floats == [("a", "yes"), "label is no whole number", "null label"]


def test_labels_that_are_computed_and_constant_ones():
    assert rendered("a ||| {{answer_choices[x - 1]}}", pa.array([1, 0]), CHOICES) == [("a", "no"), "negative label"]
    texts = rendered("a ||| {{answer_choices[x | int]}}", pa.array(["1", "", "one"]), CHOICES)
    assert texts == [("a", "yes"), "null label", "null label"]
    assert rendered("a ||| {{answer_choices[-1]}}", pa.array([0]), CHOICES) == [("a", "yes")]
    assert rendered("a ||| {{answer_choices[7]}}", pa.array([0]), CHOICES) == ["null target"]
    tested = "{% if x >= 0 %}a ||| {{answer_choices[x]}}{% endif %}"
    assert rendered(tested, pa.array([-1, 1]), CHOICES) == [None, ("a", "yes")]


def test_legacy_labels_stay_to_the_letter():
    labels = pa.array([-1, 2, None])
    found = rendered("a ||| {{answer_choices[x]}}", labels, CHOICES, mode="legacy")
    assert found == [("a", "yes"), ("a", ""), ("a", "")]


def test_details_and_notes_name_values():
    template = Template("t", "a ||| {{answer_choices[x]}}", CHOICES)
    found = template.render_table(pa.table({"x": [1.0, -1.0]}), dataset="d", subset="", split="s", rows=[5, 9])
    assert [(each.reason, each.rows.tolist(), each.detail) for each in found.unfit] == [
        ("negative label", [9], "the label is -1, of 2 answer choices")
    ]
    assert found.notes == ("a label is a whole float, such as 1.0; such labels are read as integers",)
    listed = Template("t", "{{x}} ||| b").render_table(
        pa.table({"x": [["yes", "ja"]]}), dataset="d", subset="", split="s"
    )
    assert listed.inputs.to_pylist() == ["['yes', 'ja']"]
    assert listed.notes == ("prints 'x' whole, as a Python list; join or index it",)
    assert all(REMEDIES.values())


ROW = {"d": {"values": "V", "items": "I", "keys": "K", "get": "G", "pop": "P", "update": "U", "k": 1}, "x": ["a", "b"]}


@pytest.mark.parametrize(
    "printed",
    [
        "{{ x | map('upper') }}",
        "{{ x | select }}",
        "{{ x | reverse }}",
        "{{ x | batch(1) }}",
        "{{ x | unique }}",
        "{{ range }}",
        "{{ range(3) }}",
        "{{ zip(x, x) }}",
        "{{ namespace(a=1) }}",
        "{{ x.append }}",
        "{{ 'a'.upper }}",
        "{{ d.keys() }}",
        "{% for y in x %}{{ loop }}{% endfor %}",
        "{% macro m() %}{% endmacro %}{{ m }}",
        "{{ [x.append] }}",
        "{{ {'a': x.append} }}",
        "{{ 'a' ~ x.append }}",
        "{{ x.append | string }}",
        "{{ x.append | upper }}",
        "{{ [x.append] | join }}",
        "{{ '%s' % x.append }}",
        "{{ '%s' | format(x.append) }}",
        "{{ 'a' | replace('a', x.append) }}",
        "{{ b }}",
    ],
)
def test_what_is_no_text_is_a_fault(printed):
    with pytest.raises(TemplateError, match="not text"):
        Template("t", printed + " ||| b").render(ROW | {"b": b"bytes"})


def test_legacy_drops_addresses_and_prints_the_rest():
    with pytest.raises(TemplateError, match="address of an object in the text"):
        Template("t", "{{ x | map('upper') }} ||| b").render(ROW, mode="legacy")
    with pytest.raises(TemplateError, match="address of an object in the text"):
        Template("t", "{{ d.values }} ||| b").render(ROW, mode="legacy")
    assert Template("t", "{{ range(3) }} ||| b").render(ROW, mode="legacy").inputs == "range(0, 3)"


@pytest.mark.parametrize("name", ["values", "items", "keys", "get", "pop", "update"])
def test_keys_win_over_methods_that_are_not_called(name):
    assert Template("t", f"{{{{ d.{name} }}}} ||| b").render(ROW).inputs == name[0].upper()
    assert Template("t", f"{{{{ d['{name}'] }}}} ||| b").render(ROW).inputs == name[0].upper()


def test_methods_are_called_all_the_same():
    assert Template("t", "{{ d.values() | list | length }}{{ d.get('k') }} ||| b").render(ROW).inputs == "71"


@pytest.mark.parametrize("name", ["range", "zip", "namespace"])
def test_columns_win_over_functions_that_are_not_called(name):
    table = pa.table({name: ["C"], "x": [["a", "b"]]})
    call = {"range": "range(2)", "zip": "zip(x, x)", "namespace": "[namespace(a=1).a]"}[name]
    assert rendered(f"{{{{ {name} }}}}{{{{ {call} | list | length }}}} ||| b", table)[0][0] in ("C2", "C1")


@pytest.mark.parametrize("number", ["'1e400' | float | int", "'1e400' | float", "'1e400' | int", "1e400"])
def test_numbers_that_are_none(number):
    with pytest.raises(TemplateError):
        Template("t", f"{{{{ {number} }}}} ||| b").render({})


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pa.array([0.1, None], pa.float32()), ["0.1", None]),
        (pa.array([0.1, float("nan"), float("inf"), -float("inf"), 2.0]), ["0.1", None, None, None, "2.0"]),
        (pa.array([1.5, 0.1], pa.float16()), ["1.5", "0.1"]),
        (pa.array(["a", None], pa.string_view()), ["a", None]),
        (pa.array(["a", None], pa.large_string()), ["a", None]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
        (pa.array([3, 3, 4]).cast(pa.int32()), ["3", "3", "4"]),
        (pa.array([2**64 - 1], pa.uint64()), ["18446744073709551615"]),
        (pa.array([decimal.Decimal("1.50")]), ["1.50"]),
        (pa.array([datetime.date(2024, 1, 1)]), ["2024-01-01"]),
        (pa.array([datetime.time(1, 2)]), ["01:02:00"]),
    ],
)
def test_columns_of_every_type_are_read(column, texts):
    expected = ["null in the inputs" if text is None else (text, "b") for text in texts]
    assert rendered("{{x}} ||| b", column) == expected


_NUMBERS = pa.map_(pa.string(), pa.float32())


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pa.array([[("k", 0.1)], None, [("k", 0.7)]], _NUMBERS), ["0.1", None, "0.7"]),
        (pa.array([[("k", float("nan"))], [("k", 2.0)]], _NUMBERS), [None, "2.0"]),
        (pa.array([{"k": 0.1}, {"k": float("inf")}], pa.struct({"k": pa.float32()})), ["0.1", None]),
        (pa.array([[("k", datetime.time(1, 2))]], pa.map_(pa.string(), pa.time64("ns"))), ["01:02:00"]),
    ],
)
def test_numbers_inside_mappings_are_read_like_those_of_columns(column, texts):
    expected = ["null in the inputs" if text is None else (text, "b") for text in texts]
    assert rendered("{{ x.k }} ||| b", column) == expected
    assert rendered("{% for k, v in x.items() %}{{ v }}{% endfor %}{% if not x %}{{ x }}{% endif %} ||| b", column) == (
        expected
    )
    assert rendered("{{ x.k }} ||| b", column.slice(1)) == expected[1:]


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float32()), pa.large_list(pa.float32()), pa.list_(pa.float32(), 1), pa.list_view(pa.float32())]
)
@pytest.mark.parametrize("first", [0, 1, 2])
def test_lists_beside_nulls_keep_their_items(kind, first):
    column = pa.array([[0.1], None, [0.7], [float("nan")]], kind).slice(first)
    texts = [("0.1", "b"), "null in the inputs", ("0.7", "b"), "null in the inputs"]
    assert rendered("{{ x | join }} ||| b", column) == texts[first:]


@pytest.mark.parametrize("jinja", ["{{ x.image }}", "{{ x.image | upper }}", "{{ x }}"])
def test_bytes_inside_a_column_are_not_printed(jinja):
    column = pa.array([{"image": b"a", "path": "p"}] * 2)
    assert rendered("{{ x.path }} ||| b", column) == [("p", "b")] * 2
    with pytest.raises(TemplateError, match="byte"):
        Template("t", f"{jinja} ||| b").render({"x": {"image": b"a"}})
    failed = Template("t", f"{jinja} ||| b").render_table(pa.table({"x": column}), dataset="d", subset="", split="s")
    assert [failure.row for failure in failed.failures] == [0, 1]


@pytest.mark.parametrize(
    ("column", "jinja"),
    [
        (pa.array([[("k", "a")]], pa.map_(pa.string(), pa.string())), "{{x.k}}"),
        (pa.array([{"m": [("k", "a")]}], pa.struct({"m": pa.map_(pa.string(), pa.string())})), "{{x.m.k}}"),
        (pa.array([{"s": "a"}], pa.struct({"s": pa.string_view()})), "{{x.s}}"),
        (pa.array([["a"]], pa.list_(pa.string_view())), "{{x[0]}}"),
        (pa.array([["a"]], pa.large_list(pa.string_view())), "{{x[0]}}"),
        (pa.array([["a"]], pa.list_view(pa.string())), "{{x[0]}}"),
        (pa.array([["a"]], pa.list_(pa.string(), 1)), "{{x[0]}}"),
    ],
)
def test_nested_columns_of_every_type_are_read(column, jinja):
    assert rendered(f"{jinja} ||| b", column) == [("a", "b")]
    assert rendered(f"{jinja} ||| b", pa.chunked_array([column, column]).slice(1)) == [("a", "b")]


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (pa.array([b"a"]).dictionary_encode(), "holds bytes"),
        (pa.array([b"0" * 16], pa.uuid()), "holds bytes"),
        (pa.array([(1, 2, 3)], pa.month_day_nano_interval()), "holds intervals"),
        (pa.array([1], pa.time64("ns")), "would lose data"),
        (pa.array([1], pa.duration("ns")), "would lose data"),
        (pa.array([1], pa.timestamp("ns")), "would lose data"),
        (pa.array([{"t": 1}], pa.struct({"t": pa.timestamp("ns", "UTC")})), "would lose data"),
        (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.timestamp("ns"))), "would lose data"),
        (pa.array([1, 2**62], pa.timestamp("us")), "a moment that Python cannot hold"),
        (pa.array([1, None], pa.timestamp("ns", "Mars/Base")), "a moment that Python cannot hold .*Mars/Base"),
        (pa.array([2**30], pa.date32()), "a moment that Python cannot hold"),
        (pa.array([[[2**62]]], pa.list_(pa.list_(pa.duration("s")))), "a moment that Python cannot hold"),
        (pa.array([{"d": 2**60}], pa.struct({"d": pa.date64()})), "a moment that Python cannot hold"),
        (pa.array([2**62], pa.timestamp("us")).dictionary_encode(), "a moment that Python cannot hold"),
        (pa.array([[("k", "a"), ("k", "b")]], pa.map_(pa.string(), pa.string())), "a mapping with the key 'k' twice"),
    ],
)
def test_columns_without_a_text_are_named(column, said):
    with pytest.raises(TemplateError, match=rf"template 't': the column 'x' .*{said}"):
        rendered("{{x}} ||| b", column)


@pytest.mark.parametrize("mode", ["fixed", "legacy"])
def test_moments_in_nanoseconds_read_alike_with_and_without_pandas(mode):
    column = pa.array([1_500_000_000_000_001_000, None], pa.timestamp("ns"))
    assert rendered("{{x}} ||| b", column, mode=mode)[0] == ("2017-07-14 02:40:00.000001", "b")
    assert rendered("{{x.week}} ||| b", column.slice(0, 1), mode=mode) != [("28", "b")], "pandas alone has weeks"
    mapping = pa.array([[("k", 1_500_000_000_000_001_000)], None], pa.map_(pa.string(), pa.timestamp("ns")))
    assert rendered("{{x.k}} ||| b", mapping, mode=mode)[0] == ("2017-07-14 02:40:00.000001", "b")


def test_a_column_may_be_called_self():
    assert rendered("{{self}} {{self | upper}} ||| b", pa.table({"self": ["a"]})) == [("a A", "b")]
    assert rendered("{% for self in [1, 2] %}{{self}}{% endfor %} ||| b", pa.table({"x": ["a"]})) == [("12", "b")]


@pytest.mark.parametrize(
    "expression",
    ["x", "x | string", "x ~ ''", "x | upper", "'%s' % x", "'%s' | format(x)", "[x] | join", "x | replace('a', 'b')"],
)
def test_a_list_that_becomes_text_whole_is_noted(expression):
    table = pa.table({"x": [["a", "c"]]})
    found = Template("t", f"{{{{ {expression} }}}} ||| b").render_table(table, dataset="d", subset="", split="s")
    assert any("whole, as a Python list" in note for note in found.notes)
    joined = Template("t", "{{ x | join }} ||| b").render_table(table, dataset="d", subset="", split="s")
    assert not joined.notes


def test_nested_numbers_that_are_none_are_null():
    column = pa.array([{"n": [float("nan"), 1.0]}, {"n": [0.5, 1.0]}, None])
    assert rendered("{{x.n[0]}} ||| b", column) == ["null in the inputs", ("0.5", "b"), "null in the inputs"]
    assert rendered("{{x}} ||| b", column)[0] == "null in the inputs"


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary(1), pa.binary_view()])
def test_bytes_are_refused_by_column(kind):
    with pytest.raises(TemplateError, match="the column 'x' holds bytes"):
        rendered("{{x}} ||| b", pa.array([b"a"], kind))
    table = pa.table({"x": pa.array([b"a"], kind), "y": ["a"]})
    assert rendered("{{y}} ||| b", table) == [("a", "b")]


def test_a_row_has_one_reason_whichever_way_it_is_rendered():
    table = pa.table({"x": pa.array([None, "a"], pa.string()), "label": [-1, -1]})
    fast, slow = "{{x}} ||| {{answer_choices[label]}}", "{{x | string}} ||| {{answer_choices[label]}}"
    assert rendered(fast, table, CHOICES) == rendered(slow, table, CHOICES) == ["null in the inputs", "negative label"]


def test_a_row_that_is_fit_is_rendered_as_before():
    row = {"x": "a", "label": 1, "price": 1.0}
    template = Template("t", "{{x}} {{price}} {{['a'] | join}} ||| {{answer_choices[label]}}", CHOICES)
    assert template.render(row) == Rendered("a 1.0 a", ("yes",), ("no", "yes"))


def test_columns_that_templates_cannot_tell_apart_are_refused():
    table = pa.table({"a_b": ["one"], "a-b": ["two"], "c": ["three"]})
    with pytest.raises(TemplateError, match="columns 'a_b' and 'a-b' have the same name in templates"):
        rendered("{{ a_b }} ||| b", table)
    assert rendered("{{ c }} ||| b", table) == [("three", "b")]
    assert rendered("{{ a_b }} ||| b", table, mode="legacy") == [("two", "b")]
