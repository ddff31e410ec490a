"""What a template renders, in both modes; the worked example of xmtf.templates.rendering.render comes first."""

import pytest

from xmtf.errors import TemplateError, UserError
from xmtf.records import Origin
from xmtf.templates import Rendered, Template

ORIGIN = Origin("anli", "r1", "train", 7)


def test_pipes_in_the_data_stay_text():
    template = Template("t", "{{question}} ||| {{answer}}")
    row = {"question": "a ||| b?", "answer": "yes "}
    assert template.render(row) == Rendered("a ||| b?", ("yes",), None)
    assert template.render(row, mode="legacy") == Rendered("a ||| b?", ("yes",), None)


def test_pipes_in_nested_values_part_in_legacy_mode_only():
    template = Template("t", "{{answers[0]}}? ||| yes")
    row = {"answers": ["a ||| b"]}
    assert template.render(row) == Rendered("a ||| b?", ("yes",), None)
    assert template.render(row, mode="legacy") == Rendered("a", ("b?", "yes"), None)


def test_pipes_in_answer_choices():
    template = Template("t", "{{answer_choices[0]}}? ||| yes", "{{options | join('|||')}}")
    row = {"options": ["a ||| b", "c"]}
    assert template.render(row) == Rendered("a ||| b?", ("yes",), ("a ||| b", "c"))
    assert template.render(row, mode="legacy") == Rendered("a?", ("yes",), ("a", "b", "c"))


def test_pipes_that_the_source_compares_with_are_text():
    template = Template("t", "{{ 'piped' if '|||' in text else 'plain' }} {{text.split('|||') | length}} ||| x")
    assert template.render({"text": "a ||| b"}) == Rendered("piped 2", ("x",), None)


def test_targets_are_cut_in_legacy_mode_only():
    template = Template("t", "x ||| {{text}}")
    text = "word " * 500
    assert template.render({"text": text}).targets == (text.strip(),)
    assert template.render({"text": text}, mode="legacy").targets == (("word " * 409).strip() + "...",)


@pytest.mark.parametrize(("length", "cut"), [(2053, False), (2054, True)])
def test_legacy_cut_spares_five_characters(length, cut):
    rendered = Template("t", "{{text}} ||| x").render({"text": "a" * length}, mode="legacy")
    assert rendered.inputs == ("a" * 2045 + "..." if cut else "a" * length)


def test_a_number_can_be_added_to_in_fixed_mode():
    template = Template("t", "{{score + 1}} ||| x")
    assert template.render({"score": 1}).inputs == "2"
    with pytest.raises(TemplateError, match="TypeError"):
        template.render({"score": 1}, mode="legacy")


def test_template_that_does_not_apply_renders_none():
    template = Template("t", "{% if label == 1 %}a ||| b{% endif %}  ")
    assert template.render({"label": 0}) is None
    assert template.render({"label": 0}, mode="legacy") is None
    assert template.render({"label": 1}) == Rendered("a", ("b",), None)


def test_several_targets():
    assert Template("t", "a ||| b ||| c").render({}).targets == ("b", "c")


def test_empty_choices_are_no_choices_in_fixed_mode():
    assert Template("t", "a ||| b", "").render({}).answer_choices is None
    assert Template("t", "a ||| b", "").render({}, mode="legacy").answer_choices == ("",)


def test_hyphens_in_column_names():
    assert Template("t", "{{a_b}} ||| x").render({"a-b": 1}).inputs == "1"


def test_space_between_code_and_answer_can_be_kept():
    template = Template("t", "{{a}}|||{{b}}")
    row = {"a": " def f():\n", "b": "    return 1\n"}
    assert template.render(row, strip=False) == Rendered("def f():\n", ("    return 1",), None)
    assert template.render({"a": "x ", "b": " y"}, strip=False) == Rendered("x", (" y",), None)
    assert template.render({"a": "", "b": ""}, strip=False) == Rendered("", ("",), None)
    with pytest.raises(TemplateError, match="IndexError"):
        template.render({"a": "", "b": ""}, strip=False, mode="legacy")


def test_the_row_is_never_changed():
    template = Template("t", "{% set _ = tags.append('new') %}{{tags | join(' ')}} ||| x")
    row = {"tags": ["old"]}
    assert template.render(row).inputs == template.render(row).inputs == "old new"
    assert row == {"tags": ["old"]}


def test_errors_name_dataset_subset_template_and_row():
    with pytest.raises(TemplateError) as caught:
        Template("first answer", "{{answers.text[0].x.y}} ||| x").render({"answers": {"text": []}}, origin=ORIGIN)
    assert str(caught.value).startswith("anli/r1 [train] row 7: template 'first answer': UndefinedError: ")


@pytest.mark.parametrize(
    ("jinja", "what"),
    [
        ("{{ a ||| b", "TemplateSyntaxError: line 1: "),
        ("a\n{{ a | hash }} ||| b", "TemplateAssertionError: line 2: No filter named 'hash'"),
        ("{% include 'x' %} ||| b", "line 1: include is not available: templates cannot use other templates"),
        ("{{ a | nosuch }} ||| b", "No filter named 'nosuch'"),
        ("{% include 'x' %} ||| b", "include is not available"),
        ("no target", "||| must separate inputs and target"),
    ],
)
def test_wrong_sources(jinja, what):
    with pytest.raises(TemplateError) as caught:
        Template("t", jinja).render({"a": 1})
    assert what in str(caught.value)
    assert "introspection" not in str(caught.value)
    assert isinstance(caught.value, UserError)


def test_reserved_column():
    with pytest.raises(TemplateError, match="answer_choices"):
        Template("t", "a ||| b").render({"answer_choices": 1})


def test_draws_depend_on_the_origin_and_name_only():
    numbers = {"numbers": list(range(100_000))}
    template = Template(
        "t", "{{numbers | choice}} {{numbers | random}} ||| {{answer_choices[0]}}", "{{numbers | choice}}"
    )
    first = template.render(numbers, origin=ORIGIN)
    Template("other", template.jinja, "x").render(numbers, origin=Origin("anli", "r1", "train", 8))
    assert template.render(numbers, origin=ORIGIN) == first
    others = [Origin("anli", "r1", "train", 8), Origin("anli", "r2", "train", 7), Origin("anli", "r1", "test", 7)]
    assert all(template.render(numbers, origin=other) != first for other in others)
    assert Template("u", template.jinja, template.answer_choices).render(numbers, origin=ORIGIN) != first


def test_most_frequent():
    template = Template("t", "{{items | most_frequent | join(' ')}} ||| x")
    assert template.render({"items": ["b", "a", "a", "b", "c"]}).inputs == "b a"


def test_hash_follows_what_changes_the_output():
    template = Template("t", "a ||| b")
    assert template.hash == Template("t", "a ||| b", language="fr", reference="x").hash
    assert len({template.hash, Template("u", "a ||| b").hash, Template("t", "a ||| b", "c").hash}) == 3
