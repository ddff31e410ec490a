"""Which texts of a mixture a tokenizer is trained on.

Rows of a language are already in a seeded random order, so its first rows are a random choice; those for validation are
never touched.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from xmtf.mixture.io.read import mixture_files, mixture_languages
from xmtf.mixture.validation import ROW_COLUMNS, held_out_rows, validation_limits
from xmtf.tokens.rows.splits import split_bounds

__all__ = ["sample_texts", "sqrt_quotas"]

_BATCH_ROWS = 1000


def sqrt_quotas(rows: dict[str, int], total: int) -> dict[str, int]:
    """Share ``total`` examples among languages by the square root of their size, none above its size.

    What a small language cannot fill goes to the others.

    >>> sqrt_quotas({"en": 900, "fr": 100}, 400)
    {'en': 300, 'fr': 100}
    >>> sqrt_quotas({"en": 900, "yo": 4}, 400)
    {'en': 396, 'yo': 4}
    """
    quotas: dict[str, int] = {}
    left = min(total, sum(rows.values()))
    share = sum(math.sqrt(count) for count in rows.values())
    for language in sorted(rows, key=lambda code: (rows[code], code)):  # small ones first: what they leave moves on
        root = math.sqrt(rows[language])
        quotas[language] = min(rows[language], math.ceil(left * root / share)) if share else 0
        left -= quotas[language]
        share -= root
    return {language: quotas[language] for language in rows}


def sample_texts(mixture: Path, examples: int, validation_fraction: float, *, space: bool) -> Iterator[list[str]]:
    """Yield texts for training a tokenizer: inputs and targets of training rows.

    Args:
        mixture: Folder of the mixture.
        examples: Rows in all.
        validation_fraction: Share of each language's examples that is for validation.
        space: Whether targets get their leading space.
    """
    files, rows = mixture_files(mixture), mixture_languages(mixture)
    training = {language: split_bounds(count, validation_fraction)[0] for language, count in rows.items()}
    limits = validation_limits(mixture, validation_fraction)
    for language, quota in sqrt_quotas(training, examples).items():
        yield from _first_texts(files[language], quota, limits[language], " " if space else "")


def _first_texts(paths: list[Path], rows: int, limit: int | None, before_targets: str) -> Iterator[list[str]]:
    for path in paths:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_BATCH_ROWS, columns=["inputs", "targets", *ROW_COLUMNS]):
                if rows <= 0:
                    return
                taken = batch.filter(~held_out_rows(batch, limit)).slice(0, rows)
                rows -= taken.num_rows
                yield taken["inputs"].to_pylist()
                yield [before_targets + text for text in taken["targets"].to_pylist()]
