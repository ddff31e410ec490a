"""What a language is said to say is its own, whatever else was read before."""

import datetime

import pytest
from babel import Locale, localedata

from cldr_rows.locales import known_languages, language_data, plain
from xmtf.errors import UnknownNameError
from xmtf.languages.codes import get_language, language_set


@pytest.fixture(scope="module")
def every_language():
    """Read months, weekdays, units and times of all languages first: babel lets aliases leak between them."""
    found = {code: language_data(code) for code in known_languages()}
    for language in found.values():
        _ = (
            language.months,
            language.weekdays,
            language.quantity(3, "duration-day"),
            language.relative_time(3, "day", "past"),
        )
    return found


def test_languages_are_known_and_many():
    assert len(known_languages()) >= 90
    assert all(get_language(code).code == code for code in known_languages())
    without_cldr_data = {"code", "fon", "tum", "tw"}
    assert set(language_set("bloom")) - set(known_languages()) == without_cldr_data


@pytest.mark.parametrize(
    ("code", "january", "monday"),
    [
        ("fr", "janvier", "lundi"),
        ("sw", "Januari", "Jumatatu"),
        ("ru", "январь", "понедельник"),
        ("az", "yanvar", "bazar ertəsi"),
        ("zh-Hant", "1月", "星期一"),
        ("ca", "gener", "dilluns"),
        ("ny", "Januwale", "Lolemba"),
        ("ig", "Jenụwarị", "Mọnde"),
    ],
)
def test_names_of_months_and_weekdays(every_language, code, january, monday):
    language = every_language[code]
    names = (language.months[0], language.weekdays[0])
    assert [name.casefold() for name in names] == [january.casefold(), monday.casefold()]  # CLDR 48: Bazar ertəsi


def test_no_months_of_root(every_language):
    for code, language in every_language.items():
        assert "M01" not in language.months
        assert len(set(language.months)) == 12, code
        assert len(set(language.weekdays)) == 7, code


def test_names_that_are_english_are_left_out(every_language):
    english = every_language["en"]
    for code, language in every_language.items():
        if code != "en":
            assert all(
                name != english.territories[key]
                for key, name in language.territories.items()
                if key in english.territories
            )
            assert all(
                name != english.languages[key] for key, name in language.languages.items() if key in english.languages
            )
            assert all(len(key) == 2 for key in language.territories)


@pytest.mark.parametrize(
    ("code", "date", "style", "written"),
    [
        ("fr", (2021, 3, 12), "long", "12 mars 2021"),
        ("ru", (2021, 3, 12), "full", "пятница, 12 марта 2021 г."),
        ("mr", (2021, 3, 12), "long", "१२ मार्च, २०२१"),
        ("fa", (2021, 3, 12), "long", "۱۲ مارس ۲۰۲۱"),
        ("ja", (2021, 3, 12), "full", "2021年3月12日金曜日"),
        ("en", (2021, 3, 12), "medium", "Mar 12, 2021"),
    ],
)
def test_dates(every_language, code, date, style, written):
    assert every_language[code].date(datetime.date(*date), style) == written


def test_languages_without_dates_of_their_own(every_language):
    without = {code for code, language in every_language.items() if not language.has_dates}
    assert {"rw", "ny", "ts", "tn", "st", "nso"} <= without
    assert not without & {"fr", "sw", "yo", "ig", "zu"}


@pytest.mark.parametrize(
    ("code", "number", "unit", "written"),
    [
        ("fr", 1, "length-kilometer", "1 kilomètre"),
        ("fr", 3, "length-kilometer", "3 kilomètres"),
        ("ru", 5, "duration-hour", "5 часов"),
        ("sw", 7, "length-kilometer", "kilomita 7"),
        ("ki", 3, "length-kilometer", None),
        ("ps", 3, "duration-hour", None),  # CLDR has "۳ h"
    ],
)
def test_quantities(every_language, code, number, unit, written):
    assert every_language[code].quantity(number, unit) == written


@pytest.mark.parametrize(
    ("code", "number", "unit", "direction", "written"),
    [
        ("fr", 3, "day", "future", "dans 3 jours"),
        ("de", 1, "week", "past", "vor 1 Woche"),
        ("hi", 15, "week", "past", "15 सप्ताह पहले"),
        ("yo", 3, "day", "future", None),
        ("mi", 4, "day", "future", None),  # CLDR has "+4 rā"
    ],
)
def test_relative_times(every_language, code, number, unit, direction, written):
    assert every_language[code].relative_time(number, unit, direction) == written


def test_lists(every_language):
    assert every_language["fr"].join(["a", "b", "c"]) == "a, b et c"
    assert every_language["ja"].join(["a", "b"]) == "a、b"
    assert not every_language["ug"].has_lists  # CLDR has the English "and" there
    assert not every_language["rn"].has_lists


def test_english_names(every_language):
    assert every_language["zh-Hant"].english_name == "Traditional Chinese"
    assert every_language["nso"].english_name == "Northern Sotho"


def test_plain_text():
    assert plain("3\u202fkm\u00a0\u200f") == "3 km"


def test_unknown_language():
    with pytest.raises(UnknownNameError, match="unknown language 'frr'; did you mean 'fr'"):
        language_data("frr")


def test_what_others_asked_babel_before_changes_nothing():
    localedata._cache.clear()
    for locale in ("he", "pcm", "az", "ja"):
        other = Locale.parse(locale)
        for names in (other.months, other.days):
            assert names["stand-alone"]["wide"][1]
            assert names["format"]["wide"][1]
    language_data.cache_clear()
    assert [language_data(code).months[0] for code in ("zh-Hant", "sw", "fr")] == ["1月", "Januari", "janvier"]
    assert [language_data(code).weekdays[0] for code in ("zh-Hant", "sw", "fr")] == ["星期一", "Jumatatu", "lundi"]
