"""BLEU and chrF++ of many sums of counts at once: a bootstrap asks for the value of a thousand resamples of every job.

The counts are sacrebleu's, item by item; the values are those that it computes with its defaults from one sum at a time
(Papineni et al. 2002, exponential smoothing; Popović 2017, beta 2, means over the orders that both texts have).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["bleu_values", "chrf_values"]

Floats = npt.NDArray[np.float64]

_ORDERS = 4
_BETA_SQUARED = 4.0


def bleu_values(sums_NK: Floats) -> Floats:
    """Return BLEU of each row of sums, ``[N]``, 0-100.

    Args:
        sums_NK: Lengths of answers and references, matching 1- to 4-grams, all 1- to 4-grams.
    """
    ours_N, theirs_N = sums_NK[:, 0], sums_NK[:, 1]
    right_NO, all_NO = sums_NK[:, 2 : 2 + _ORDERS], sums_NK[:, 2 + _ORDERS :]
    defined_N = (all_NO > 0).all(axis=1) & (right_NO > 0).any(axis=1)
    ours_N, theirs_N, right_NO, all_NO = (part[defined_N] for part in (ours_N, theirs_N, right_NO, all_NO))
    # The first order without a match counts half a match, the next a quarter, and so on.
    missed_NO = right_NO == 0
    precisions_NO = np.where(missed_NO, 0.5 ** np.cumsum(missed_NO, axis=1), right_NO) / all_NO
    short_N = ours_N < theirs_N
    ratios_N = np.divide(theirs_N, ours_N, out=np.full_like(ours_N, np.inf), where=ours_N > 0)
    brevity_N = np.where(short_N, 1 - ratios_N, 0.0)
    values_N = np.zeros(len(sums_NK))
    values_N[defined_N] = 100 * np.exp(brevity_N + np.log(precisions_NO).mean(axis=1))
    return values_N


def chrf_values(sums_NK: Floats) -> Floats:
    """Return chrF++ of each row of sums, ``[N]``, 0-100.

    Args:
        sums_NK: For each order the n-grams of answers, those of references, and those that match.
    """
    ours_NO, theirs_NO, right_NO = np.moveaxis(sums_NK.reshape(len(sums_NK), -1, 3), 2, 0)
    counted_NO = (ours_NO > 0) & (theirs_NO > 0)
    orders_N = np.maximum(1, counted_NO.sum(axis=1))
    precision_N, recall_N = (
        np.divide(right_NO, of_NO, out=np.zeros_like(right_NO), where=counted_NO).sum(axis=1) / orders_N
        for of_NO in (ours_NO, theirs_NO)
    )
    weight_N = _BETA_SQUARED * precision_N + recall_N
    product_N = (1 + _BETA_SQUARED) * precision_N * recall_N
    values_N: Floats = 100 * np.divide(product_N, weight_N, out=np.zeros_like(weight_N), where=weight_N > 0)
    return values_N
