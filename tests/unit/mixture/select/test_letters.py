import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmtf.mixture.select.letters import letters_of


def hashes(*texts):
    letters = letters_of(texts)
    starts = np.concatenate([[0], letters.ends[:-1]])
    return [
        (int(length), int(value))
        for length, value in zip(letters.ends - starts, letters.hashes(starts, letters.ends - starts), strict=True)
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Die Katze, saß da.", "DIE KATZE SASS DA"),
        ("café", unicodedata.normalize("NFD", "CAFÉ")),
        ("Kapıyı İttim", "KAPIYI ittim"),
        ("ＡＢＣ１２", "abc12"),
        ("ﬁne ½", "FINE 1/2"),
        ("한국", unicodedata.normalize("NFD", "한국")),
        ("தொகுப்பு", unicodedata.normalize("NFD", "தொகுப்பு")),
        ("क़लम", unicodedata.normalize("NFC", "क़लम")),
        ("ガギグ", "ｶﾞｷﾞｸﾞ"),
        ("کتاب ۱۲", "كتاب 12"),
        ("مُحَمَّد", "محمـد"),
        ("καλός", "ΚΑΛΟΣ"),
        ("it's\u00a0a\u200btest", "its a\n test"),
    ],
)
def test_spellings_of_one_text_have_the_same_letters(one, other):
    first, second = hashes(one, other)
    assert first == second
    assert first[0] > 0


def test_letters_in_two_characters_are_the_letter_that_they_make():
    pairs = [chr(code) for code in range(0x900, 0x3400) if len(unicodedata.normalize("NFD", chr(code))) == 2]
    single = [letter for letter in pairs if unicodedata.normalize("NFC", letter) == letter]
    assert len(single) > 40
    for letter in single:
        one, two = hashes(f"a{letter}b", unicodedata.normalize("NFD", f"a{letter}b"))
        assert one == two, letter


def test_words_start_alike_whatever_other_letters_a_text_has():
    alone, beside = letters_of(["নিউয়়র"]), letters_of(["নিউয়়র" + "কা"])
    assert alone.starts[:5].tolist() == beside.starts[:5].tolist()


def test_other_letters_are_another_text():
    he, she, reverse = hashes("他说", "她说", "说他")
    assert len({he, she, reverse}) == 3


def test_words_start_after_what_is_no_letter_and_everywhere_in_scripts_without_spaces():
    letters = letters_of(["Die Katze", "我爱 a"])
    assert letters.starts.tolist() == [*map(bool, [1, 0, 0, 1, 0, 0, 0, 0]), True, True, True, True]
    assert letters.ends.tolist() == [8, 11]
    whole = np.array([0]), np.array([len(letters)])
    assert letters.weights(*whole).tolist() == [8 + 2 + 2 + 1]
    assert letters.words(*whole).tolist() == [3]
    assert letters.words(*whole, spaced=False).tolist() == [5]


@given(st.lists(st.text(alphabet="aB ä한ß我,\ufdd0\n", max_size=12), max_size=5))
def test_texts_keep_their_number_and_their_letters(texts):
    letters = letters_of(texts)
    assert len(letters.ends) == len(texts)
    together = hashes(*texts) if texts else []
    assert together == [hashes(text)[0] for text in texts]
