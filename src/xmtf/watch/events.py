"""Events of a run's log as one line of text each, and their numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeGuard

import orjson

from xmtf.json_types import JsonObject

__all__ = ["ROLLED_BACK", "describe", "is_step", "number"]

ROLLED_BACK = "rolled back"
"""No event of the log: said where steps come a second time."""
_MOST = 300
"""Characters of an event that is not known here."""
_LARGEST_STEP = 2**53


def number(event: Mapping[str, object], key: str) -> float | None:
    """Return a number of an event, also one that is not finite; None where there is none.

    JSON has no such numbers: the log holds null for a loss that is not finite, and words in skipped steps.

    >>> number({"loss": None}, "loss"), number({"loss": "inf"}, "loss"), number({}, "loss")
    (nan, inf, None)
    """
    value = event.get(key, "")
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def is_step(value: object) -> TypeGuard[int]:
    """Return whether a value can be a number of steps."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST_STEP


def describe(event: JsonObject) -> str:
    """Return an event as text.

    >>> describe({"event": "train", "step": 10, "loss": 2.5, "learning_rate": 0.003, "tokens_per_s": 6992.9})
    'step 10: loss 2.5, learning rate 0.003, 6,993 tokens/s'
    """
    kind, step = event["event"], event.get("step")
    at = f"step {step:,}: " if isinstance(step, int) else ""
    if kind == "train":
        return f"{at}loss {_shown(event, 'loss')}{_rest(event)}"
    if kind == "validation":
        return f"{at}validation ({_text(event, 'group')}): loss {_shown(event, 'loss')}"
    if kind == "measure":
        return f"{at}{_text(event, 'group')} ({_text(event, 'kind')}): {_shown(event, 'value')}"
    if kind == "selection":
        return f"{at}the best so far by {_text(event, 'by')}: {_shown(event, 'score')}"
    if kind == "checkpoint":
        return f"{at}checkpoint {_text(event, 'path')}"
    if kind == "skipped":
        rows = event.get("num_rows")
        return f"{at}skipped, loss {_shown(event, 'loss')}, gradient norm {_shown(event, 'grad_norm')}, rows: {rows}"
    if kind == "stop":
        return f"{at}stopped: {_text(event, 'reason')}"
    if kind == "stage":
        return f"stage {_text(event, 'stage')}: done in {_shown(event, 'seconds')} s"
    if kind == ROLLED_BACK:
        return f"{at}training resumed before this step; measurements from here on are superseded"
    return _clipped(orjson.dumps(event).decode())


def _rest(event: JsonObject) -> str:
    rate, speed = number(event, "learning_rate"), number(event, "tokens_per_s")
    parts = [] if rate is None else [f"learning rate {rate:.4g}"]
    parts += [] if speed is None else [f"{speed:,.0f} tokens/s"]
    return "".join(f", {part}" for part in parts)


def _shown(event: JsonObject, key: str) -> str:
    value = number(event, key)
    if value is None:
        return "?"
    return f"{value:.6g}" if math.isfinite(value) else str(value).replace("nan", "NaN").replace("inf", "infinity")


def _text(event: JsonObject, key: str) -> str:
    return _clipped(str(event.get(key, "?")))


def _clipped(text: str) -> str:
    return text if len(text) <= _MOST else text[:_MOST] + "…"
