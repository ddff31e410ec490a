"""Rows whose columns are messages, as conversations; every row that makes none is counted by reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from xmtf.conversations.messages import (
    LAYOUTS,
    SIDES,
    Conversation,
    UnfitConversationError,
    layout_of,
    read_conversation,
)
from xmtf.errors import SourceError
from xmtf.json_types import JsonObject
from xmtf.sources.files.json_tables import JSON_TEXT
from xmtf.tasks.prompting.fitness import First

__all__ = ["Conversations", "read_conversations"]

_BLOCK_ROWS = 4096


@dataclass(frozen=True, slots=True)
class Conversations:
    """The conversations of some rows.

    Attributes:
        inputs: All turns but the last answer as plain text, ``[kept]``.
        targets: The last answer, ``[kept]``.
        messages: JSON of each, ``[kept]``.
        rows: Number of each row in its split, int64 ``[kept]``.
        places: Place of each in the table, int64 ``[kept]``.
        dropped: The others, counted by reason.
        firsts: Reason -> the first such row.
        notes: What a person should know of.
    """

    inputs: pa.Array
    targets: pa.Array
    messages: pa.Array
    rows: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]
    dropped: dict[str, int]
    firsts: dict[str, First]
    notes: tuple[str, ...]


def read_conversations(table: pa.Table, rows: npt.NDArray[np.int64], where: str) -> Conversations:
    """Read the conversations in the rows of a table.

    Args:
        table: Rows in one of :data:`xmtf.conversations.messages.LAYOUTS`.
        rows: Number of each row in its split.
        where: Named in errors.

    Raises:
        SourceError: The table has no such columns; says which it has.
    """
    layout = layout_of(table.column_names)
    if layout is None:
        known = " or ".join(" and ".join(names) for names in LAYOUTS)
        has = ", ".join(table.column_names) or "no columns"
        raise SourceError(f"{where}: its rows are not conversations: they have {has}; write {known}")
    read = table.select([name for name in (*layout, *SIDES) if name in table.column_names])
    dropped, firsts, unanswered = Counter[str](), dict[str, First](), 0
    kept, texts, messages = list[int](), list[tuple[str, str]](), list[str]()
    for first in range(0, read.num_rows, _BLOCK_ROWS):
        for place, row in enumerate(read.slice(first, _BLOCK_ROWS).to_pylist(), first):
            try:
                conversation, left_out = _read(row, layout)
            except UnfitConversationError as error:
                dropped[error.reason] += 1
                firsts.setdefault(error.reason, First(int(rows[place]), error.detail))
                continue
            unanswered += left_out > 0
            kept.append(place)
            texts.append(conversation.plain())
            messages.append(conversation.to_json())
    places = np.array(kept, np.int64)
    note = f"unanswered turns at the end are dropped (in {unanswered:,} conversations)"
    return Conversations(
        pa.array([inputs for inputs, _ in texts], pa.string()),
        pa.array([targets for _, targets in texts], pa.string()),
        pa.array(messages, pa.string()),
        rows[places],
        places,
        dict(dropped),
        firsts,
        (note,) if unanswered else (),
    )


def _read(row: JsonObject, layout: tuple[str, ...]) -> tuple[Conversation, int]:
    """Read one row; columns of JSON files that hold lists and mappings are JSON texts."""
    values = {
        name: orjson.loads(value[1:]) if isinstance(value, str) and value.startswith(JSON_TEXT) else value
        for name, value in row.items()
    }
    return read_conversation(values, layout)
