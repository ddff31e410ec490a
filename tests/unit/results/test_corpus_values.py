import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU, CHRF

from xmtf.results.corpus_values import bleu_values, chrf_values

COUNTS = st.integers(0, 40)


@st.composite
def orders(draw, number):
    """Return ours, theirs and matching n-grams of so many orders; matches never pass either."""
    pairs = [(draw(COUNTS), draw(COUNTS)) for _ in range(number)]
    return [(ours, theirs, draw(st.integers(0, min(ours, theirs)))) for ours, theirs in pairs]


@given(st.lists(orders(8), min_size=1, max_size=5))
@example([[(0, 0, 0)] * 8, [(3, 0, 0)] * 8, [(0, 4, 0)] * 8, [(5, 5, 5)] * 8, [(5, 5, 0)] * 8])
def test_chrf_is_sacrebleus(rows):
    sums = [[count for order in row for count in order] for row in rows]
    expected = [CHRF(word_order=2)._compute_score_from_stats(each).score for each in sums]
    assert chrf_values(np.array(sums, float)) == pytest.approx(expected, abs=1e-9)


@given(st.lists(st.tuples(COUNTS, COUNTS, orders(4)), min_size=1, max_size=5))
@example([(0, 5, [(0, 0, 0)] * 4), (4, 4, [(4, 4, 4), (3, 3, 0), (2, 2, 0), (1, 1, 0)]), (9, 4, [(9, 9, 9)] * 4)])
def test_bleu_is_sacrebleus(rows):
    sums = [[ours, theirs, *(m for _, _, m in row), *(o for o, _, _ in row)] for ours, theirs, row in rows]
    expected = [BLEU()._compute_score_from_stats([*each]).score for each in sums]
    assert bleu_values(np.array(sums, float)) == pytest.approx(expected, abs=1e-9)
