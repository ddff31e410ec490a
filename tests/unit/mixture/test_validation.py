"""Rows are kept for validation whole: under all prompts, and in all languages of a parallel set."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xmtf.mixture.validation import held_out_rows, validation_limits


@pytest.fixture
def mixture(tmp_path):
    def write(**languages):
        """Write a mixture of the given (dataset, subset, split, row) under so many prompts each."""
        for code, (rows, prompts) in languages.items():
            table = pa.Table.from_pylist(
                [
                    {"dataset": dataset, "subset": subset, "split": split, "row": row, "template": f"t{prompt}"}
                    for prompt in range(prompts)
                    for dataset, subset, split, row in rows
                ]
            )
            path = tmp_path / f"language={code}" / "part-00000.parquet"
            path.parent.mkdir()
            pq.write_table(table, path)
        return tmp_path

    return write


def rows(subset, count):
    return [("xnli", subset, "train", row) for row in range(count)]


def kept(folder, code, limits):
    table = pq.read_table(folder / f"language={code}" / "part-00000.parquet")
    held_out = table.filter(held_out_rows(table, limits[code]))
    trained = table.filter(~held_out_rows(table, limits[code]))
    return set(held_out["row"].to_pylist()), set(trained["row"].to_pylist()), held_out.num_rows


@pytest.mark.parametrize(
    ("count", "prompts", "fraction"), [(200, 1, 0.05), (100, 9, 0.1), (7, 3, 0.3), (1000, 2, 0.013)]
)
def test_a_row_is_trained_on_or_validated_on_never_both(mixture, count, prompts, fraction):
    folder = mixture(fr=(rows("fr", count), prompts))
    held_out, trained, examples = kept(folder, "fr", validation_limits(folder, fraction))
    assert not held_out & trained
    assert len(held_out) + len(trained) == count
    assert abs(examples - fraction * count * prompts) <= prompts / 2


def test_translations_of_a_row_are_kept_together(mixture):
    folder = mixture(fr=(rows("fr", 300), 2), sw=(rows("sw", 300), 2))
    limits = validation_limits(folder, 0.1)
    assert kept(folder, "fr", limits) == kept(folder, "sw", limits)
    assert kept(folder, "fr", limits)[2] == 60


def test_other_splits_and_datasets_are_other_rows(mixture):
    folder = mixture(
        fr=([("a", "", "train", n) for n in range(500)], 1), en=([("b", "", "train", n) for n in range(500)], 1)
    )
    limits = validation_limits(folder, 0.2)
    assert kept(folder, "fr", limits)[0] != kept(folder, "en", limits)[0]


def test_a_language_of_one_row_is_trained_on(mixture):
    folder = mixture(fr=(rows("fr", 1), 5), sw=(rows("sw", 2), 10))
    limits = validation_limits(folder, 0.05)
    assert limits == {"fr": None, "sw": None}
    assert validation_limits(folder, 0) == {"fr": None, "sw": None}
    assert validation_limits(folder, 0.9)["fr"] is None


def test_many_examples_are_cut_by_the_drawn_numbers_alone(mixture, monkeypatch):
    monkeypatch.setattr("xmtf.mixture.validation._EXACT_EXAMPLES", 100)
    folder = mixture(fr=(rows("fr", 4000), 1))
    assert np.isclose(kept(folder, "fr", validation_limits(folder, 0.25))[2], 1000, atol=120)
