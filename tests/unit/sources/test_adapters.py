import os
from dataclasses import replace

import pyarrow as pa
import pytest

from xmtf.errors import SourceError
from xmtf.sources import SourceRef, read_source
from xmtf.sources.adapters import adapt

needs_data = pytest.mark.skipif("XMTF_DATA_ROOT" not in os.environ, reason="XMTF_DATA_ROOT is not set")


def run(adapter, rows, subset=""):
    """Apply an adapter to literal rows; return (rows, row indices, drops)."""
    adapted = adapt(SourceRef("set", subset, adapter=adapter), pa.Table.from_pylist(rows))
    indices = list(range(len(rows))) if adapted.rows is None else adapted.rows.tolist()
    return adapted.table.to_pylist(), indices, adapted.dropped


def test_paws_x_drops_placeholders_of_untranslated_sentences():
    pairs = [("NS", "Er lief."), ("Er lief.", "Er rannte."), ("ns", "NS"), ("NSA", "NS-Zeit"), ("", "x")]
    rows, indices, dropped = run("paws-x", [{"sentence1": a, "sentence2": b, "label": 0} for a, b in pairs])
    assert [row["sentence1"] for row in rows] == ["Er lief.", "NSA"]
    assert indices == [1, 3]
    assert dropped == {"placeholder instead of a sentence": 3}


def test_mbpp_gets_unix_line_ends():
    code = "def f(a):\r\n\tif a: \r\n\t\treturn 1\r\n"
    rows, _, _ = run("mbpp", [{"text": "t", "code": code, "test_list": ["assert f(1)", "assert f(2)"]}])
    assert rows[0]["code"] == "def f(a):\n\tif a:\n\t\treturn 1"
    assert rows[0]["tests"] == "assert f(1)\nassert f(2)"


def test_gsm8k_loses_its_calculator_marks_and_thousands_commas():
    rows, indices, dropped = run(
        "gsm8k",
        [
            {"question": "q", "answer": "She has 2+3 = <<2+3=5>>5 eggs.\nSo 1,005.\n#### 1,005"},
            {"question": "q", "answer": "no mark"},
        ],
    )
    assert rows[0]["solution"] == "She has 2+3 = 5 eggs.\nSo 1,005."
    assert rows[0]["final_answer"] == "1005"
    assert (indices, dropped) == ([0], {"no final answer": 1})


def test_afriqa_names_its_languages_and_drops_unanswered_questions():
    row = {"question_lang": "q", "answer_lang": "bakwai", "context": "seven", "answer_pivot": {"text": ["seven"]}}
    empty = {**row, "answer_lang": "", "context": "", "answer_pivot": {"text": []}}
    rows, indices, dropped = run("afriqa", [empty, row], subset="hau")
    assert indices == [1]
    assert dropped == {"no passage or no answer": 1}
    assert {name: rows[0][name] for name in ("answer_passage", "question_language_name", "passage_language_name")} == {
        "answer_passage": "seven",
        "question_language_name": "Hausa",
        "passage_language_name": "English",
    }
    yes = {**row, "answer_pivot": {"text": ["yes"]}}
    assert run("afriqa-passage", [empty, row, yes], subset="hau")[1:] == ([1], {"the answer is not in the passage": 2})
    assert run("afriqa", [row], subset="fon")[0][0]["passage_language_name"] == "French"


SEGMENTS = [
    {"document": document, "source": source, "target": target, "source_language": "eng", "target_language": "zho-CN"}
    for document, source, target in [
        ("a", "Flood", "洪水"),
        ("a", "Rain fell.", "下雨了。"),
        ("a", "It rose.", "水涨了。"),
        ("b", "Vote", "投票"),
        ("b", "Yes won.", "赞成。"),
        ("c", "Only a headline", "只有标题"),
    ]
]


