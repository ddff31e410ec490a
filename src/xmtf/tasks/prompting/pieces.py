"""The rows of a slice in pieces, so that memory does not grow with its split.

A split is read whole where that is what it takes: it is small, an adapter makes its rows, or a cap chooses among all
of its examples. Where a slice limits its rows, only those are kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from xmtf.sources import SourceData
from xmtf.sources.stream import SourceStream, open_stream
from xmtf.tasks.prompting.fitness import First, check_share
from xmtf.tasks.prompting.prompted import Prompted, sample_key, sample_rows
from xmtf.tasks.prompting.rows import SliceRows, is_refined, read_rows, refine_rows
from xmtf.tasks.task import Slice

__all__ = ["Pieces", "Shares"]

_PIECE_BYTES, _PIECE_ROWS = 2**26, 100_000


@dataclass(slots=True)
class Pieces:
    """The rows of a slice.

    Attributes:
        slice: The slice.
        seed: Seeds the choice of rows where the slice limits them.
        offline: Never touch the network.
    """

    slice: Slice
    seed: int
    offline: bool

    def __iter__(self) -> Iterator[tuple[Slice, SliceRows]]:
        """Yield rows, with the slice as it applies to them.

        Raises:
            SourceError: The rows cannot be read.
        """
        stream = self._stream()
        if stream is None:
            yield self.slice, read_rows(self.slice, offline=self.offline)
            return
        part = replace(self.slice, limit_rows=None)
        chosen, left_out = self._choose(stream)
        for tables, numbers in _gathered(stream, chosen, whole=self.slice.cap_examples is not None):
            table = pa.concat_tables(tables) if tables else stream.schema.empty_table()
            rows = refine_rows(part, SourceData(stream.ref, table, stream.fingerprint, numbers))
            if left_out is not None:
                rows, left_out = replace(rows, dropped=left_out.dropped, firsts=left_out.firsts), None
            yield part, rows

    def _choose(self, stream: SourceStream) -> tuple[np.ndarray | None, SliceRows | None]:
        """Return the rows to read, None for all, and what the filters left out before they were chosen."""
        if self.slice.limit_rows is None or self.slice.limit_rows >= stream.num_rows:
            return None, None
        rows, left_out = np.arange(stream.num_rows, dtype=np.int64), None
        if is_refined(self.slice):
            dropped, firsts, kept = Counter[str](), dict[str, First](), [np.empty(0, np.int64)]
            for first, block in stream.blocks():
                numbers = np.arange(first, first + block.num_rows, dtype=np.int64)
                found = refine_rows(self.slice, SourceData(stream.ref, block, stream.fingerprint, numbers))
                dropped.update(found.dropped)
                firsts = found.firsts | firsts
                kept.append(found.data.rows)
            rows = np.concatenate(kept)
            empty = SourceData(stream.ref, stream.schema.empty_table(), stream.fingerprint, rows[:0])
            left_out = SliceRows(empty, None, dict(dropped), firsts)
        return rows[sample_rows(rows, self.slice.limit_rows, sample_key(self.slice, self.seed))], left_out

    def _stream(self) -> SourceStream | None:
        bounded = self.slice.cap_examples is None or self.slice.limit_rows is not None
        return open_stream(self.slice.task.source(self.slice.split), offline=self.offline) if bounded else None


def _gathered(
    stream: SourceStream, chosen: np.ndarray | None, *, whole: bool
) -> Iterator[tuple[list[pa.Table], np.ndarray]]:
    """Yield blocks of rows, several together, with the numbers of the rows; ``whole`` all of them at once."""
    tables, numbers, size = list[pa.Table](), [np.empty(0, np.int64)], 0
    for first, block in stream.blocks():
        rows = np.arange(first, first + block.num_rows, dtype=np.int64)
        if chosen is not None:
            rows = chosen[np.searchsorted(chosen, first) : np.searchsorted(chosen, first + block.num_rows)]
            block = block.take(pa.array(rows - first))
        tables.append(block)
        numbers.append(rows)
        size += block.nbytes
        if not whole and (size > _PIECE_BYTES or sum(map(len, numbers)) >= _PIECE_ROWS):
            yield tables, np.concatenate(numbers)
            tables, numbers, size = [], [np.empty(0, np.int64)], 0
    if tables or whole:
        yield tables, np.concatenate(numbers)


@dataclass(slots=True)
class _Drops:
    dropped: Counter[str] = field(default_factory=Counter)
    firsts: dict[str, First] = field(default_factory=dict)
    rows: int = 0


@dataclass(slots=True)
class Shares:
    """What the templates of a slice dropped over all of its pieces.

    Attributes:
        failing_rows: Largest share of rows on which a template may fail, or that may be unfit.
    """

    failing_rows: float
    _by_template: dict[str, _Drops] = field(default_factory=dict)

    def add(self, template: str, part: Prompted, num_rows: int) -> None:
        """Take over what a template dropped of a piece."""
        drops = self._by_template.setdefault(template, _Drops())
        drops.dropped.update(part.dropped)
        drops.firsts = {**part.firsts, **drops.firsts}
        drops.rows += num_rows

    def check(self, slice_: Slice) -> None:
        """Refuse a template that drops too many of all rows.

        Raises:
            TemplateError: One does; names the first row.
        """
        for template in slice_.templates:
            drops = self._by_template.get(template.name)
            if drops is not None:
                check_share(drops, slice_, template, drops.rows, self.failing_rows)
