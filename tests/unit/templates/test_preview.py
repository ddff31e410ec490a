"""A rendered row as a person reads it; the example of the docstring is the first test."""

from xmtf.records import Origin
from xmtf.templates.preview import Preview, side_by_side

ORIGIN = Origin("d", "", "s", 0)


def test_sides():
    preview = Preview("t", "en", ORIGIN, "Is it?", ("yes",), ("yes", "no"), None)
    assert side_by_side(preview, 30) == "\n".join(
        [
            "--- t (en), d [s] row 0",
            "Is it?           | yes",
            "                 |",
            "                 | choices:",
            "                 | * yes",
            "                 |   no",
        ]
    )


def test_wide_characters_and_long_words_stay_in_their_column():
    preview = Preview("t", "en", ORIGIN, "中" * 20 + " abc " + "b" * 50, ("y",), None, None)
    lines = side_by_side(preview, 43).splitlines()[1:]
    assert lines == ["中" * 12 + "  | y", "中" * 8 + " abc      |", *["b" * 25 + " |"] * 2]


def test_what_makes_no_example_says_why():
    shown = side_by_side(Preview("t", "en", ORIGIN, None, (), None, "null target: 'a' is null"), 80)
    assert shown == "--- t (en), d [s] row 0\n(no example: null target: 'a' is null)"
