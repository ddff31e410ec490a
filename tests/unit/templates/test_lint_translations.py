"""What lint finds between a prompt and its translations, and in the translated prompts of xP3mt."""

import os
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest

from xmtf.templates import Template, open_collection
from xmtf.templates.lint.translations import check_translations, choices_lost, compare, original_name
from xmtf.templates.sandbox.plurals import choose_plural

ORIGINAL = Template(
    "ask",
    "Here is a short premise that we believe: {{ premise }}\n"
    'Say whether the claim "{{ claim }}" is {{ "surely" }} true, or false.\n'
    "Is it true or false? ||| {{ answer_choices[label] }}",
    "true ||| false",
)
FRENCH = Template(
    "ask_frmt",
    "Voici une courte prémisse que nous croyons : {{ premise }}\n"
    'Dis si l\'affirmation "{{ claim }}" est {{ "sûrement" }} vraie, ou fausse.\n'
    "Est-ce vrai ou faux ? ||| {{ answer_choices[label] }}",
    "vrai ||| faux",
    language="fr",
    translation="machine",
)


def found(jinja=FRENCH.jinja, choices=FRENCH.answer_choices, language="fr", original=ORIGINAL):
    made = Template(f"ask_{language}mt", jinja, choices, language=language, translation="machine")
    return set(compare(original, made).messages)


def test_a_good_translation_is_good_and_what_was_looked_at_is_said():
    assert found() == set()
    looked = compare(ORIGINAL, FRENCH).looked_at
    assert {"placeholders-differ", "choices-differ", "wrong-script", "length", "end-differs", "space-lost"} <= looked
    assert 0.8 < compare(ORIGINAL, FRENCH).length < 1.3


@pytest.mark.parametrize(
    ("old", "new", "check"),
    [
        ("{{ claim }}", "{{ premise }}", "placeholders-differ"),
        (' "{{ claim }}"', "", "placeholders-differ"),
        ("{{ premise }}\n", "{{ premise }} ", "lines-differ"),
        ("sûrement", "surely", "not-translated"),
        (': {{ premise }}', "{{ premise }}", "space-lost"),
        ("&", "&", ""),
        ("faux ?", "faux", "end-differs"),
        ("faux ?", "faux ? Réponds &quot;vrai&quot; ou &quot;faux&quot;.", "html-entity"),
        ("vrai ou faux", "bon ou mauvais", "choice-not-named"),
    ],
)  # fmt: skip
def test_each_fault_is_found(old, new, check):
    jinja = FRENCH.jinja.replace("croyons : {{", "croyons: {{").replace(old, new, 1)
    assert found(jinja) == ({check} if check else set())


def test_choices_script_language_and_length():
    assert "choices-differ" in found(choices="vrai ||| faux ||| rien")
    assert "odd-choices" in found(choices="vrai ||| Vrai")
    assert "wrong-script" in found(language="ar")
    assert "length" in found(jinja="Vrai ou faux ? {{ premise }} {{ claim }} ||| {{ answer_choices[label] }}")
    assert found(language="de") == {"wrong-language"}
    again = Template("tell_frmt", FRENCH.jinja + " ", "juste ||| faux", language="fr", translation="machine")
    told = Template("tell", ORIGINAL.jinja + " ", "true ||| false")
    checks = {each.check for each in check_translations({"x": [ORIGINAL, told, FRENCH, again]})}
    assert "choices-unequal" in checks


def test_choices_in_another_sense_than_the_prompt_are_told():
    original = Template("pick", "Is it about sports or travel? {{ text }} ||| {{ category }}", "sports ||| travel")
    jinja = "Parle-t-on de sport ou de voyages ? {{ text }} ||| {{ category }}"
    french = Template("pick_frmt", jinja, "sport ||| voyages", language="fr", translation="machine")
    assert [each.partition(":")[0] for each in choices_lost(original, french)] == ["target-stays"]
    jinja = jinja.replace("category", 'answer_choices[["sports", "travel"].index(category)]')
    assert choices_lost(original, replace(french, jinja=jinja)) == []
    assert "voyage" in "".join(choices_lost(original, replace(french, jinja=jinja.replace("voyages", "trajets"))))


def test_a_printed_count_asks_for_the_forms_of_the_language():
    original = Template("n", "{{ num_topics }} topics fit. Which? ||| {{ topic }}")
    made = Template("n_rumt", "{{ num_topics }} тем подходят. Какие? ||| {{ topic }}", language="ru")
    assert "one, few, many, other" in compare(original, made).messages["plural"]
    jinja = '{{ n }} {{ n | plural("ru", one="тема", few="темы", other="тем") }} ||| {{ topic }}'
    template = Template("n_rumt", jinja, language="ru")
    assert [template.render({"n": n, "topic": "x"}).inputs for n in (1, 3, 5)] == ["1 тема", "3 темы", "5 тем"]
    assert "plural" not in compare(original, template).messages
    for language, forms in (("ru", {"one": "a"}), ("zh", {"one": "a", "other": "b"}), ("xx", {"other": "b"})):
        with pytest.raises(ValueError, match="plural: "):
            choose_plural(1, language, **forms)
    with pytest.raises(TypeError):
        choose_plural("1", "en", other="x")


@pytest.mark.skipif(
    not os.environ.get("XMTF_XP3MT_TEMPLATES"), reason="XMTF_XP3MT_TEMPLATES names no folder of xP3mt's templates"
)
def test_the_known_faults_of_xp3mt_are_found():
    collection = open_collection(Path(os.environ["XMTF_XP3MT_TEMPLATES"]))
    datasets = defaultdict(dict)
    for key in collection.keys():  # noqa: SIM118
        if key.startswith(("xnli/", "mlqa/mlqa.zh.", "mlqa/mlqa.en.", "khalidalt/tydiqa-primary/", "GEM/xlsum/")):
            datasets[key.rpartition("/")[0]][key] = collection.load(key)
    findings = defaultdict(list)
    for files in datasets.values():
        for each in check_translations(files):
            findings[each.check].append(each)
    variables = findings["placeholders-differ"]
    assert {each.where.rpartition(".")[0] for each in variables} == {"mlqa/mlqa.zh"}
    assert [each.template for each in variables] == ["xp3longanswers_zhmt"] * 6
    english = {each.name: each for each in datasets["xnli"]["xnli/en"]}
    pairs = [(english.get(original_name(each)), each) for some in datasets["xnli"].values() for each in some]
    entities = [each for first, each in pairs if first and "html-entity" in compare(first, each).messages]
    assert len(entities) == 29
    assert len(findings["lines-differ"]) >= 30
    untranslated = {(each.where, each.template) for each in findings["not-translated"]}
    assert ("xnli/fr", "guaranteed/possible/impossible_frmt") in untranslated
    assert ("khalidalt/tydiqa-primary/swahili", "en_yes_no_none_swmt") in untranslated
    assert {"'No' is 'నం'"} == {each.message.partition(";")[0] for each in findings["choices-unequal"]} & {
        "'No' is 'నం'"
    }
    # Variables were put back by their place, so that a permutation cannot be seen: none stands in another order.
    assert findings["placeholder-order"] == []
