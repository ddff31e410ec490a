"""Template files: both forms read, languages told apart."""

from pathlib import Path

import pytest

from xmtf.errors import TemplateError, UnknownNameError
from xmtf.templates import Template, load_templates, open_collection, read_template_file
from xmtf.templates.languages.names import base_name, language_of_name

PROMPTSOURCE = """
dataset: xnli
subset: fr
templates:
  0fd6: !Template
    id: 0fd6
    name: can we infer_frmt
    jinja: '{{premise}} no ||| {{answer_choices[label]}}'
    answer_choices: No ||| 1
    metadata: !TemplateMetadata {languages: [en], metrics: [Accuracy], original_task: true, choices_in_prompt: null}
    reference: ''
    task_template: true
  1fd6: !Template
    id: 1fd6
    name: no
    jinja: a ||| b
    answer_choices: null
"""

PLAIN = """
language: sw
translation: human
templates:
  - name: first
    jinja: |-
      {{premise}}
      ||| {{answer_choices[label]}}
    answer_choices: ndiyo ||| hapana
    metrics: [Accuracy]
    choices_in_prompt: false
  - {name: second, language: fra_Latn, translation: none, jinja: "a ||| b"}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "templates.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_promptsource_form(tmp_path):
    first, second = read_template_file(write(tmp_path, PROMPTSOURCE))
    assert first == Template(
        "can we infer_frmt",
        "{{premise}} no ||| {{answer_choices[label]}}",
        "No ||| 1",
        language="fr",
        translation="machine",
        metrics=("Accuracy",),
        id="0fd6",
        original_task=True,
    )
    assert second == Template("no", "a ||| b", id="1fd6")


def test_plain_form(tmp_path):
    first, second = read_template_file(write(tmp_path, PLAIN))
    assert (first.language, first.translation, first.choices_in_prompt) == ("sw", "human", False)
    assert first.jinja == "{{premise}}\n||| {{answer_choices[label]}}"
    assert (second.language, second.translation) == ("fr", "none")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("templates: [{jinja: a}]", "template 1: has no name"),
        ("templates: [{name: a}]", "template 1 ('a'): has no jinja source"),
        ("templates: {x: [", "not valid YAML"),
        ("- a", "line 1: expected keys and values"),
        ("templates: text", "templates: line 1: expected keys and values"),
        ("templates: [{name: a, jinja: b, translation: robot}]", "'robot'"),
        ("templates: [{name: a, jinja: b, original_task: perhaps}]", "neither true nor false"),
        ("templates: [{name: a, jinja: b, metrics: Accuracy}]", "metrics: line 1: expected a list"),
    ],
)
def test_wrong_files_name_the_file_and_the_place(tmp_path, text, what):
    path = write(tmp_path, text)
    with pytest.raises(TemplateError) as caught:
        read_template_file(path)
    assert str(caught.value).startswith(str(path))
    assert what in str(caught.value)


def test_wrong_language_names_the_template(tmp_path):
    path = write(tmp_path, "templates: [{name: a, jinja: b, language: klingonish}]")
    with pytest.raises(UnknownNameError, match=r"templates\.yaml: template 1 \('a'\)"):
        read_template_file(path)


def test_no_objects_are_made(tmp_path):
    path = write(tmp_path, "templates: [{name: a, jinja: !!python/object/apply:os.system ['exit 1'], reference: b}]")
    with pytest.raises(TemplateError, match="no jinja source"):
        read_template_file(path)


def test_empty_files_hold_no_templates(tmp_path):
    assert read_template_file(write(tmp_path, "")) == ()
    assert read_template_file(write(tmp_path, "templates:")) == ()


def test_collection_keys_and_fallback(tmp_path, write_templates):
    for key, name in (("xnli/fr", "french"), ("xnli", "any"), ("user/set", "other"), (".git/x", "hidden")):
        write_templates(tmp_path / key / "templates.yaml", [Template(name, "a ||| b")])
    write_templates(tmp_path / "odd" / "template.yaml", [Template("odd", "a ||| b")])
    assert list(open_collection(tmp_path).keys()) == ["odd", "user/set", "xnli", "xnli/fr"]
    assert load_templates("xnli", "fr", root=tmp_path)[0].name == "french"
    assert load_templates("xnli/fr", root=tmp_path)[0].name == "french"
    assert load_templates("xnli", "de", root=tmp_path)[0].name == "any"
    assert load_templates("odd", root=tmp_path)[0].name == "odd"
    with pytest.raises(UnknownNameError) as caught:
        load_templates("xnly", "fr", root=tmp_path)
    assert "xnly/fr/templates.yaml and xnly/templates.yaml" in str(caught.value)
    assert "'xnli/fr'" in str(caught.value)
    with pytest.raises(UnknownNameError):
        load_templates("../xnli", root=tmp_path / "user")


def test_checkout_of_promptsource(tmp_path, write_templates):
    write_templates(tmp_path / "promptsource" / "templates" / "xnli" / "templates.yaml", [Template("t", "a ||| b")])
    assert list(open_collection(tmp_path).keys()) == ["xnli"]
    with pytest.raises(TemplateError, match="no such template folder"):
        open_collection(tmp_path / "missing")


def test_every_template_of_our_own_compiles():
    collection = open_collection()
    keys = list(collection.keys())
    assert keys
    for key in keys:
        for template in collection.load(key):
            template.prepared()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("GPT-3 style_frht", ("fr", "human")),
        ("a_jpmt", ("ja", "machine")),
        ("a_zh-Hantmt", ("zh-Hant", "machine")),
        ("a_htmt", ("ht", "machine")),
        ("a_arht", ("ar", "human")),
        ("a_night", None),
        ("a_qqmt", None),
        ("plain", None),
    ],
)
def test_language_of_name(name, expected):
    assert language_of_name(name) == expected
    assert base_name(name) == (name.rpartition("_")[0] if expected else name)


def test_of_a_repeated_key_the_last_counts_as_in_promptsource_and_own_files_are_refused(tmp_path):
    node = "  one: !Template {{id: one, name: {}, jinja: '{{{{x}}}} ||| {{{{y}}}}'}}\n"
    path = write(tmp_path, "templates:\n" + node.format("first") + node.format("second"))
    assert [each.name for each in read_template_file(path, last_counts=True)] == ["second"]
    with pytest.raises(TemplateError, match="2 templates have the key 'one'"):
        read_template_file(path)
