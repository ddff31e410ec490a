"""Lint finds what it says it finds, and is silent about a good template."""

import pyarrow as pa
import pytest

from xmtf.templates import Collection, Template
from xmtf.templates.lint import CHECKS, lint_collection, lint_file, lint_templates

GOOD = Template(
    "can we infer",
    "{{premise}}\nDoes it follow that {{hypothesis}}? Yes or no?\n||| {{answer_choices[label]}}",
    "Yes ||| No",
    choices_in_prompt=True,
)
NLI = pa.table(
    {
        "premise": [f"sentence {n}." for n in range(12)],
        "hypothesis": [f"claim {n}" for n in range(12)],
        "label": [0, 1] * 6,
    }
)


def checks(jinja, choices=None, table=None, **fields):
    found = lint_templates([Template("t", jinja, choices, **fields)], "here", {"train": table} if table else None)
    assert all(each.check in CHECKS for each in found)
    return {each.check for each in found}


def test_a_good_template_is_passed_in_silence():
    assert lint_templates([GOOD], "here", {"train": NLI}) == []


@pytest.mark.parametrize(
    ("check", "jinja", "choices"),
    [
        ("does-not-compile", "{{a ||| b.", None),
        ("no-target", "What is {{a}}?", None),
        ("several-targets", "{{a}}? ||| {{b}} ||| {{c}}", None),
        ("no-choices", "{{a}}? ||| {{answer_choices[0]}}", None),
        ("choice-out-of-range", "{{a}}? ||| {{answer_choices[2]}}", "yes ||| no"),
        ("unused-choices", "{{a}}? ||| {{b}}", "yes ||| no"),
        ("odd-choices", "{{a}}? ||| {{answer_choices[b]}}", "yes ||| yes"),
        ("odd-choices", "{{a}}? ||| {{answer_choices[b]}}", "yes |||"),
        ("backslash-n", "{{a}}\\nWhat? ||| {{b}}", None),
        ("html-entity", "Is &quot;{{a}}&quot; so? ||| {{b}}", None),
        ("unbraced-name", "Read {{text_a}}. What is text_a? ||| {{b}}", None),
        ("unbraced-name", "Read {a}, then {{a}}. What is it? ||| {{b}}", None),
        ("quoted-constant", 'Is {{a}} {{"possible"}}? ||| {{b}}', None),
        ("no-clear-end", "Translate to French: {{a}} ||| {{b}}", None),
        ("no-clear-end", "Translate to French: {{a}}\n||| {{b}}", None),
        ("no-clear-end", "The French for {{a}} is ||| {{b}}", None),
        ("answer-visible", "{{a}} {{b.text[0]}}? ||| {{b['text'][0]}}", None),
        ("not-text", "{{a | map('upper')}}? ||| {{b}}", None),
        ("not-text", "{{range(3)}}? ||| {{b}}", None),
        ("random", "{{a}} {{[1, 2] | choice}}? ||| {{b}}", None),
        ("changes-rows", "{% set _ = a.append(1) %}{{a}}? ||| {{b}}", None),
        ("legacy-differs", "{{a + 1}}? ||| {{b}}", None),
    ],
)
def test_findings_of_one_source(check, jinja, choices):
    assert check in checks(jinja, choices)


@pytest.mark.parametrize(
    "jinja",
    [
        "Translate: {{a}}.||| {{b}}",
        "{{a}} 这是什么？ ||| {{b}}",
        "{% if a %}What is {{a}}? ||| {{b}}{% else %}And {{c}}? ||| {{d}}{% endif %}",
        "{{text[:500]}} Go on: ||| {{text[500:]}}",
        "Which: {{x}}, {{y}}? ||| {% if z %}{{x}}{% else %}{{y}}{% endif %}",
    ],
)
def test_no_findings(jinja):
    assert checks(jinja) == set()


def test_metadata_and_language():
    assert "choices-not-in-prompt" in checks("{{a}}? ||| {{answer_choices[b]}}", "aye ||| nay", choices_in_prompt=True)
    assert "wrong-script" in checks("Что следует из этого {{a}}? ||| {{b}}", language="en")
    assert "wrong-script" in checks("What follows from this {{a}}? ||| {{b}}", language="ru")
    assert "wrong-script" not in checks("Что следует из этого {{a}}? ||| {{b}}", language="ru")


