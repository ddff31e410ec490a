"""The rows of a slice in pieces, so that memory does not grow with its split.

A split that is small is read whole. Where a slice limits its rows, only those are kept, together where a cap chooses
among them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from xmtf.sources import SourceData
from xmtf.sources.adapters import Adapted
from xmtf.sources.stream import SourceStream, open_stream
from xmtf.tasks.prompting.fitness import First, check_share
from xmtf.tasks.prompting.prompted import Prompted, RowDraw, row_draw, row_order, sample_rows
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
        are_parts: Whether what is yielded are parts of the slice's rows; known with the first.
    """

    slice: Slice
    seed: int
    offline: bool
    are_parts: bool = False

    def __iter__(self) -> Iterator[tuple[Slice, SliceRows]]:
        """Yield rows, with the slice as it applies to them.

        Raises:
            SourceError: The rows cannot be read.
        """
        stream = open_stream(self.slice.task.source(self.slice.split), offline=self.offline)
        if stream is None:
            yield self.slice, read_rows(self.slice, offline=self.offline)
            return
        part = replace(self.slice, limit_rows=None)
        whole = self.slice.limit_rows is not None and self.slice.cap_examples is not None
        self.are_parts = not whole
        left_out = _LeftOut()
        for adapted in _gathered(self._limited(stream, left_out), whole=whole):
            rows = refine_rows(part, _data(stream, adapted))
            if left_out.is_known:
                rows, left_out = replace(rows, dropped=left_out.dropped, firsts=left_out.firsts), _LeftOut()
            yield part, rows

    def _limited(self, stream: SourceStream, left_out: _LeftOut) -> Iterator[Adapted]:
        """Yield the rows that the slice's limit leaves; the choice is that of a split that is read whole.

        Filters come before it; what they leave out is told then.
        """
        limit, draw = self.slice.limit_rows, row_draw(self.slice, self.seed)
        if limit is None or limit >= stream.num_rows:
            yield from stream.adapted()
        elif stream.ref.adapter is None and not is_refined(self.slice):
            chosen = sample_rows(np.arange(stream.num_rows, dtype=np.int64), limit, draw)
            for first, block in stream.blocks():
                rows = chosen[np.searchsorted(chosen, first) : np.searchsorted(chosen, first + block.num_rows)]
                yield Adapted(block.take(pa.array(rows - first)), rows)
        else:
            refined = (left_out.refine(self.slice, _data(stream, adapted)) for adapted in stream.adapted())
            yield from _smallest(refined, limit, draw)


@dataclass(slots=True)
class _LeftOut:
    """What filters leave out before rows are chosen."""

    dropped: dict[str, int] = field(default_factory=dict)
    firsts: dict[str, First] = field(default_factory=dict)
    is_known: bool = False

    def refine(self, slice_: Slice, data: SourceData) -> Adapted:
        found = refine_rows(slice_, data)
        self.dropped = dict(Counter(self.dropped) + Counter(found.dropped))
        self.firsts = found.firsts | self.firsts
        self.is_known = True
        return Adapted(found.data.table, found.data.rows, data.dropped)


def _data(stream: SourceStream, adapted: Adapted) -> SourceData:
    rows = np.empty(0, np.int64) if adapted.rows is None else adapted.rows
    return SourceData(stream.ref, adapted.table, stream.fingerprint, rows, adapted.dropped)


def _smallest(blocks: Iterable[Adapted], limit: int, draw: RowDraw) -> Iterator[Adapted]:
    """Yield the rows that a limit leaves of those that an adapter and filters keep, whose number the end alone tells.

    Of what was read so far, no more than some times the limit is held.
    """
    kept, waiting, held = list[Adapted](), list[Adapted](), 0
    total, dropped = 0, Counter[str]()
    for block in blocks:
        waiting.append(block)
        held += block.table.num_rows
        total += block.table.num_rows
        dropped.update(block.dropped)
        if held > 2 * limit:
            kept = [_first(Adapted.join([*kept, *waiting]), limit, draw)]
            waiting, held = [], limit
    found = Adapted.join([*kept, *waiting])
    if total <= limit:
        yield replace(found, dropped=dict(dropped))
    else:
        yield replace(_first(found, limit, draw), dropped={})


def _first(found: Adapted, limit: int, draw: RowDraw) -> Adapted:
    if found.rows is None or len(found.rows) <= limit:
        return found
    chosen = np.sort(row_order(found.rows, draw)[:limit])
    return Adapted(found.table.take(pa.array(chosen)), found.rows[chosen])


def _gathered(blocks: Iterable[Adapted], *, whole: bool) -> Iterator[Adapted]:
    """Yield blocks of rows, several together; ``whole`` all of them at once."""
    waiting, size, rows, none = list[Adapted](), 0, 0, True
    for block in blocks:
        waiting.append(block)
        size += block.table.nbytes
        rows += block.table.num_rows
        if not whole and (size > _PIECE_BYTES or rows >= _PIECE_ROWS):
            yield Adapted.join(waiting)
            waiting, size, rows, none = [], 0, 0, False
    if waiting or none:
        yield Adapted.join(waiting)


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
