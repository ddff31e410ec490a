import pytest

from xmtf.errors import ConfigError
from xmtf.mixture import build_mixture
from xmtf.mixture.describe.compare import compare_counts


def test_differences_are_explained_by_reason(recipe, tmp_path):
    build_mixture(recipe(), tmp_path / "mixture")
    published = tmp_path / "counts.tsv"
    published.write_text(
        "language\tsplit\texamples\nfra_Latn\ttrain\t118\ndeu\ttrain\t1,000\nfi\ttrain\t5\nfr\ttest\t0\n"
    )
    assert compare_counts(tmp_path / "mixture", published) == [
        {"language": "fr", "split": "train", "published": 118, "ours": 118, "difference": 0, "why": ""},
        {
            "language": "de", "split": "train", "published": 1000, "ours": 112, "difference": -888,
            "why": "dropped: 6 stands in an evaluation suite, 2 duplicate",
        },
        {
            "language": "fi", "split": "train", "published": 5, "ours": 0, "difference": -5,
            "why": "the recipe selects nothing of it",
        },
        {
            "language": "fr", "split": "test", "published": 0, "ours": 0, "difference": 0,
            "why": "the recipe selects nothing of it",
        },
    ]  # fmt: skip


def test_more_than_published(recipe, tmp_path):
    build_mixture(recipe(), tmp_path / "mixture")
    (tmp_path / "counts.csv").write_text("cluster,examples\narithmetic,7\n")
    [record] = compare_counts(tmp_path / "mixture", tmp_path / "counts.csv")
    assert record["difference"] == 223
    assert record["why"].startswith("more rows or more templates than published (dropped: 6 stands")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("country,examples\nx,1\n", r"header needs `examples` and at least one of language"),
        ("language,examples\nfr,many\n", r"line 2: 'many' is not a number"),
    ],
)
def test_a_wrong_table_is_explained(tmp_path, text, message):
    (tmp_path / "counts.csv").write_text(text)
    with pytest.raises(ConfigError, match=message):
        compare_counts(tmp_path, tmp_path / "counts.csv")
    with pytest.raises(ConfigError, match="cannot be read"):
        compare_counts(tmp_path, tmp_path / "missing.csv")
