"""What is measured of single items, as counts that add up.

================================  ==========================================  =========================
measure                           counts of an item                           value of summed counts
================================  ==========================================  =========================
accuracy, exact match, F1, ROUGE  value, 1                                    mean
``ifeval_instruction_*``          followed, all instructions                  mean over instructions
``calibrated_accuracy``           value, 1; none where choices differ by row  mean
``in_language``                   value, 1; none where it cannot be told      mean
``bleu``                          lengths, matching and all 1- to 4-grams     sacrebleu's BLEU
``chrf``                          for each order: n-grams, theirs, matching   sacrebleu's chrF++
================================  ==========================================  =========================
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xmtf.records import CALIBRATED, IN_LANGUAGE
from xmtf.results.corpus_values import bleu_values, chrf_values
from xmtf.results.items import About, JobInfo
from xmtf.results.resampling import JobCounts, row_set

__all__ = ["CORPUS", "MEASURE_COLUMNS", "job_counts", "measure_names", "value_of"]

_CORPUS_VALUES = {"bleu": bleu_values, "chrf": chrf_values}
CORPUS = tuple(_CORPUS_VALUES)
"""Metrics whose value is no mean over items."""
MEASURE_COLUMNS = ("row", "correct", "measures", IN_LANGUAGE)
"""Columns of items that counts are read from."""
_JUDGED = ("exact_match", "exact_match_original", "exact_text", "ifeval_prompt_strict", "letter_match", "numeric_match")


def measure_names(job: JobInfo) -> tuple[str, ...]:
    """Return what the column ``measures`` holds of a job, in order."""
    return ("accuracy", CALIBRATED) if job.kind == "rank" else job.metrics


def job_counts(about: About, items: pa.Table) -> Mapping[str, JobCounts]:
    """Return the counts of every measure of a job; measures that its items do not hold are left out.

    Args:
        about: What the items are.
        items: Columns ``MEASURE_COLUMNS``; of files of earlier versions ``measures`` is null.
    """
    job = about.job
    name = row_set(job.parallel, job.provenance.task, job.provenance.split)
    measured = items.filter(pc.is_valid(items["measures"]))
    if not measured.num_rows:
        return _judged(job, name, items)
    found = _yes_or_no(IN_LANGUAGE, IN_LANGUAGE, name, items)
    rows = measured["row"].to_numpy()
    for place, measure in enumerate(measure_names(job)):
        lists = pc.list_element(measured["measures"], place)
        flat = pc.list_flatten(lists).to_numpy()
        if len(flat):
            found[measure] = JobCounts(name, rows, flat.reshape(len(rows), -1))
    return found


def _judged(job: JobInfo, name: str, items: pa.Table) -> dict[str, JobCounts]:
    """Return the counts of the one measure that ``correct`` tells of, for items without measures."""
    told = "accuracy" if job.kind == "rank" else next((each for each in job.metrics if each in _JUDGED), None)
    return {} if told is None else _yes_or_no("correct", told, name, items)


def _yes_or_no(column: str, measure: str, name: str, items: pa.Table) -> dict[str, JobCounts]:
    """Return the counts of a column of yes and no; nothing where it is null throughout."""
    judged = items.filter(pc.is_valid(items[column]))
    if not judged.num_rows:
        return {}
    right = judged[column].to_numpy().astype(np.float64)
    return {measure: JobCounts(name, judged["row"].to_numpy(), np.stack([right, np.ones_like(right)], axis=1))}


def value_of(measure: str, sums_NK: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the value of each row of summed counts, ``[N]``: 0-1, BLEU and chrF 0-100."""
    if measure in _CORPUS_VALUES:
        return _CORPUS_VALUES[measure](sums_NK)
    sums, items = sums_NK[:, 0], sums_NK[:, 1]
    return np.divide(sums, items, out=np.zeros_like(sums), where=items > 0)
