"""Fields that the rows cannot have are found from the types of the columns alone."""

import pyarrow as pa
import pytest

from xmtf.templates import Template
from xmtf.templates.rendering.fields import absent_fields

SCHEMA = pa.schema(
    {
        "text": pa.string(),
        "ex": pa.struct({"text": pa.string(), "inner": pa.struct({"label": pa.int64()})}),
        "answers": pa.struct({"text": pa.list_(pa.string())}),
        "turns": pa.list_(pa.struct({"who": pa.string()})),
        "map": pa.map_(pa.string(), pa.string()),
        "with-hyphen": pa.string(),
    }
)


def absent(jinja, choices=None):
    return [(each.path, str(each)) for each in absent_fields(Template("t", jinja, choices).prepared(), SCHEMA)]


@pytest.mark.parametrize(
    ("jinja", "path", "hint"),
    [
        ("{{txet}} ||| x", "txet", "did you mean 'text'?"),
        ("{{ex.txet}} ||| x", "ex.txet", "did you mean 'ex.text'?"),
        ("{{ex['txet']}} ||| x", "ex.txet", "did you mean 'ex.text'?"),
        ("{{ex.inner.lable | upper}} ||| x", "ex.inner.lable", "did you mean 'ex.inner.label'?"),
        ("{{answers.texts[0]}} ||| x", "answers.texts", "did you mean 'answers.text'?"),
        ("{{turns[0].wo}} ||| x", "turns.0.wo", "did you mean 'turns.0.who'?"),
        ("{% for turn in turns %}{{turn.wo}}{% endfor %} ||| x", "turn.wo", "did you mean 'turn.who'?"),
        ("{% if ex.txet %}{{text}}{% endif %} ||| x", "ex.txet", "did you mean 'ex.text'?"),
        ("{{text | default('')}} {{txet}} ||| x", "txet", "did you mean 'text'?"),
        ("{{ex.text | default('')}} {{ex.txet.split(',')[0]}} ||| x", "ex.txet", "did you mean 'ex.text'?"),
    ],
)
def test_misspelt_fields(jinja, path, hint):
    ((found, said),) = absent(jinja)
    assert found == path
    assert said.endswith(f"which the rows do not have; {hint}")


def test_misspelt_fields_of_choices():
    assert [path for path, _ in absent("x ||| {{answer_choices[0]}}", "{{ex.txet}} ||| no")] == ["ex.txet"]


@pytest.mark.parametrize(
    "jinja",
    [
        "{{text}}{{ex.text}}{{ex.inner.label}}{{answers.text[0]}}{{turns[0].who}}{{with_hyphen}}{{map.key}} ||| x",
        "{{title | default('')}}{% if year is defined %}{{year}}{% endif %}{{page or ''}} ||| x",
        "{{ex.title | default('')}}{{ex.page or ''}}{{text.split(',')[0]}} ||| x",
        "{% for key in ex.keys() %}{{ex[key]}}{{loop.index}}{% endfor %} ||| x",
        "{% set ex = namespace(a=1) %}{{ex.a}} ||| x",
        "{% for ex in turns %}{{ex.who}}{% endfor %} ||| {{range(3) | list | length}}",
    ],
)
def test_fields_that_are_there_or_asked_about(jinja):
    assert absent(jinja) == []
