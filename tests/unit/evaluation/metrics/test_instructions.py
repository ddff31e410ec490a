"""IFEval's instructions: what follows each, and what does not."""

import json

import pytest

from xmtf.errors import DataError
from xmtf.evaluation.metrics import generation_metrics
from xmtf.evaluation.metrics.instructions import INSTRUCTIONS, followed
from xmtf.evaluation.metrics.registry import item_counts, item_values
from xmtf.results.measured import value_of

GERMAN = "Das ist eine kurze Antwort auf deutsch, und sie ist nicht auf englisch."
ENGLISH = "this is a short answer that somebody wrote in the english language"
KINDS = [
    ("keywords:existence", {"keywords": ["Fluss", "c++"]}, "Am FLUSS schreibt man C++.", "Am Fluss schreibt man C."),
    ("keywords:frequency", {"keyword": "ja", "frequency": 2, "relation": "at least"}, "Ja, ja", "ja"),
    ("keywords:frequency", {"keyword": "ja", "frequency": 2, "relation": "less than"}, "ja", "ja ja"),
    ("keywords:forbidden_words", {"forbidden_words": ["can"]}, "The candle.", "I can."),
    ("keywords:letter_frequency", {"letter": "Ö", "let_frequency": 2, "let_relation": "at least"}, "Öl, schön", "Öl"),
    ("language:response_language", {"language": "de"}, GERMAN, ENGLISH),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 2, "relation": "at least"},
        "Ja. Nein!",
        "Pi is 3.14 cm.",
    ),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 3, "relation": "less than"},
        "是。不是。",
        "一。二。三。",
    ),
    ("length_constraints:number_words", {"num_words": 3, "relation": "at least"}, "one two three", "one two"),
    ("length_constraints:number_words", {"num_words": 4, "relation": "less than"}, "我在家", "我在家里"),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "a\n***\nb", "a\n***\nb\n***\nc"),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 1}, "a", "a\n***\n***\nb"),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "then"},
        'First.\n\n"Then," he said.',
        "Then.\n\nFirst.",
    ),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, "[name], [town]", "[name]"),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "Bye.\nP. S. one more", "Bye. PS"),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, "P.P.S. more", "P.S. more"),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* a\n- b\n**c**", "* a"),
    ("detectable_format:constrained_response", {}, "My answer is no.", "No."),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, "*a* and **b**", "*a* and ** **"),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "Teil", "num_sections": 2},
        "Teil 1\na\nTeil 2\nb",
        "Teil 1",
    ),
    ("detectable_format:json_format", {}, '```json\n{"a": 1}\n```', "a: 1"),
    ("detectable_format:title", {}, "<<Lied>>\nla", "<< >>"),
    ("combination:two_responses", {}, "a\n******\nb", "a\n******\na"),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say it."}, "Say it. Now: it", "Now: it"),
    ("startend:end_checker", {"end_phrase": "The end."}, 'So it was. The END."', "The end. No."),
    ("startend:quotation", {}, ' "ja" ', '"'),
    ("change_case:capital_word_frequency", {"capital_frequency": 2, "capital_relation": "at least"}, "A-B and C", "AB"),
    ("change_case:english_capital", {}, ENGLISH.upper(), ENGLISH),
    ("change_case:english_lowercase", {}, ENGLISH, ENGLISH.upper()),
    ("punctuation:no_comma", {}, "a b", "a، b"),
]


def reference(*checks, prompt="Say it."):
    return json.dumps({"prompt": prompt, "checks": checks})


@pytest.mark.parametrize(("name", "given", "right", "wrong"), KINDS, ids=lambda value: str(value)[:30])
def test_each_instruction_is_told_from_its_opposite(name, given, right, wrong):
    asked = reference([name, given])
    assert followed(right, asked, loose=False) == [True]
    assert followed(wrong, asked, loose=False) == [False]


def test_every_kind_of_the_data_is_checked():
    assert {name for name, *_ in KINDS} == set(INSTRUCTIONS)
    assert len(INSTRUCTIONS) == 25


def test_loose_forgives_a_first_and_last_line_and_asterisks():
    asked = reference(["startend:quotation", {}], ["es:punctuation:no_comma", {}])
    answer = 'Sure, here it is:\n**"yes"**'
    assert followed(answer, asked, loose=False) == [False, False]
    assert followed(answer, asked, loose=True) == [True, True]
    assert followed(" \n", asked, loose=True) == [False, False]


def test_prompts_and_instructions_are_counted_apart():
    one, two = (
        reference(["punctuation:no_comma", {}]),
        reference(["punctuation:no_comma", {}], ["startend:quotation", {}]),
    )
    names = ("ifeval_prompt_strict", "ifeval_instruction_strict")
    texts, references = ["yes", "no"], [[one], [two]]
    prompt, instruction = generation_metrics(names, texts, references, "en")
    assert (prompt.value, instruction.value) == (0.5, 2 / 3)
    counts = item_counts(names, texts, references, "en", [False, False])
    assert counts == [[[1.0, 1.0], [1.0, 1.0]], [[0.0, 1.0], [1.0, 2.0]]]
    import numpy as np

    assert value_of(names[1], np.array([[2.0, 3.0]])).tolist() == [2 / 3]
    assert item_values(names, "no", [two], "en") == [0.0]


@pytest.mark.parametrize("bad", ["no JSON", "{}", reference(), reference(["keywords:unheard_of", {}])])
def test_a_reference_that_nobody_can_check_is_an_error(bad):
    with pytest.raises(DataError, match="reference"):
        followed("text", bad, loose=False)
