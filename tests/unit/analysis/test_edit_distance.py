import pyarrow as pa
import pytest

from xmtf.analysis.edit_distance import PairColumns, edit_distances
from xmtf.errors import ConfigError, SourceError, UnknownNameError
from xmtf.sources import SourceRef, read_source

# Published means of the distance between premise and hypothesis of XNLI's validation split, by label.
PUBLISHED = {
    "th": (79.08, 82.64, 81.52),
    "tr": (76.93, 80.59, 80.24),
    "el": (90.90, 95.10, 93.93),
}


def table(**columns):
    return pa.table({"premise": ["kitten", "abc", "abc"], "hypothesis": ["sitting", "abc", "abd"]} | columns)


def test_distances_are_averaged_by_label():
    found = edit_distances(table(label=[2, 0, 0]), PairColumns(), "rows")
    assert [(record["label"], record["examples"], record["mean_distance"]) for record in found] == [
        ("entailment", 2, 0.5),
        ("contradiction", 1, 3.0),
    ]


def test_bad_columns_and_labels_are_named():
    with pytest.raises(UnknownNameError, match="'gold'"):
        edit_distances(table(label=[0, 0, 0]), PairColumns(label="gold"), "rows")
    with pytest.raises(ConfigError, match="label -1"):
        edit_distances(table(label=[0, -1, 0]), PairColumns(), "rows")


@pytest.mark.parametrize("language", PUBLISHED)
def test_the_published_distances_come_out(language):
    try:
        rows = read_source(SourceRef("facebook/xnli", language, "validation"), offline=True).table
    except SourceError:
        pytest.skip("the mirror of public datasets (XMTF_DATA_ROOT) is not there")
    found = edit_distances(rows, PairColumns(), language)
    assert [record["examples"] for record in found] == [830] * 3
    assert tuple(round(record["mean_distance"], 2) for record in found) == PUBLISHED[language]
