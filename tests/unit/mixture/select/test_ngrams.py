import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from xmtf.mixture.select.ngrams import string_values, word_runs


def texts_of(runs):
    return [runs.text(number) for number in range(len(runs.hashes))]


def test_runs_of_words_stay_inside_their_text():
    runs = word_runs(pa.array(["The cat sat, the cat.", "too short", None, "Le chat dort !"]), 3)
    assert texts_of(runs) == ["the cat sat", "cat sat the", "sat the cat", "le chat dort"]
    assert runs.text_of_run.tolist() == [0, 0, 0, 3]


def test_equal_runs_have_equal_hashes_and_order_counts():
    runs = word_runs(pa.array(["a b c", "x A, b; C y", "c b a"]), 3)
    first, _, same, _, reverse = runs.hashes.tolist()
    assert texts_of(runs)[2] == "a b c"
    assert first == same
    assert first != reverse


@given(st.lists(st.sampled_from("abc"), max_size=40), st.integers(1, 17))
def test_runs_have_equal_hashes_exactly_where_their_words_are_equal(words, length):
    runs = word_runs(pa.array([" ".join(words)]), length)
    expected = [tuple(words[at : at + length]) for at in range(len(words) - length + 1)]
    assert texts_of(runs) == [" ".join(run) for run in expected]
    assert (
        len(set(runs.hashes.tolist()))
        == len(set(expected))
        == len(set(zip(runs.hashes.tolist(), expected, strict=True)))
    )


def test_scripts_without_spaces_need_forty_characters():
    assert texts_of(word_runs(pa.array(["我爱北京。"]), 3)) == []
    assert texts_of(word_runs(pa.array(["नमस्ते दुनिया कैसी"]), 3)) == ["नमस्ते दुनिया कैसी"]
    long = "天地玄黃宇宙洪荒日月盈昃辰宿列張寒來暑往秋收冬藏閏餘成歲律呂調陽雲騰致雨露結為霜"
    assert texts_of(word_runs(pa.array([long[:40]]), 13)) == [" ".join(long[:40])]
    assert texts_of(word_runs(pa.array([long[:39]]), 13)) == []
    mixed = "one two three 天地 four five six"
    assert texts_of(word_runs(pa.array([mixed]), 3)) == ["one two three", "four five six"]
    assert texts_of(word_runs(pa.array([f"{long[:40]} one two three"]), 3))[-1] == "one two three"


def test_no_words_no_runs():
    assert len(word_runs(pa.chunked_array([], pa.string()), 3).hashes) == 0
    assert word_runs(pa.array([None, ""], pa.string()), 1).text_of_run.dtype == np.int64


def test_strings_are_found_inside_lists_and_structs():
    rows = [{"id": 1, "text": "a", "answers": {"text": ["b", "c"], "start": [0, 1]}, "turns": [{"said": "d"}]}]
    assert sorted(string_values(pa.Table.from_pylist(rows)).to_pylist()) == ["a", "b", "c", "d"]
