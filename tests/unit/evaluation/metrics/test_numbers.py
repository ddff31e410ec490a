"""Numbers as their language writes them: what CLDR writes in 41 locales, and what people write besides."""

from decimal import Decimal
from fractions import Fraction

import pytest
from babel import Locale
from babel.numbers import format_decimal

from xmtf.evaluation.metrics.answers import numeric_match
from xmtf.evaluation.metrics.numbers import last_number, plain_numerals, read_numbers
from xmtf.evaluation.metrics.registry import generation_metrics

LOCALES = [
    "en",
    "de",
    "fr",
    "es",
    "pt",
    "it",
    "nl",
    "sv",
    "da",
    "nb",
    "fi",
    "et",
    "lv",
    "lt",
    "pl",
    "cs",
    "ru",
    "uk",
    "bg",
    "el",
    "tr",
    "he",
    "ar",
    "fa",
    "ur",
    "hi",
    "bn",
    "ta",
    "te",
    "mr",
    "gu",
    "my",
    "th",
    "km",
    "vi",
    "id",
    "sw",
    "ja",
    "ko",
    "zh",
    "eu",
]
VALUES = [
    "7",
    "42",
    "1000",
    "1234",
    "12345",
    "70000",
    "123456",
    "1234567",
    "12345678",
    "0.25",
    "0.125",
    "3.5",
    "1.234",
    "12.345",
    "100.001",
    "1234.5",
    "-0.5",
    "-5",
    "-3.5",
    "-1234",
    "-70000",
    "-1234567.89",
]
ZEROS = {
    "arab": 0x660,
    "arabext": 0x6F0,
    "deva": 0x966,
    "beng": 0x9E6,
    "gujr": 0xAE6,
    "tamldec": 0xBE6,
    "telu": 0xC66,
    "thai": 0xE50,
    "mymr": 0x1040,
    "khmr": 0x17E0,
}


def native_digits(system):
    return "〇一二三四五六七八九" if system == "hanidec" else "".join(chr(ZEROS[system] + i) for i in range(10))


def written(locale):
    """Yield (number, text): grouped and not, in Latin digits and in the language's own."""
    systems = {"latn", locale.default_numbering_system, locale.other_numbering_systems.get("native", "latn")}
    for value in VALUES:
        for system in sorted(systems):
            for grouped in (True, False):
                text = format_decimal(
                    Decimal(value),
                    locale=locale,
                    group_separator=grouped,
                    decimal_quantization=False,
                    numbering_system=system if system in locale.number_symbols else "latn",
                )
                digits = "0123456789" if system == "latn" else native_digits(system)
                yield Fraction(value), text.translate(str.maketrans("0123456789", digits))


@pytest.mark.parametrize("language", LOCALES)
def test_every_number_that_cldr_writes_is_read(language):
    wrong = [
        (number, text, last_number(text, language))
        for number, text in written(Locale.parse(language))
        if last_number(text, language) != number
    ]
    assert wrong == []


