"""Split files and weights."""

from pathlib import Path

import pytest

from xmtf.errors import ConfigError
from xmtf.languages.codes import language_set
from xmtf.tokens.rows.splits import (
    SplitGroup,
    SplitItem,
    published_weights,
    read_split_file,
    size_weights,
    split_bounds,
    write_split_file,
)


def test_bounds_round_to_nearest() -> None:
    assert (split_bounds(1000, 0.05), split_bounds(3, 0.05), split_bounds(0, 0.5)) == ((950, 1000), (3, 3), (0, 0))
    assert SplitItem(1.0, 0.95, 1.0, "a").bounds(1000) == (950, 1000)


def test_the_line_of_the_original(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_text('"train: 0.39 0:0.950 data/xp3_en, 0.06 0:0.950 data/xp3_code" "more: 1 0.95:1.0 x"\n')
    assert read_split_file(path) == (
        SplitGroup("train", (SplitItem(0.39, 0.0, 0.95, "data/xp3_en"), SplitItem(0.06, 0.0, 0.95, "data/xp3_code"))),
        SplitGroup("more", (SplitItem(1.0, 0.95, 1.0, "x"),)),
    )


def test_round_trip(tmp_path: Path) -> None:
    groups = tuple(
        SplitGroup(
            name, tuple(SplitItem(weight, *bounds, f"xp3_{code}") for code, weight in published_weights().items())
        )
        for name, bounds in (("train", (0.0, 0.95)), ("validation", (0.95, 1.0)))
    )
    write_split_file(tmp_path / "splits.txt", groups)
    assert read_split_file(tmp_path / "splits.txt") == groups


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("train: 1 0:1 a\n", "is one line that begins with"),
        ('"train: 1 0:1 a"', "is one line"),
        ('"train 1 0 a"\n', "does not begin with `NAME:`"),
        ('"train: 1 0:1"\n', "is not `WEIGHT START:END PATH`"),
        ('"train: x 0:1 a"\n', "not a number"),
        ('"train: 1 0.5:0.5 a"\n', "0 <= START < END <= 1"),
        ('"train: 0 0:1 a"\n', "a weight above 0"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "bad.txt").write_text(text)
    with pytest.raises(ConfigError, match=says):
        read_split_file(tmp_path / "bad.txt")


def test_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'a b' is not allowed"):
        write_split_file(tmp_path / "x", [SplitGroup("train", (SplitItem(1, 0, 1, "a b"),))])


def test_weights_from_sizes() -> None:
    assert size_weights({"en": 6, "code": 2}, {"code": 2.0}) == {"en": 0.75, "code": 0.5}


def test_published_weights_are_size_shares_with_code_upsampled() -> None:
    weights = published_weights()
    assert set(weights) == set(language_set("xp3"))
    assert sum(weights.values()) == pytest.approx(1.0136844, abs=1e-6)
    assert weights["en"] == pytest.approx(0.39246, abs=1e-5)
