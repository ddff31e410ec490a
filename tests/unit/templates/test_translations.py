"""The translated prompts of our own collections: nothing of the original is lost, and the words are the language's."""

import itertools
import re
import unicodedata
from collections import Counter, defaultdict

import pytest

from xmtf.templates.files.collection import load_templates
from xmtf.templates.languages.translated import source_hash

LANGUAGES = {"ar", "ca", "de", "eo", "es", "fr", "gl", "hi", "id", "pt", "ru", "sw", "tr", "vi", "zh"}
COLLECTIONS = (
    *("xnli", "copa", "xwinograd", "xstory-cloze", "paws-x", "sib200", "nusax-sentiment"),
    *("extractive-qa", "headline"),
)
SCRIPTS = {"ar": "ARABIC", "hi": "DEVANAGARI", "ru": "CYRILLIC", "zh": "CJK"}
EXPRESSIONS = re.compile(r"\{\{.*?\}\}|\{%.*?%\}")
"""Our prompts hold no braces inside braces."""


def translations(collection):
    templates = load_templates(collection)
    originals = {each.name: each for each in templates if each.translated is None}
    return [(originals[each.translated.original], each) for each in templates if each.translated is not None]


def marks(jinja):
    """The expressions and statements of the inputs."""
    return Counter(re.sub(r'join\(".*?"\)', "join()", mark) for mark in EXPRESSIONS.findall(jinja.split("|||")[0]))


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_translations_keep_what_the_original_fills_in(collection):
    found = translations(collection)
    assert found
    for original, each in found:
        assert marks(each.jinja) == marks(original.jinja), each.name
        assert each.translated.source_hash == source_hash(original.jinja, original.answer_choices), each.name
        assert len(EXPRESSIONS.findall(each.jinja.split("|||")[1])) == 1, each.name
        assert (each.answer_choices is None) == (original.answer_choices is None), each.name
        assert unicodedata.is_normalized("NFC", each.jinja + (each.answer_choices or "")), each.name
        assert not re.search("&|  ", each.jinja), each.name
        assert {each.translated.state, each.translated.engine} in ({"unreviewed", "hand"}, {"machine", "apertium"})


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_two_templates_at_least_in_every_language(collection):
    counts = Counter(each.language for _, each in translations(collection))
    assert {code for code, count in counts.items() if count >= 2} >= LANGUAGES


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_words_are_in_the_script_of_the_language(collection):
    for _, each in translations(collection):
        words = EXPRESSIONS.sub("", each.jinja.replace("|||", " ")) + EXPRESSIONS.sub("", each.answer_choices or "")
        letters = [unicodedata.name(letter, "") for letter in words if letter.isalpha()]
        script = SCRIPTS.get(each.language, "LATIN")
        assert letters, each.name
        assert all(name.startswith(script) for name in letters), each.name


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_answer_choices_tell_apart(collection):
    by_language = defaultdict(set)
    for original, each in translations(collection):
        if each.answer_choices is None or "{{" in each.answer_choices:
            assert each.answer_choices == original.answer_choices, each.name
            continue
        choices = [choice.strip() for choice in each.answer_choices.split("|||")]
        assert len(choices) == len(original.answer_choices.split("|||")), each.name
        # A choice that begins another one never has fewer log-probability than it.
        assert not any(a.startswith(b) for a, b in itertools.permutations(choices, 2)), each.name
        text = EXPRESSIONS.sub("", each.jinja)
        assert "join(" in each.jinja or all(choice.casefold() in text.casefold() for choice in choices), each.name
        by_language[each.language, original.answer_choices].add(each.answer_choices)
    assert all(len(spellings) == 1 for spellings in by_language.values())
