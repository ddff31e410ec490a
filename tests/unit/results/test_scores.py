"""Scores on disk: what one version writes, this one reads; a damaged line is named."""

import pytest

from xmtf.errors import DataError
from xmtf.files import read_jsonl, write_jsonl
from xmtf.records import PROVENANCE_COLUMNS, Metric, Provenance, Score
from xmtf.results.scores import read_scores, write_scores

ASKED = Provenance("fr", "en", "none", "xnli/fr", "nli", "facebook/xnli", "fr", "validation", "guess")
SCORE = Score(
    "m", "f", "suite", "rows", "rank", "bloomz", ASKED, "h", (Metric("accuracy", 0.5, 0.4, 0.6, 1 / 3, 10),),
    {"cut": 2}, {"torch": "2"}, "abc", {"weights": "w"},
)  # fmt: skip


@pytest.fixture
def path(tmp_path):
    write_scores(tmp_path / "scores.jsonl", [SCORE, SCORE])
    return tmp_path / "scores.jsonl"


def test_scores_read_back(path):
    assert read_scores(path) == [SCORE, SCORE]


def test_columns_of_a_provenance_are_fields_of_a_line(path):
    line = next(read_jsonl(path))
    assert [line[name] for name in PROVENANCE_COLUMNS] == [getattr(ASKED, name) for name in PROVENANCE_COLUMNS]
    assert "provenance" not in line


def test_lines_of_the_first_version_are_read(path):
    lines = [
        {key: value for key, value in line.items() if key not in ("hashes", "revision")} for line in read_jsonl(path)
    ]
    write_jsonl(path, lines)
    (first, _) = read_scores(path)
    assert (first.hashes, first.revision, first.provenance) == ({}, None, ASKED)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"split": None}, "split is None: input should be a valid string"),
        ({"translation": "by hand"}, "translation is 'by hand': input should be 'none', 'human' or 'machine'"),
        ({"metrics": [{"name": "accuracy"}]}, "it lacks metrics.0.value, metrics.0.low"),
        ({"metrics": [{"name": "accuracy", "value": "0.5", "low": None, "high": None, "chance": None, "num_items": 1}]},
         "metrics.0.value is '0.5': input should be a valid number"),
        ({"colour": "red"}, "has no field 'colour'; it may have been written by a newer xmtf"),
    ],
)  # fmt: skip
def test_damage_names_line_and_field(path, change, told):
    first, second = read_jsonl(path)
    write_jsonl(path, [first, second | change])
    with pytest.raises(DataError, match=r"scores\.jsonl, line 2: ") as raised:
        read_scores(path)
    assert told in str(raised.value)


def test_missing_fields_are_all_named(path):
    write_jsonl(path, [{"suite": "rows", "provenance": "mine"}])
    with pytest.raises(DataError, match=r"line 1: a score of an evaluation has no field|it lacks model, "):
        read_scores(path)
    write_jsonl(path, ["text"])
    with pytest.raises(DataError, match="line 1: not a score of an evaluation"):
        read_scores(path)
