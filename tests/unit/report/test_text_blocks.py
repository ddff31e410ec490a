import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmtf.report.figures.drawing import fonts
from xmtf.report.figures.drawing.fonts import MissingFontError, font_families, is_right_to_left, printable
from xmtf.report.figures.drawing.text_blocks import Block, new_page, text_width


@pytest.fixture
def only_dejavu(monkeypatch):
    """As on a machine without further fonts: what matplotlib brings itself."""
    monkeypatch.setattr(fonts, "_installed", lambda: frozenset({"DejaVu Sans", "DejaVu Sans Mono"}))


def test_the_missing_font_is_named(only_dejavu):
    with pytest.raises(MissingFontError, match=r"no installed font has Telugu .* Noto Sans Telugu.*fonts-noto-core"):
        font_families("neural: న్యూరల్")
    with pytest.raises(MissingFontError, match=r"no installed font has CJK .* Noto Sans CJK.*fonts-noto-cjk"):
        font_families("水")
    for mark, script in (("।", "Devanagari"), ("።", "Ethiopic"), ("។", "Khmer")):
        with pytest.raises(MissingFontError, match=f"no installed font has {script}"):
            font_families(mark)


def test_what_the_first_font_has_needs_no_other(only_dejavu):
    assert font_families("Grüße, Привет, Γειά, مرحبا 123 €") == ["DejaVu Sans"]


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("हिन्दी", "Noto Sans Devanagari"),
        ("తెలుగు", "Noto Sans Telugu"),
        ("你好", "Noto Sans CJK SC"),
        ("みず", "Noto Sans CJK JP"),
    ],
)
def test_each_script_gets_its_font(text, family):
    if family not in fonts._installed():
        pytest.skip(f"{family} is not installed")
    assert font_families(f"a {text}") == ["DejaVu Sans", family]


def test_arabic_is_joined_as_it_is_shaped():
    """Letters that join are narrower than the same letters apart."""
    apart = sum(text_width(letter, ("DejaVu Sans",), 20.0) for letter in "سلام")
    assert text_width("سلام", ("DejaVu Sans",), 20.0) < 0.9 * apart


def test_direction_comes_from_the_first_letter():
    assert is_right_to_left("(12) مرحبا hello")
    assert not is_right_to_left("hello مرحبا")
    assert not is_right_to_left("123 ...")


def test_what_is_drawn_as_nothing_is_taken_out():
    assert printable("a\u200bb\x07c\td\r\ne\ufeff") == "abc    d\ne"


def test_an_emoji_without_a_font_is_a_number():
    assert printable("ok \U0001fae0") in ("ok [U+1FAE0]", "ok \U0001fae0")
    assert printable("\U0001ffff!") == "!"  # no character at all


def test_long_names_break_after_a_hyphen(tmp_path):
    block = Block.of("SmolLM2-135M-Instruct after 30 steps", 1.25, 8)
    assert block.lines[0] == "SmolLM2-135M-"


words = st.text(st.sampled_from("abc déñ.,$\\{}"), min_size=0, max_size=200)


@settings(max_examples=40, deadline=None)
@given(words, st.sampled_from([0.5, 1.0, 3.0]))
def test_lines_fit_and_lose_nothing(text, width):
    block = Block.of(text, width, most_lines=1000)
    assert all(text_width(line, block.families, block.size) <= width for line in block.lines)
    assert re.sub(r"\s", "", "".join(block.lines)) == re.sub(r"\s", "", text)


def test_a_mark_stays_on_its_letter():
    (family,) = font_families("e\u0301")
    width = text_width("ee", (family,), 8.5)
    lines = Block.of("e\u0301" * 9, width).lines
    assert all(line.startswith("e") and len(line) % 2 == 0 for line in lines)


def test_code_keeps_its_indentation_where_a_line_is_broken():
    block = Block.of("if x:\n    return one and two and three and four", 1.3, 7.5, font="DejaVu Sans Mono")
    assert block.lines[0] == "if x:"
    assert len(block.lines) > 2
    assert all(line.startswith("    ") and line[4] != " " for line in block.lines[1:])


def test_too_long_a_text_says_how_much_is_left():
    block = Block.of("\n".join("abcdefghij" for _ in range(10)), 3, most_lines=4)
    assert block.lines == ("abcdefghij", "abcdefghij", "abcdefghij", "[70 more characters]")


def test_a_line_with_a_non_joiner_is_drawn_as_a_shape_in_its_place():
    """matplotlib's PDF writer misplaces what follows one."""
    _, axes = new_page(4, 1)
    block = Block.of("a\u200cb $x$", 3, 20)
    block.draw(axes, 0.5, 0.2)
    (shape,) = axes.patches
    box = shape.get_path().get_extents()
    assert not axes.texts
    assert (box.x0, box.y1) == pytest.approx((0.5, 0.2 + 0.78 * block.line_height), abs=0.08)
    assert box.width == pytest.approx(text_width("ab $x$", ("DejaVu Sans",), 20), abs=0.05)


def test_of_an_endless_text_only_what_can_be_shown_is_measured():
    block = Block.of("x" * 1_000_000, 3, most_lines=3)
    assert len(block.lines) == 3
    shown = sum(len(line) for line in block.lines[:2])
    assert block.lines[2] == f"[{1_000_000 - shown:,} more characters]"
