"""The prompts of the open catalogue as they are rendered: a change of wording must be meant."""

import json
from pathlib import Path

import pytest

from xmtf.languages.codes import CODE
from xmtf.tasks import load_catalogue
from xmtf.templates import load_templates

GOLDEN = Path(__file__).with_name("open_prompts.json")
"""Collection -> template -> [inputs, target, choices]; `python tests/golden/test_open_prompts.py` writes it anew."""

PAIR = {"source": "Bonjour.", "target": "Habari.", "source_language_name": "French", "target_language_name": "Swahili"}
AFRIQA = {
    "title": "Doha",
    "context": "Doha is the capital of Qatar.",
    "question_lang": "Wane gari ne?",
    "question_translated": "Which city is it?",
    "answer_lang": "Doha",
    "answer_passage": "Doha",
    "question_language_name": "Hausa",
    "passage_language_name": "English",
}
ROWS = {
    "sib200": {"text": "Theluji ilianguka.", "category": "travel"},
    "nusax-sentiment": {"text": "Enak banget.", "label": 2},
    "paws-x": {"sentence1": "Er lief heim.", "sentence2": "Heim lief er.", "label": 1},
    "extractive-qa": {
        "context": "Makka iko Saudia.",
        "question": "Makka iko wapi?",
        "answers": {"text": ["Saudia"], "answer_start": [10]},
    },
    "afriqa": AFRIQA,
    "afriqa-passage": AFRIQA,
    "translation": PAIR,
    "headline": {"headline": "Crue à Lyon", "body": "Il a plu. Le Rhône monte.", "language_name": "French"},
    "mbpp": {
        "text": "Write a function to add one.",
        "code": "def f(a):\n\treturn a + 1",
        "tests": "assert f(1) == 2\nassert f(2) == 3",
        "test_list": ["assert f(1) == 2", "assert f(2) == 3"],
    },
    "gsm8k": {"question": "How much is 2 + 3?", "solution": "2 + 3 = 5.", "final_answer": "5"},
    "xnli": {"premise": "Il pleut.", "hypothesis": "Il fait beau.", "label": 2},
    "copa": {"premise": "It rained.", "choice1": "I got wet.", "choice2": "I sang.", "question": "effect", "label": 0},
    "xwinograd": {"sentence": "A saw B, but _ hid.", "option1": "A", "option2": "B", "answer": "2"},
    "humaneval": {"prompt": 'def f(a):\n    """Add one."""\n', "canonical_solution": "    return a + 1\n"},
}


def rendered(key):
    """Render the literal row of a collection under each of its templates that is no translation."""
    result = {}
    for template in (each for each in load_templates(key) if each.translated is None):
        answer = template.render(ROWS[key], strip=key not in ("mbpp", "humaneval"))
        choices = list(answer.answer_choices) if answer.answer_choices else None
        result[template.name] = [answer.inputs, *answer.targets, choices]
    return result


def test_every_collection_of_the_catalogue_has_a_row_here():
    tasks = [task for task in load_catalogue().tasks.values() if task.catalogue == "open"]
    assert {task.template_key for task in tasks} == set(ROWS)
    assert {task.template_key for task in tasks if task.language == CODE} == {"mbpp", "humaneval"}


@pytest.mark.parametrize("key", ROWS)
def test_prompts_are_worded_as_agreed(key):
    assert rendered(key) == json.loads(GOLDEN.read_text(encoding="utf-8"))[key]


@pytest.mark.parametrize("key", ROWS)
def test_a_collection_has_three_to_six_prompts_and_ranked_ones_offer_their_target(key):
    prompts = rendered(key)
    assert 3 <= len(prompts) <= 6
    for _, target, choices in prompts.values():
        assert choices is None or target in choices


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps({key: rendered(key) for key in ROWS}, ensure_ascii=False, indent=1) + "\n", "utf-8")
