"""Units and marks: what is text, what is code, and sources put together again."""

import jinja2
import pytest

from xmtf.templates import open_collection
from xmtf.templates.languages.pieces import read_pieces, skeleton
from xmtf.templates.languages.segments import CUT, HIDDEN, QUOTED, segment


def said(source, **options):
    return [(unit.role, unit.parts, unit.problem) for unit in segment(source, **options).units]


def test_a_line_between_statements_is_a_unit_and_expressions_are_marks():
    assert said("Given {{ premise }}, is it so?\n\n  Really: {{ x }} \n||| It is {{ y|upper }}.") == [
        ("inputs", ("Given ", 0, ", is it so?"), ""),
        ("inputs", ("Really: ", 0), ""),
        ("target", ("It is ", 0, "."), ""),
    ]
    assert said("Yes ||| {{ b }} ||| no\\nway ||| 1 ||| A", are_choices=True) == [
        ("choice", ("Yes",), ""),
        ("choice", ("no",), ""),
        ("choice", ("way",), ""),
    ]


@pytest.mark.parametrize(
    ("source", "constants"),
    [
        ('{{ "sure" }}', ["sure"]),
        ('{{ "sure" if kind == "why" else "not" }}', ["sure", "not"]),
        ('{{ "so " ~ x ~ " it is" + "!" }}', ["so", "it is"]),
        ('{{ ["Yes", "No"][label] }}', ["Yes", "No"]),
        ('{{ {"key": "value"}[name] }}', ["value"]),
        ('{{ x or "none" }}', ["none"]),
        ('{{ rows["column"] }}', []),
        ('{{ names | join(" and ") }}', []),
        ('{{ "text" | upper }}', []),
        ('{{ x.replace("this", "that") }}', []),
        ('{{ x is sameas "this" }}', []),
        ('{{ x == "this" }}', []),
        ('{{ "A" }} {{ "1" }}', []),
    ],
)
def test_only_printed_constants_are_text(source, constants):
    found = [unit for unit in segment(source).units if unit.role == "constant"]
    assert [unit.parts[0] for unit in found] == constants


def test_a_sentence_that_a_statement_cuts_is_for_a_person():
    problems = {unit.text: unit.problem for unit in segment(
        "The {% if x %}first{% else %}second{% endif %} is it?\n"
        "{% if x %}Is it?{% else %}Or not?{% endif %} Say it.\n"
        "{{ premise }} {% if y %}So?{% endif %}\n"
        "{% for o in options %}- Option {{ o }}\n{% endfor %}End:"
    ).units}  # fmt: skip
    assert problems == {
        "The": CUT,
        "first": CUT,
        "second": CUT,
        "is it?": CUT,
        "Is it?": "",
        "Or not?": "",
        "Say it.": "",
        "So?": "",
        "- Option  ": "",
        "End:": "",
    }


def test_text_that_code_receives_and_constants_with_escapes_are_for_a_person():
    assert [unit.problem for unit in segment("{% set x %}some text{% endset %}{{ x }}").units] == [HIDDEN]
    assert [unit.problem for unit in segment("{% filter upper %}some text{% endfilter %}").units] == [HIDDEN]
    assert [unit.problem for unit in segment("{% raw %}some {{ text }}{% endraw %}").units] == [HIDDEN]
    assert [unit.problem for unit in segment('{{ "Yes ||| No" }}{{ "say \\"it\\"" }}').units] == [QUOTED, QUOTED]


def test_units_are_replaced_and_marks_may_move():
    found = segment('Given {{ a }}, is {{ b }} {{ "true" }}? ||| {{ "it\'s" }}')
    new = {0: ("wa\"hr",), 1: ("Ist ", 1, " ", 2, " bei ", 0, "?")}  # fmt: skip
    assert found.rebuild(new) == 'Ist {{ b }} {{ "wa\\"hr" }} bei {{ a }}? ||| {{ "it\'s" }}'
    assert skeleton(found.rebuild(new)) == skeleton(found.source)
    assert skeleton("{{ a }} ||| x") != skeleton("||| {{ a }} x")
    assert skeleton("a\nb") != skeleton("a b")
    assert skeleton("{% if x == 'a' %}b{% endif %}") != skeleton("{% if x == 'b' %}b{% endif %}")


def test_pieces_of_every_source_of_ours_are_the_source():
    collection = open_collection()
    count = 0
    for key in collection.keys():  # noqa: SIM118
        for template in collection.load(key):
            for source in filter(None, (template.jinja, template.answer_choices)):
                assert "".join(source[piece.start : piece.end] for piece in read_pieces(source)) == source
                whole = segment(source)
                kept = {number: unit.parts for number, unit in enumerate(whole.units) if unit.problem != HIDDEN}
                assert whole.rebuild(kept) == source
                count += 1
    assert count > 300


@pytest.mark.parametrize("source", ["a {%- if x -%} b {%- endif %}\n", "a\r\n{{ b }}\r\n", "{# c #}a{{- b -}}  c\n"])
def test_white_space_that_jinja_drops_stays_in_the_source(source):
    assert "".join(source[piece.start : piece.end] for piece in read_pieces(source)) == source
    with pytest.raises(jinja2.TemplateSyntaxError):
        read_pieces("{{ a")
