"""A finished mixture as Python programs look at it: counts, rows, tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from xmtf.artefacts.manifest_parts import MixtureCounts
from xmtf.errors import UnknownNameError, require
from xmtf.files import read_manifest
from xmtf.json_types import JsonObject
from xmtf.mixture.io.read import mixture_languages, parse_filters, select_examples
from xmtf.records import PROMPTED_COLUMNS
from xmtf.tasks import PROMPTED_SCHEMA

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Mixture"]


@dataclass(frozen=True, slots=True)
class Mixture:
    """A finished mixture. Filters are shell patterns of columns, ``language="fr"`` or ``dataset="*paws-x*"``.

    Attributes:
        path: Its folder.
    """

    path: Path

    def __len__(self) -> int:
        """Return the number of examples."""
        return sum(self.languages.values())

    @property
    def languages(self) -> dict[str, int]:
        """Examples of each language."""
        return mixture_languages(self.path)

    @property
    def counts(self) -> MixtureCounts:
        """What was rendered, kept and dropped, by reason, language, cluster, dataset, task and template."""
        return MixtureCounts.of(read_manifest(self.path), self.path)

    def examples(self, **filters: str) -> Iterator[JsonObject]:
        """Yield the examples that match, in the mixture's order; a part of it is held at a time."""
        for table in self._tables(PROMPTED_COLUMNS, filters):
            yield from table.to_pylist()

    def table(self, *columns: str, **filters: str) -> pa.Table:
        """Return the examples that match as an Arrow table, with these columns alone where some are named.

        Raises:
            UnknownNameError: There is no such column.
        """
        wanted = columns or PROMPTED_COLUMNS
        for name in wanted:
            if name not in PROMPTED_COLUMNS:
                raise UnknownNameError("column", name, PROMPTED_COLUMNS)
        found = [table.select(wanted) for table in self._tables(PROMPTED_COLUMNS, filters)]
        return pa.concat_tables(found) if found else PROMPTED_SCHEMA.empty_table().select(wanted)

    def frame(self, *columns: str, **filters: str) -> pd.DataFrame:
        """Return the same as a pandas frame.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        require("pandas", "frames")
        return self.table(*columns, **filters).to_pandas()

    def _tables(self, columns: Sequence[str], filters: dict[str, str]) -> Iterator[Any]:
        patterns = parse_filters([f"{column}={pattern}" for column, pattern in filters.items()])
        return select_examples(self.path, patterns, columns=columns)
