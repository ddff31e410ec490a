"""Figure 4's intervals: from the rows of each language, in 0-100, with a width at both ends."""

import pytest

from xmtf.intervals import wilson
from xmtf.report.published.task_means import PANELS, task_mean
from xmtf.report.result_table import Measure, Result, ResultTable

XNLI = next(panel for panel in PANELS if panel.datasets == ("xnli",))


def table(*values, items=100):
    return ResultTable(
        Result("m", Measure("NLI", "xnli", subset, "validation", "EN", "accuracy"), "ask", "prompt", value, items)
        for subset, value in zip(("fr", "ar"), values, strict=True)
    )


@pytest.mark.parametrize("value", [0.0, 100.0])
def test_all_wrong_and_all_right_still_have_a_width(value):
    found = task_mean(table(value, value), "m", XNLI)
    assert (found.low, found.high) == pytest.approx([100 * end for end in wilson(value / 100, 100)])
    assert 0 <= found.low < found.high <= 100


def test_translations_of_the_same_rows_are_taken_to_err_alike():
    found = task_mean(table(40.0, 60.0), "m", XNLI)
    ends = [wilson(0.4, 100), wilson(0.6, 100)]
    assert found.value == 50.0
    assert found.low == pytest.approx(50 * sum(low for low, _ in ends))
    assert found.high == pytest.approx(50 * sum(high for _, high in ends))


def test_a_number_of_items_that_is_not_known_gives_no_interval():
    assert task_mean(table(40.0, 60.0, items=None), "m", XNLI).low is None
