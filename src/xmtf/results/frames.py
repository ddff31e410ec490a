"""Results as tables: a row for each value that was measured, a row for each item that was asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from xmtf.errors import require
from xmtf.json_types import JsonObject
from xmtf.records import PROVENANCE_COLUMNS, Score
from xmtf.results.files import SCORES
from xmtf.results.items import ITEM_SCHEMA, item_files
from xmtf.results.scores import read_scores

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ITEM_COLUMNS", "SCORE_COLUMNS", "Results", "read_results"]

_TEXT, _COUNT, _VALUE = pa.string(), pa.int64(), pa.float64()
SCORE_COLUMNS = pa.schema(
    [
        *((name, _TEXT) for name in ("folder", "model", "suite", "axis", "kind", "scoring", *PROVENANCE_COLUMNS)),
        ("metric", _TEXT),
        *((name, _VALUE) for name in ("value", "low", "high", "chance", "majority")),
        *((name, _COUNT) for name in ("num_items", "dropped", "truncated", "unanswered", "shots")),
        ("limited", pa.bool_()),
        *((name, _TEXT) for name in ("signature", "model_fingerprint", "template_hash", "parallel", "revision")),
    ]
)
"""Columns of the scores: ``folder`` is the results folder; ``value``, ``low`` and ``high`` are shares (0-1) but for
BLEU and chrF (0-100); ``dropped`` counts rows that could not be asked, ``shots`` examples before each prompt."""
ITEM_COLUMNS = pa.schema([("folder", _TEXT), ("model", _TEXT), ("scoring", _TEXT), *ITEM_SCHEMA])
"""Columns of the items: those of :data:`xmtf.results.items.ITEM_SCHEMA` behind folder, model and scoring."""


@dataclass(frozen=True, slots=True)
class Results:
    """Finished results, read when they are asked for.

    Attributes:
        folders: The results folders.
    """

    folders: tuple[Path, ...]

    @property
    def scores(self) -> pd.DataFrame:
        """A row for each value that was measured, with the columns of :data:`SCORE_COLUMNS`.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        require("pandas", "frames")
        return self.score_table().to_pandas()

    @property
    def items(self) -> pd.DataFrame:
        """A row for each item that was asked, with the columns of :data:`ITEM_COLUMNS`.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        require("pandas", "frames")
        return self.item_table().to_pandas()

    def score_table(self) -> pa.Table:
        """Return the scores as an Arrow table, which polars, DuckDB and others read as it is.

        Raises:
            DataError: A file of scores is broken.
        """
        return pa.Table.from_pylist([row for folder in self.folders for row in _rows(folder)], schema=SCORE_COLUMNS)

    def item_table(self, columns: Sequence[str] = tuple(ITEM_COLUMNS.names)) -> pa.Table:
        """Return the items as an Arrow table.

        Args:
            columns: Of :data:`ITEM_COLUMNS`; only these are read.

        Raises:
            DataError: A file of items is broken.
        """
        schema = pa.schema([ITEM_COLUMNS.field(name) for name in columns])
        return pa.concat_tables([schema.empty_table(), *self._item_tables(schema)])

    def _item_tables(self, schema: pa.Schema) -> Iterator[pa.Table]:
        stored = [name for name in schema.names if name in ITEM_SCHEMA.names]
        for folder in self.folders:
            for file in item_files(folder):
                # a column is read in any case: without one, a table would not know its number of rows
                for about, table in file.each_job(stored or ["row"]):
                    told = {"folder": str(folder), "model": about.model, "scoring": about.scoring}
                    yield pa.table(
                        [
                            table[name] if name in stored else pa.repeat(pa.scalar(told[name], _TEXT), table.num_rows)
                            for name in schema.names
                        ],
                        schema=schema,
                    )


def read_results(folders: Iterable[Path]) -> Results:
    """Return the results of folders; a folder named twice counts once."""
    return Results(tuple(dict.fromkeys(folders)))


def _rows(folder: Path) -> Iterator[JsonObject]:
    for score in read_scores(folder / SCORES):
        for metric in score.metrics:
            measured = asdict(metric)
            yield {**_about(score), **measured, "folder": str(folder), "metric": measured.pop("name")}


def _about(score: Score) -> JsonObject:
    named = {name: getattr(score, name, None) for name in SCORE_COLUMNS.names}
    counted = {
        "dropped": sum(score.dropped.values()),
        "shots": 0 if score.shots is None else score.shots.number,
    }
    return named | asdict(score.provenance) | counted
