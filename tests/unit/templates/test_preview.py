"""A rendered row as a person reads it; the example of the docstring is the first test."""

from xmtf.records import Origin
from xmtf.templates import Template
from xmtf.templates.preview import Preview, render_preview, side_by_side

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
    preview = render_preview(Template("t", "{{x}} ||| y"), {"x": "中" * 20 + " abc " + "b" * 50}, ORIGIN)
    lines = side_by_side(preview, 43).splitlines()[1:]
    assert lines == ["中" * 12 + "  | y", "中" * 8 + " abc      |", *["b" * 25 + " |"] * 2]


def test_what_cannot_be_rendered_says_why():
    assert "does not apply" in side_by_side(render_preview(Template("t", " "), {}, ORIGIN), 80)
    assert "NoTargetError" in side_by_side(render_preview(Template("t", "x"), {}, ORIGIN), 80)
