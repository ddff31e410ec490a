import pytest

from xmtf.text.table import aligned, terminal_width, visible

ROWS = [["suite", "language", "items"], ["held-out rows", "français", "1,200"], ["中文", "zh", ""]]


def test_columns_are_aligned_by_the_cells_that_they_take():
    assert aligned(ROWS, numbers=[2], width=80) == [
        "suite          language  items",
        "held-out rows  français  1,200",
        "中文           zh",
    ]


def test_a_table_too_wide_is_folded_between_columns():
    assert aligned(ROWS, numbers=[2], width=23) == [
        "suite          language",
        "    items",
        "held-out rows  français",
        "    1,200",
        "中文           zh",
    ]


def test_a_column_wider_than_the_terminal_stays_whole():
    assert aligned([["a", "b", "c"], ["x" * 30, "1", "2"]], width=10)[2:] == ["x" * 30, "    1  2"]


@pytest.mark.parametrize(("columns", "width"), [("80", 80), (None, 0)])
def test_a_pipe_has_no_end(monkeypatch, columns, width):
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    assert terminal_width() == width  # stdout of a test is no terminal


def test_control_characters_are_shown_and_not_sent():
    assert aligned([["a\x1b[31m", "b"], ["c\r", "\u200dd\u200f"]], width=0) == [
        "a\\x1b[31m  b",
        "c\\x0d      \u200dd\u200f",
    ]
    assert visible("line\n\tnext\x9b") == "line\n\tnext\\x9b"
