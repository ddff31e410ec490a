from dataclasses import replace

import orjson
import pyarrow as pa
import pytest

from xmtf.errors import SourceError
from xmtf.sources import SourceRef
from xmtf.sources.adapters import ADAPTERS, adapt


def run(adapter, subset, rows):
    """Apply an adapter to literal rows; return (rows, row indices, drops)."""
    adapted = adapt(SourceRef("set", subset, adapter=adapter), pa.Table.from_pylist(rows))
    indices = list(range(len(rows))) if adapted.rows is None else adapted.rows.tolist()
    return adapted.table.to_pylist(), indices, adapted.dropped


def names(row):
    return row["source_language_name"], row["target_language_name"]


def test_flores_pairs_get_source_target_and_names():
    rows, _, _ = run("flores", "zho_Hant-arb_Arab", [{"sentence_zho_Hant": "雨", "sentence_arb_Arab": "مطر"}])
    assert (rows[0]["source"], rows[0]["target"]) == ("雨", "مطر")
    assert names(rows[0]) == ("Chinese (Traditional)", "Modern Standard Arabic")


def test_the_two_flores_names_that_the_original_has_wrong_are_right():
    row = {"sentence_lij_Latn": "a", "sentence_kea_Latn": "b", "sentence_lim_Latn": "c"}
    assert names(run("flores", "lij_Latn-kea_Latn", [row])[0][0]) == ("Ligurian", "Kabuverdianu")
    assert names(run("flores", "kea_Latn-lim_Latn", [row])[0][0]) == ("Kabuverdianu", "Limburgish")


def test_tatoeba_runs_in_both_directions():
    row = {"sourceLang": "eng", "targetlang": "cmn_Hans", "sourceString": "Rain", "targetString": "雨"}
    empty = {**row, "targetString": ""}
    rows, indices, dropped = run("tatoeba", "eng-zho", [empty, row])
    assert (rows[0]["sourceString"], rows[0]["targetString"]) == ("Rain", "雨")
    assert names(rows[0]) == ("English", "Mandarin Chinese")
    assert (indices, dropped) == ([1], {"empty sentence": 1})
    rows, _, _ = run("tatoeba-inverted", "eng-zho", [row])
    assert (rows[0]["sourceString"], rows[0]["targetString"]) == ("雨", "Rain")
    assert names(rows[0]) == ("Mandarin Chinese", "English")


def test_wmt22_keeps_the_best_pairs_and_not_random_ones(monkeypatch):
    for name in ("wmt22", "wmt22-inverted"):
        monkeypatch.setitem(ADAPTERS, name, replace(ADAPTERS[name], best=("laser_score", 2)))
    pairs = [{"translation": {"eng": f"e{n}", "swh": f"s{n}"}, "laser_score": s} for n, s in enumerate([1.1, 1.3, 1.2])]
    rows, indices, dropped = run("wmt22", "eng-swh", pairs)
    assert [(row["source"], row["target"]) for row in rows] == [("e1", "s1"), ("e2", "s2")]
    assert (indices, sum(dropped.values())) == ([1, 2], 1)
    rows, _, _ = run("wmt22-inverted", "eng-swh", pairs)
    assert (rows[0]["source"], rows[0]["target"]) == ("s1", "e1")
    assert names(rows[0]) == ("Swahili (individual language)", "English")


def test_multi_eurlex_pairs_come_from_the_texts_of_all_languages():
    rows, indices, dropped = run(
        "multi-eurlex", "da-de", [{"text": {"da": "lov", "de": None}}, {"text": {"da": "lov", "de": "Gesetz"}}]
    )
    assert {name: rows[0][name] for name in ("l1", "l2", "l1_name", "l2_name")} == {
        "l1": "lov",
        "l2": "Gesetz",
        "l1_name": "Danish",
        "l2_name": "German",
    }
    assert (indices, dropped) == ([1], {"not in both languages": 1})


def test_wiki_lingua_keeps_the_direction_of_a_crosslingual_subset():
    rows = [{"source_language": a, "target_language": b} for a, b in (("en", "es"), ("es", "en"))]
    kept, indices, dropped = run("wiki-lingua", "es_en", rows)
    assert names(kept[0]) == ("Spanish", "English")
    assert (indices, dropped) == ([1], {"the other direction": 1})
    assert run("wiki-lingua", "es", rows)[1:] == ([0, 1], {})


def test_hidden_labels_do_not_become_the_last_answer():
    rows, indices, dropped = run("hidden-labels", "rte", [{"label": -1}, {"label": 0}, {"label": None}])
    assert (rows, indices, dropped) == ([{"label": 0}], [1], {"hidden label": 2})


def test_apps_draws_one_solution_a_row_the_same_every_time():
    rows = [
        {"solutions": orjson.dumps([f"print({n})" for n in range(50)]).decode()},
        {"solutions": ""},
        {"solutions": "[]"},
        {"solutions": orjson.dumps([f"print({n})" for n in range(50)]).decode()},
    ]
    first, indices, dropped = run("apps", "all", rows)
    assert (indices, dropped) == ([0, 3], {"no solution": 2})
    assert first == run("apps", "all", rows)[0]
    assert first[0]["solution"] != first[1]["solution"]


def test_xlcost_tokens_become_layout():
    code = "def f ( ) : NEW_LINE INDENT if x : NEW_LINE INDENT return 'aSTRNEWLINEb' NEW_LINE DEDENT DEDENT f ( )"
    rows, _, _ = run("xlcost", "Python-program-level", [{"code": code}])
    assert rows[0]["code_clean"] == "def f ( ) :\n\tif x :\n\t\treturn 'a\nb'\nf ( )"


def test_a_subset_that_is_no_pair_is_refused():
    with pytest.raises(SourceError, match="needs a subset of two languages, such as eng-fra"):
        run("flores", "eng_Latn", [{"sentence_eng_Latn": "x"}])
