"""The shape of a source; the worked example of xmtf.templates.rendering.shape comes first."""

import pytest

from xmtf.templates.rendering.compile import compile_source
from xmtf.templates.rendering.shape import AllChoices, Branch, Choice, Field, pipes_may_meet, read_shape, split_parts


def shape(source):
    return read_shape(compile_source(source, structural=True).tree, cut=False)


def test_a_condition_with_text_a_field_and_a_choice():
    (branch,) = shape("{% if a == 1 %}Is {{b}}? ||| {{answer_choices[c]}}{% endif %}")
    assert isinstance(branch, Branch)
    assert branch.body == ("Is ", Field("b"), "? ||| ", Choice(Field("c")))
    assert branch.otherwise == ()


@pytest.mark.parametrize(
    ("source", "piece"),
    [
        ("{{a.b[0]}}", Field("a", ("b", 0))),
        ("{{a['b'] | trim | lower}}", Field("a", ("b",), ("strip", "lower"))),
        ("{{a[:5]}}", Field("a", cut=(None, 5))),
        ("{{a | join(', ')}}", Field("a", separator=", ")),
        ("{{answer_choices[a | int - 1]}}", Choice(Field("a"), as_int=True, offset=-1)),
        ("{{answer_choices[-1]}}", Choice(-1)),
        ("{{answer_choices | join(', ')}}", AllChoices(", ")),
        ("{{', '.join(answer_choices)}}", AllChoices(", ")),
        ("{{'yes'}}", "yes"),
    ],
)
def test_pieces(source, piece):
    assert shape(source) == (piece,)


@pytest.mark.parametrize(
    "source", ["{{a + 1}}", "{{a | choice}}", "{% for x in a %}{% endfor %}", "{{a.items}}", "{{range}}"]
)
def test_what_has_no_shape(source):
    assert shape(source) is None


def test_parts():
    assert split_parts(("a ||| b", Field("x"), "|||c")) == (("a ",), (" b", Field("x")), ("c",))


def test_pipes_that_may_meet():
    assert pipes_may_meet(("a |", Field("x")))
    assert pipes_may_meet((Field("x"), Field("y")))
    assert not pipes_may_meet(("a | ", Field("x"), " ||| ", Field("y")))
