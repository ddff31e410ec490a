"""Translated templates: what their metadata say, what results call them, and what lint compares."""

import pytest

from xmtf.errors import TemplateError
from xmtf.templates import open_collection, read_template_file
from xmtf.templates.languages.translated import source_hash
from xmtf.templates.lint import lint_collection

ORIGINAL = ("{{ text }} Good or bad? ||| {{ answer_choices[label] }}", "bad ||| good")
FILE = """
dataset: mine
templates:
  a0: !Template
    id: a0
    name: ask
    jinja: "ORIGINAL"
    answer_choices: "CHOICES"
    metadata: !TemplateMetadata {languages: [en]}
  a1: !Template
    id: a1
    name: ask_frmt
    jinja: "{{ text }} Bon ou mauvais ? ||| {{ answer_choices[label] }}"
    answer_choices: "mauvais ||| bon"
    metadata: !TemplateMetadata {languages: [fr], state: unreviewed, original: ask, engine: hand, source_hash: HASH}
  a2: !Template
    id: a2
    name: ask (nso)
    jinja: "{{ text }} Good or bad? ||| {{ answer_choices[label] }}"
    answer_choices: "bad ||| good"
    metadata: !TemplateMetadata {languages: [nso], state: for_person, original: ask, engine: apertium}
  a3: !Template
    id: a3
    name: ask_esht
    jinja: "{{ text }} ¿Bueno o malo? ||| {{ answer_choices[label] }}"
    answer_choices: "malo ||| bueno"
    metadata: !TemplateMetadata
      {languages: [es], state: reviewed, original: ask, engine: hand, reviewer: Ana, date: 2026-11-30}
"""
for _mark, _text in (("ORIGINAL", ORIGINAL[0]), ("CHOICES", ORIGINAL[1]), ("HASH", source_hash(*ORIGINAL))):
    FILE = FILE.replace(_mark, _text)


@pytest.fixture
def write(tmp_path):
    def write_it(text):
        path = tmp_path / "mine" / "templates.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write_it


def test_the_state_says_what_results_call_a_translation(write):
    found = {each.name: each for each in read_template_file(write(FILE))}
    told = {
        name: (each.language, each.translation, each.translated and each.translated.is_used)
        for name, each in found.items()
    }
    assert told == {
        "ask": ("en", "none", None),
        "ask_frmt": ("fr", "machine", True),
        "ask (nso)": ("nso", "machine", False),
        "ask_esht": ("es", "human", True),
    }
    assert found["ask_esht"].translated.reviewer == "Ana"
    assert found["ask_esht"].translated.date == "2026-11-30"


def test_metadata_lead_over_the_suffix_and_lint_names_the_difference(write, tmp_path):
    path = write(FILE.replace("name: ask_frmt", "name: ask_frht").replace("languages: [es]", "languages: [ca]"))
    found = {each.name: each for each in read_template_file(path)}
    assert (found["ask_frht"].translation, found["ask_esht"].language) == ("machine", "ca")
    wrong = [
        each.template for each in lint_collection(open_collection(tmp_path), ["mine"]) if each.check == "name-suffix"
    ]
    assert wrong == ["ask_esht", "ask_frht"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("state: unreviewed", "state: done", "state is 'done'; it is one of machine, for_person"),
        ("engine: hand, source_hash", "source_hash", "set `engine: hand`"),
        ("reviewer: Ana, ", "", "there is no reviewer"),
        ("languages: [fr], ", "", "a translation has a single language"),
        ("languages: [fr]", "languages: [fr, es]", "a translation has a single language"),
        ("date: 2026-11-30", "date: today", "date is 'today'"),
        (source_hash(*ORIGINAL), "12", "source_hash is '12'"),
        ("state: unreviewed", "translation: human, state: unreviewed", "means 'machine'"),
    ],
)
def test_metadata_that_contradict_themselves_are_refused(write, old, new, said):
    assert old in FILE
    with pytest.raises(TemplateError, match=r"template a[13]") as raised:
        read_template_file(write(FILE.replace(old, new)))
    assert said in str(raised.value)


def test_lint_compares_translations_by_the_original_that_they_name(write, tmp_path):
    def checks(text):
        write(text)
        found = lint_collection(open_collection(tmp_path), ["mine"])
        return {(each.template, each.check) for each in found if each.severity != "info"}

    assert checks(FILE) == set()
    assert checks(
        FILE.replace("Good or bad? ||| {{ answer_choices[label] }}", "Fine? ||| {{ answer_choices[label] }}")
    ) == {("ask_frmt", "original-changed")}
    assert checks(FILE.replace("original: ask, engine: apertium", "original: asked, engine: apertium")) == {
        ("ask (nso)", "no-original")
    }
    assert ("ask_frmt", "choices-differ") in checks(FILE.replace('"mauvais ||| bon"', '"mauvais"'))