def test_ntrex_runs_in_both_directions():
    there, _, _ = run("ntrex", SEGMENTS)
    back, _, _ = run("ntrex-reversed", SEGMENTS)
    assert there[1] == {
        "source": "Rain fell.",
        "target": "下雨了。",
        "source_language_name": "English",
        "target_language_name": "Simplified Chinese",
    }
    assert back[1] == {
        "source": "下雨了。",
        "target": "Rain fell.",
        "source_language_name": "Simplified Chinese",
        "target_language_name": "English",
    }


def test_the_first_segment_of_a_document_is_its_headline():
    rows, indices, dropped = run("ntrex-headline-source", SEGMENTS)
    assert [(row["headline"], row["body"]) for row in rows] == [("Flood", "Rain fell. It rose."), ("Vote", "Yes won.")]
    assert indices == [0, 3]
    assert dropped == {"no headline or no body": 1}
    chinese, _, _ = run("ntrex-headline", SEGMENTS)
    assert chinese[0]["headline"] == "洪水"
    assert chinese[0]["body"] == "下雨了。水涨了。"
    assert chinese[0]["language_name"] == "Simplified Chinese"


def test_nusax_drops_empty_segments():
    row = {"text_1": "apik", "text_2": "rancak", "text_1_lang": "jav", "text_2_lang": "min"}
    rows, indices, dropped = run("nusax-mt", [{**row, "text_2": " "}, row])
    assert rows[0]["source_language_name"] == "Javanese"
    assert rows[0]["target_language_name"] == "Minangkabau"
    assert (indices, dropped) == ([1], {"empty segment": 1})


def test_tydiqa_has_the_columns_of_squad_whichever_copy_it_is():
    hub = {"passage_text": "p", "question_text": "q", "answers": {"text": ["a"]}}
    copy = {"context": "p", "question": "q", "answers": {"text": ["a"]}}
    for row in (hub, copy):
        ((seen,), _, _) = run("tydiqa-goldp", [row])
        assert (seen["context"], seen["question"]) == ("p", "q")


def test_xcopa_asks_what_english_copa_asks():
    thai = [{"premise": "p", "question": "effect", "label": 1, "idx": idx} for idx in (3, 4, 6)]
    adapted = adapt(SourceRef("cambridgeltl/xcopa", "th", "validation", adapter="xcopa"), pa.Table.from_pylist(thai))
    assert [row["question"] for row in adapted.table.to_pylist()] == ["effect", "cause", "cause"]


@needs_data
@pytest.mark.parametrize(("subset", "mended"), [("et", 0), ("th", 52), ("tr", 52), ("sw", 6), ("it", 5)])
def test_xcopa_differs_from_the_published_file_only_where_that_is_wrong(subset, mended):
    ref = SourceRef("cambridgeltl/xcopa", subset, "validation")
    before = read_source(ref, offline=True).table["question"].to_pylist()
    after = read_source(replace(ref, adapter="xcopa"), offline=True).table["question"].to_pylist()
    english = read_source(SourceRef("aps/super_glue", "copa", "validation"), offline=True).table
    assert after == english["question"].to_pylist()
    assert sum(a != b for a, b in zip(before, after, strict=True)) == mended


def test_a_table_that_is_not_what_the_adapter_expects_is_explained():
    with pytest.raises(SourceError, match="needs the column 'sentence1'; there are text"):
        run("paws-x", [{"text": "x"}])


def test_wmt_is_taken_apart_in_both_directions():
    pairs = [{"translation": {"fr": "Oui", "en": "Yes"}}, {"translation": {"fr": "", "en": "No"}}]
    there, _, dropped = run("wmt", pairs, subset="fr-en")
    assert there == [
        {
            "source": "Oui",
            "target": "Yes",
            "source_language_name": "French",
            "target_language_name": "English",
        }
    ]
    assert dropped == {"empty segment": 1}
    back, _, _ = run("wmt-reversed", pairs, subset="fr-en")
    assert (back[0]["source"], back[0]["target_language_name"]) == ("Yes", "French")
