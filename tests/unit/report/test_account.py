"""The written account of runs: which changes count after the correction, and that what did not rise is said."""

import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from xmtf.errors import SourceError
from xmtf.report.account import corrected, findings, write_account
from xmtf.report.collect import collect_run


def test_the_correction_is_that_of_r():
    assert corrected([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # p.adjust(..., "holm")


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_the_correction_lies_between_nothing_and_bonferronis_and_keeps_the_order(p_values):
    found = corrected(p_values)
    assert all(p <= one <= min(1.0, len(p_values) * p) + 1e-12 for p, one in zip(p_values, found, strict=True))
    ordered = [one for _, one in sorted(zip(p_values, found, strict=True))]
    assert ordered == sorted(ordered)


def test_every_number_of_the_page_is_the_runs(run_folder, tmp_path):
    files = write_account([run_folder], tmp_path / "pages" / "tiny.md", ["Machine: a loom"])
    assert [path.name for path in files] == ["tiny.md", "tiny-suites.svg", "tiny-loss.svg"]
    text = files[0].read_text(encoding="utf-8")
    assert "](tiny/tiny-suites.svg)" in text
    assert "- Machine: a loom" in text
    assert "| 25.0 [0.0, 75.0] | 75.0 [25.0, 100.0] | +50.0 [+0.0, +100.0] |" in text
    assert "0 of 1 measurements rose" in text
    assert "- **text** (chrf): not compared, as its single items are not in the results" in text
    assert "**rows** (held out: rows): no measurable change. 25.0 % to 75.0 %, +50.0" in text


def test_prompts_of_a_row_are_one_unit(run_folder):
    (found,) = findings(collect_run(run_folder))
    # two of four rows changed, each under both of its prompts: as two tosses of a coin, not as four
    assert found.p_value == pytest.approx(binomtest(2, 2).pvalue, abs=0.02)
    assert np.isfinite(found.detectable)
    assert found.outcome == "no measurable change"


def test_seeds_stand_beside_each_other(run_folder, tmp_path):
    text = write_account([run_folder, run_folder], tmp_path / "two.md")[0].read_text(encoding="utf-8")
    assert "| suite | metric | seed 42 | seed 42 |" in text
    assert "another recipe" not in text


def test_a_run_of_another_recipe_is_no_mere_seed(run_folder, tmp_path):
    other = shutil.copytree(run_folder, tmp_path / "other")
    recipe = other / "recipe.yaml"
    written = recipe.read_text(encoding="utf-8")
    recipe.write_text(
        written.replace("seed: 42", "seed: 7").replace("learning_rate: ", "learning_rate: 1"), encoding="utf-8"
    )
    assert written.count("learning_rate: ") == 1
    text = write_account([run_folder, other], tmp_path / "two.md")[0].read_text(encoding="utf-8")
    assert f"{other} has another recipe than {run_folder}: training.optimizer.learning_rate." in text


def test_a_run_that_is_not_finished_is_refused(run_folder, tmp_path):
    shutil.rmtree(run_folder / "results" / "after")
    with pytest.raises(SourceError, match="needs results before and after training, and before is there"):
        write_account([run_folder], tmp_path / "x.md")
    assert not (tmp_path / "x.md").exists()
