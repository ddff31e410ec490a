"""Questions with options, worked problems and checkable instructions: one shape from the columns of many datasets."""

import json

import pyarrow as pa
import pytest

from xmtf.errors import SourceError
from xmtf.sources import SourceRef
from xmtf.sources.adapters import adapt

FOUR = ["un", "deux", "trois", "quatre"]
ABCD = dict(zip("ABCD", FOUR, strict=True))


def run(adapter, *rows):
    adapted = adapt(SourceRef("set", "", adapter=adapter), pa.Table.from_pylist(list(rows)))
    return adapted.table.to_pylist(), adapted.rows.tolist() if adapted.rows is not None else None, adapted.dropped


@pytest.mark.parametrize(
    ("adapter", "row", "answer"),
    [
        ("options", {"question": "?", **{f"option_{k.lower()}": v for k, v in ABCD.items()}, "answer": "B"}, 1),
        ("options", {"question": "?", **{f"option_{k.lower()}": v for k, v in ABCD.items()}, "answer": 3}, 3),
        ("options", {"Question": "?", **ABCD, "Answer": "D"}, 3),
        ("options-from-one", {"question": "?", "answer": 2, **ABCD}, 1),
        ("options", {"question": "?", "choices": FOUR, "answer": "C "}, 2),
        ("options", {"question": "?", "choices": str(FOUR), "answer": "A"}, 0),
        (
            "options",
            {"Question": "?", **{f"Option {n}": o for n, o in enumerate(FOUR, 1)}, "Option 5": None, "Answer Key": "B"},
            1,
        ),
    ],
)
def test_every_published_shape_of_a_question_becomes_one(adapter, row, answer):
    (found,), _, dropped = run(adapter, row)
    assert (found["question"], found["options"], found["answer"], found["passage"]) == ("?", FOUR, answer, "")
    assert dropped == {}


def test_what_cannot_be_asked_is_counted_by_reason():
    good = {"question": "?", "choices": ["a", "b"], "answer": "A"}
    rows, numbers, dropped = run(
        "options",
        good | {"answer": "C"},
        good | {"answer": None},
        good | {"question": " "},
        good,
        good | {"choices": ["a"]},
        good | {"choices": ["a", "", "c"]},
    )
    assert [row["answer"] for row in rows] == [0]
    assert numbers == [3]
    assert dropped == {
        "the answer is none of the options": 2,
        "no question": 1,
        "fewer than two options": 1,
        "an option is empty": 1,
    }
    with pytest.raises(SourceError, match="finds no options"):
        run("options", {"question": "?", "answer": "A"})
    with pytest.raises(SourceError, match="not a list of options"):
        run("options", {"question": "?", "choices": "a or b", "answer": "A"})


def test_translations_have_one_number_whatever_their_order():
    def row(number, text):
        options = {f"mc_answer{place}": option for place, option in enumerate(FOUR, 1)}
        about = {"link": "https://example.org/x", "question_number": number, "flores_passage": f" {text} "}
        return about | {"question": f"{text} {number}?", **options, "correct_answer_num": "4"}

    english, first, _ = run("belebele", row(1, "en"), row(2, "en"))
    _, second, _ = run("belebele", row(2, "fr"), row(1, "fr"))
    assert first == second[::-1]
    assert (english[0]["passage"], english[0]["answer"]) == ("en", 3)
    with pytest.raises(SourceError, match="two rows have the same link and question_number"):
        run("belebele", row(1, "en"), row(1, "en"))
    mmlu = {"question": "?", "choices": FOUR, "answer": "A"}
    _, one, _ = run("global-mmlu", mmlu | {"sample_id": "x/test/0"}, mmlu | {"sample_id": "x/test/7"})
    _, other, _ = run("global-mmlu", mmlu | {"sample_id": "x/test/7"})
    assert one[1:] == other


def test_mgsm_loses_its_headings_where_they_stand():
    worked = {
        "question": "Frage: Wie viele?",
        "answer": "Schritt-für-Schritt-Antwort: 2 + 3: das ist 5.",
        "answer_number": 5,
    }
    bare = {"question": "Zeit: 3 Uhr. Wie viele?", "answer": None, "answer_number": 1050}
    rows, _, dropped = run("mgsm", worked, bare, bare | {"answer_number": None})
    assert [(row["question"], row["solution"], row["final_answer"]) for row in rows] == [
        ("Wie viele?", "2 + 3: das ist 5.", "5"),
        ("Zeit: 3 Uhr. Wie viele?", "", "1050"),
    ]
    assert dropped == {"no final answer": 1}


def test_ifeval_keeps_the_arguments_that_are_there():
    ids = ["punctuation:no_comma", "length_constraints:number_words"]
    given = [{"num_words": None, "relation": None}, {"num_words": 5, "relation": "at least"}]
    rows, _, dropped = run(
        "ifeval",
        {"prompt": "Write.", "instruction_id_list": ids, "kwargs": given},
        {"prompt": "Write.", "instruction_id_list": ids, "kwargs": given[:1]},
    )
    assert json.loads(rows[0]["checks"]) == {"prompt": "Write.", "checks": [[ids[0], {}], [ids[1], given[1]]]}
    assert dropped == {"instructions without their arguments": 1}