ODD = [
    ("de", "70.000", 70000),
    ("es", "Son 1.000.000 euros.", 1000000),
    ("vi", "3,5", Fraction(7, 2)),
    ("ru", "0,25", Fraction(1, 4)),
    ("ru", "70 000", 70000),
    ("en", "70.000", 70),
    ("en", "3,5", Fraction(7, 2)),
    ("de", "3.5", Fraction(7, 2)),
    ("de", "0.250", Fraction(1, 4)),
    ("fr", "12 500", 12500),
    ("fr", "12\u00a0500", 12500),
    ("fr", "12\u202f500,5", Fraction(25001, 2)),
    ("fr", "12\u2009500", 12500),
    ("pt", "1.234,50", Fraction(2469, 2)),
    ("en", "1.234,50", Fraction(2469, 2)),
    ("de", "1,234.50", Fraction(2469, 2)),
    ("de", "1’250", 1250),
    ("en", "1'250.5", Fraction(2501, 2)),
    ("hi", "12,34,567", 1234567),
    ("ja", "7万", 70000),
    ("ja", "１２，３４５", 12345),
    ("zh", "３．５", Fraction(7, 2)),
    ("ja", "2億5000万円", 250000000),
    ("zh", "1.5亿", 150000000),
    ("zh", "1万5000", 15000),
    ("ko", "7만명", 70000),
    ("zh", "一二三四", 1234),
    ("zh", "七", 7),
    ("zh", "7是唯一的答案", 7),
    ("hi", "5 लाख", 500000),
    ("te", "5 లక్షల", 500000),
    ("ur", "۵ لاکھ", 500000),
    ("en", "3 crore", 30000000),
    ("en", "2 lakh 50 thousand", 250000),
    ("th", "5 ล้านคน", 5000000),
    ("sw", "elfu 70", 70000),
    ("de", "1,5 Millionen", 1500000),
    ("es", "3 mil millones", 3000000000),
    ("ar", "٧٠٬٠٠٠", 70000),
    ("ar", "١٢٣٫٥", Fraction(247, 2)),
    ("fa", "\u200e\u2212۵", -5),
    ("en", "−5", -5),
    ("en", "–5", -5),
    ("ja", "－５", -5),
    ("en", "-$5", -5),
    ("en", "5-10", 10),
    ("en", "50 %", 50),
    ("tr", "%50", 50),
    ("en", "1/2", Fraction(1, 2)),
    ("en", "½", Fraction(1, 2)),
    ("en", "2½", Fraction(5, 2)),
    ("en", "-2 1/2", Fraction(-5, 2)),
    ("en", r"\frac{1}{2}", Fraction(1, 2)),
    ("en", r"\boxed{1{,}234}", 1234),
    ("en", "12/05/2024", 2024),
    ("en", "12.05.2024", 2024),
    ("en", "3,5,7", 7),
    ("en", "1e3", 1000),
    ("en", "1.5 × 10³", 1500),
    ("en", "2 x 105", 105),
    ("en", ".5", Fraction(1, 2)),
    ("en", "20 km2", 20),
    ("en", "1_000_000", 1000000),
    ("en", "12, 13,", 13),
    ("en", "so #### 42.", 42),
    ("en", "1/0", 0),
    ("en", "no number", None),
    ("xx", "1,000.5", Fraction(2001, 2)),
]


@pytest.mark.parametrize(("language", "text", "number"), ODD)
def test_odd_spellings(language, text, number):
    assert last_number(text, language) == number


def test_a_match_never_drops_a_decimal_mark():
    for language in ("en", "de", "ru", "ja", "sw"):
        assert numeric_match("3,5", ["35"], language) == 0.0
        assert numeric_match("0,25", ["25"], language) == 0.0
    assert numeric_match("50 %", ["50"], "de") == numeric_match("1/2", ["0,5"], "de") == 1.0
    assert numeric_match("no idea", ["7"]) == 0.0


def test_numbers_stand_in_order():
    assert read_numbers("3 + 4 = 7.0", "en") == [3, 4, 7]
    assert read_numbers("2024 70 000", "fr") == [2024, 70000]


def test_an_answer_that_the_budget_cut_is_not_scored_by_its_last_number():
    texts, references = ["so 3 + 4 = 7", "so 3 + 4 = 7"], [["7"], ["7"]]
    whole, cut = (
        generation_metrics(("numeric_match", "exact_match"), texts, references, "en", cut=ends)
        for ends in ([False, False], [True, False])
    )
    assert (whole[0].value, cut[0].value) == (1.0, 0.5)
    assert whole[1] == cut[1]
    assert "v:2" in cut[0].signature


def test_numerals_keep_their_digits():
    assert plain_numerals("v 3.10 of 1,000 at 007", "en") == "v 3.10 of 1000 at 007"
    assert plain_numerals("1.000,50 / 2", "de") == "1000.50 / 2"
