"""Suites by name, and prompts from a folder of the user's."""

import pytest

from xmtf.errors import TemplateError, UnknownNameError
from xmtf.tasks import find_suites, known_suites, load_catalogue

PROMPTS = """\
dataset: xnli
subset: fr
templates:
  a: !Template
    id: a
    name: can we infer
    jinja: "{{premise}} Then {{hypothesis}}? ||| {{answer_choices[label]}}"
    answer_choices: Yes ||| Maybe ||| No
    metadata: !TemplateMetadata {languages: [en], metrics: [Accuracy], original_task: true, choices_in_prompt: true}
    reference: ''
  b: !Template
    id: b
    name: can we infer_frht
    jinja: "{{premise}} Donc {{hypothesis}} ? ||| {{answer_choices[label]}}"
    answer_choices: Oui ||| Peut-être ||| Non
    metadata: !TemplateMetadata {languages: [fr], metrics: [Accuracy], original_task: true, choices_in_prompt: true}
    reference: ''
"""


def taken(name):
    suites, catalogue = find_suites([name])
    return {
        (part.task.id, template.name)
        for suite in suites
        for part in catalogue.select(suite.tasks, role="evaluation")
        for template in part.templates
    }


def test_every_suite_takes_tasks_of_its_kind():
    for name, suite in known_suites().items():
        (found,), catalogue = find_suites([name.upper()])
        outlined = catalogue.outline(found.tasks, role="evaluation")
        assert outlined, name
        if suite.kind is not None:
            assert {part.task.kind for part in outlined} == {suite.kind}, name
    assert {"l1", "l2", "mt", "ht", "validation", "generation", "code", "demo", "open"} <= known_suites().keys()


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("xnli", "xnli/fr"),
        ("xnli/fr", "xnli/fr"),
        ("x*/fr", "xwinograd/fr"),
        ("copa", "copa"),
        ("generation", "wmt14/fr-en:reversed"),
        ("wmt14", "wmt14/hi-en"),
        ("mlsum/es", "mlsum/es"),
    ],
)
def test_names_are_found(name, task):
    assert task in {found for found, _ in taken(name)}


@pytest.mark.parametrize(
    ("name", "near"), [("xnlii", "xnli"), ("bloomz-l3", "bloomz-l1"), ("generatoin", "generation")]
)
def test_an_unknown_suite_names_the_nearest(name, near):
    with pytest.raises(UnknownNameError, match=f"unknown suite '{name}'; did you mean .*'{near}'"):
        find_suites([name])


def test_prompts_come_from_a_folder(tmp_path):
    (tmp_path / "xnli" / "fr").mkdir(parents=True)
    (tmp_path / "xnli" / "fr" / "templates.yaml").write_text(PROMPTS)
    (suite,), catalogue = find_suites(["xnli/fr"])
    theirs = catalogue.prompted_from(tmp_path)
    (part,) = theirs.select(suite.tasks, role="evaluation")
    assert [(each.name, each.language, each.translation) for each in part.templates] == [
        ("can we infer", "en", "none"),
        ("can we infer_frht", "fr", "human"),
    ]
    # The same filters hold as for our own prompts.
    english = suite.tasks[0].model_copy(update={"prompt_languages": ("en",)})
    assert [each.name for each in theirs.select([english], role="evaluation")[0].templates] == ["can we infer"]
    with pytest.raises(UnknownNameError, match=r"task 'copa': searched for copa, aps/super_glue, super_glue .* in "):
        theirs.tasks["copa"].templates()
    with pytest.raises(TemplateError, match="no such template folder"):
        load_catalogue().prompted_from(tmp_path / "nowhere")


def test_a_set_with_the_original_prompts_takes_them_from_the_folder(tmp_path):
    (tmp_path / "xnli" / "en").mkdir(parents=True)
    (tmp_path / "xnli" / "en" / "templates.yaml").write_text(PROMPTS.replace("subset: fr", "subset: en"))
    (suite,), catalogue = find_suites(["bloomz-l1:xnli/fr"])
    (part,) = catalogue.prompted_from(tmp_path).select(suite.tasks, role="evaluation")
    assert [each.name for each in part.templates] == ["can we infer"]
    assert "GPT-3 style" in part.task.lacking_templates()
    assert len(part.task.lacking_templates()) == 4
