import pytest

from xmtf.errors import UnknownNameError
from xmtf.languages import get_language, language_set, normalize_language


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("fr", "fr"), ("fra", "fr"), ("fra_Latn", "fr"), ("FR", "fr"),
        ("arb", "ar"), ("ara", "ar"), ("arb_Arab", "ar"),
        ("zho_Hans", "zh"), ("zh-CN", "zh"), ("cmn", "zh"), ("zho_Hant", "zh-Hant"), ("zh-TW", "zh-Hant"),
        ("swh_Latn", "sw"), ("swa", "sw"), ("npi", "ne"), ("ory_Orya", "or"), ("kea", "kea"), ("kea_Latn", "kea"),
        ("jp", "ja"), ("no", "no"), ("nob_Latn", "nb"), ("twi", "tw"), ("aka", "ak"), ("nso", "nso"), ("code", "code"),
        ("ace_Arab", "ace-Arab"), ("ind", "id"), ("yor", "yo"),
    ],
)  # fmt: skip
def test_every_spelling_of_a_language_gives_one_code(written, code):
    assert normalize_language(written) == code


def test_an_unknown_language_names_its_place_and_near_codes():
    with pytest.raises(UnknownNameError, match=r"catalogue/x.yaml: unknown language 'zzzz'"):
        normalize_language("zzzz", "catalogue/x.yaml")


def test_the_sets_have_their_published_sizes():
    assert {name: len(language_set(name)) for name in ("bloom", "xp3", "xp3x", "mt5")} == {
        "bloom": 46, "xp3": 46, "xp3x": 277, "mt5": 101,
    }  # fmt: skip


def test_codes_are_stable_under_normalizing():
    for code in {*language_set("xp3x"), *language_set("mt5"), *language_set("xp3")}:
        assert normalize_language(code) == code


def test_a_language_outside_the_catalogue_still_has_a_name():
    assert get_language("mad").name == "Madurese"
    assert get_language("zh-Hant").script == "Hant"
