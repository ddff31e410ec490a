import re

import pytest

from xmtf.errors import UnknownNameError
from xmtf.languages.codes import get_language, language_set, normalize_language, relatives, same_language


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("fr", "fr"), ("fra", "fr"), ("fra_Latn", "fr"), ("FR", "fr"),
        ("arb", "ar"), ("ara", "ar"), ("arb_Arab", "ar"),
        ("zho_Hans", "zh"), ("zh-CN", "zh"), ("cmn", "zh"), ("zho_Hant", "zh-Hant"), ("zh-TW", "zh-Hant"),
        ("swh_Latn", "sw"), ("swa", "sw"), ("npi", "ne"), ("ory_Orya", "or"), ("kea", "kea"), ("kea_Latn", "kea"),
        ("jp", "ja"), ("no", "no"), ("nob_Latn", "nb"), ("twi", "tw"), ("aka", "ak"), ("nso", "nso"), ("code", "code"),
        ("ace_Arab", "ace-Arab"), ("ind", "id"), ("yor", "yo"),
        ("uzn", "uzn-Latn"), ("uzn_Latn", "uzn-Latn"), ("azj", "azj-Latn"), ("prs", "fa-AF"), ("prs_Arab", "fa-AF"),
        ("ko-Hang", "ko"), ("tw-Latn", "tw"), ("zh-HK", "zh-Hant"), ("zh-MO", "zh-Hant"), ("zh-SG", "zh"),
        ("pa-PK", "pa-Arab"), ("sr-ME", "sr-Latn"), ("en-US", "en"), ("pt-BR", "pt"),
    ],
)  # fmt: skip
def test_every_spelling_of_a_language_gives_one_code(written, code):
    assert normalize_language(written) == code


def test_an_unknown_language_names_its_place_and_near_codes():
    with pytest.raises(UnknownNameError, match=r"catalogue/x.yaml: unknown language 'zzzz'"):
        normalize_language("zzzz", "catalogue/x.yaml")


@pytest.mark.parametrize(
    ("written", "code"), [("swahili", "sw"), ("Yorubba", "yo"), ("Norwgian", "no"), ("Uzbek", "uz"), ("farsi", "fa")]
)
def test_an_english_name_gives_its_code(written, code):
    with pytest.raises(UnknownNameError, match=rf"did you mean {code} \("):
        normalize_language(written)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("cn", "zh (Chinese (Simplified); 'cn' is the country China)"),
        ("ua", "uk (Ukrainian; 'ua' is the country Ukraine)"),
        ("GR", "el (Greek; 'GR' is the country Greece)"), ("cz", "cs (Czech; 'cz' is the country Czechia)"),
        ("dk", "da (Danish; 'dk' is the country Denmark)"),
        ("us", "en (English; 'us' is the country United States)"),
    ],
)  # fmt: skip
def test_the_code_of_a_country_names_its_main_language(written, said):
    with pytest.raises(UnknownNameError, match=re.escape(f"unknown language {written!r}; did you mean {said}?")):
        normalize_language(written)


@pytest.mark.parametrize("written", ["un", "ez", "qo", "zz", "xx", "qq", "aq"])
def test_a_region_that_is_no_country_with_a_language_names_none(written):
    with pytest.raises(UnknownNameError, match=f"unknown language {written!r}") as raised:
        normalize_language(written)
    assert "country" not in str(raised.value)


@pytest.mark.parametrize(("written", "code"), [("se", "se"), ("kr", "kr"), ("br", "br"), ("jp", "ja"), ("sv", "sv")])
def test_codes_of_languages_that_are_also_codes_of_countries_are_languages(written, code):
    assert normalize_language(written) == code


def test_aliases_are_the_same_language_and_members_are_relatives():
    for code, alias in (("uz", "uzn-Latn"), ("az", "azj-Latn"), ("sq", "sqi-Latn"), ("sw", "swa-Latn")):
        assert same_language(code) == (code, alias)
        assert same_language(alias) == (alias, code)
    assert (same_language("fa"), relatives("fa")) == (("fa",), ("fa-AF",))
    assert "nn" in relatives("no")
    assert {"ary", "ar", "apc"} <= set(relatives("arz"))  # members of one macrolanguage
    assert "aln" in relatives("sq")  # of ISO 639-3, not in our table


@pytest.mark.parametrize("written", ["FA_af", "fas-AF", "prs", "PRS_Arab"])
def test_a_code_with_a_region_is_found_in_any_spelling(written):
    assert normalize_language(written) == "fa-AF"


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