@pytest.mark.parametrize(
    ("check", "jinja", "columns"),
    [
        ("undefined-name", "{{premiss}}? ||| {{label}}", {}),
        ("undefined-name", "{{ex.txet}}? ||| {{label}}", {"ex": [{"text": "a"}] * 12}),
        ("wrong-label", "{{premise}}? ||| {{answer_choices[label]}}", {"label": ["0"] * 12}),
        ("not-plain", "{{tags}}? ||| {{label}}", {"tags": [["a"]] * 12}),
        ("not-text", "{{raw}}? ||| {{label}}", {"raw": [b"a"] * 12}),
        ("fails-on-rows", "{{premise.x.y}}? ||| {{label}}", {}),
        ("never-applies", "{% if label == 7 %}{{premise}}? ||| x{% endif %}", {}),
        ("empty-target", "{{premise}}? ||| {{hypothesis}}", {"hypothesis": [""] * 12}),
        ("empty-input", "{{hypothesis}} ||| {{premise}}", {"hypothesis": [" "] * 12}),
        ("constant-target", "{{premise}}? ||| same", {}),
        ("labels-from-one", "{{premise}}? ||| {{answer_choices[label]}}", {"label": [1, 2] * 6}),
        ("hidden-label", "{{premise}}? ||| {{answer_choices[label]}}", {"label": [-1] * 12}),
        ("choice-out-of-range", "{{premise}}? ||| {{answer_choices[label]}}", {"label": [2] * 12}),
        ("prints-none", "{{premise}}: {{hypothesis}}? ||| {{label}}", {"hypothesis": pa.nulls(12, pa.string())}),
        ("target-in-inputs", "{{premise}}? ||| {{hypothesis}}", {"hypothesis": [f"sentence {n}" for n in range(12)]}),
    ],
)
def test_findings_on_rows(check, jinja, columns):
    table = pa.table({**{name: NLI[name] for name in NLI.column_names}, **columns})
    choices = "Yes ||| No" if "answer_choices" in jinja else None
    assert check in checks(jinja, choices, table)


def test_a_tested_label_is_not_hidden():
    jinja = "{{premise}}? ||| {% if label != -1 %}{{answer_choices[label]}}{% endif %}"
    table = NLI.set_column(2, "label", pa.array([-1] * 12))
    assert "hidden-label" not in checks(jinja, "Yes ||| No", table)


def test_findings_between_templates_of_a_file():
    found = lint_templates([GOOD, GOOD], "here")
    assert [each.check for each in found] == ["duplicate-name", "duplicate-template"]
    assert {(each.where, each.template) for each in found} == {("here", "can we infer")}


def test_findings_of_a_file(tmp_path, write_templates):
    path = tmp_path / "xnli" / "fr" / "template.yaml"
    write_templates(path, [GOOD], dataset="xnli/de")
    assert {each.check for each in lint_file(path, "xnli/fr")} == {"header", "file-name", "assumed-language"}
    path.write_text(path.read_text().replace('"id": "', '"id": "x'))
    assert "key" in {each.check for each in lint_file(path, "xnli/de")}


def test_translations_are_compared_with_their_originals(tmp_path, write_templates):
    swapped = Template(
        "can we infer_frmt",
        "{{hypothesis}}\nEst-ce que {{premise}} ? Oui ou non ?\n||| {{answer_choices[label]}}",
        "Oui ||| Non ||| Peut-être",
    )
    lost = Template("can we infer_esmt", "{{premise}}\n¿Se sigue? Sí o no?\n||| {{answer_choices[label]}}", "Sí ||| No")
    write_templates(tmp_path / "xnli" / "en" / "templates.yaml", [GOOD], dataset="xnli/en")
    write_templates(tmp_path / "xnli" / "fr" / "templates.yaml", [swapped], dataset="xnli/fr")
    write_templates(tmp_path / "xnli" / "es" / "templates.yaml", [lost], dataset="xnli/es")
    collection = Collection(tmp_path)
    found = lint_collection(collection, collection.keys())
    assert [(each.where, each.check) for each in found] == [
        ("xnli/en", "assumed-language"),
        ("xnli/es", "placeholders-differ"),
        ("xnli/fr", "choices-differ"),
        ("xnli/fr", "placeholder-order"),
    ]
