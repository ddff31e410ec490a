"""Whether the harness wrote its results: where it cannot, it logs a warning and ends as if nothing had happened."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xmtf.errors import UserError

__all__ = ["refusing_half_written"]

_TRACKER = "lm_eval.loggers.evaluation_tracker"
"""Logger of the part of the harness that writes results."""


class _Heard(logging.Filter):
    """Remembers the error that the harness logs about while it handles it."""

    def __init__(self) -> None:
        super().__init__()
        self.error: BaseException | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        if self.error is None and record.getMessage().startswith("Could not save"):
            self.error = sys.exc_info()[1]
        return True


@contextmanager
def refusing_half_written(output: str | None) -> Iterator[None]:
    """Raise after the harness has run if its results are not whole in ``output``; what is half written is removed.

    Args:
        output: Its ``--output_path``, or None if it writes nothing.

    Raises:
        OSError: It could not write, such as on a full disk.
        UserError: Its files are missing or incomplete for another reason.
    """
    if output is None or os.environ.get("RANK", "0") != "0":  # of several processes the first one writes
        yield
        return
    folder = Path(output).parent if Path(output).suffix == ".json" else Path(output)
    before, heard, logger = set(_files(folder)), _Heard(), logging.getLogger(_TRACKER)
    logger.addFilter(heard)
    try:
        yield
    finally:
        logger.removeFilter(heard)
    new = [path for path in _files(folder) if path not in before]
    broken = [path for path in new if not _is_whole(path)]
    for path in broken:
        path.unlink()
    if isinstance(heard.error, OSError):
        raise heard.error
    if broken or not new or heard.error is not None:
        why = f": {heard.error}" if heard.error is not None else ""
        raise UserError(f"{output}: lm-evaluation-harness could not write its results{why}; give another --output_path")


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*.json*") if path.suffix in (".json", ".jsonl"))


def _is_whole(path: Path) -> bool:
    """Return whether a file is JSON to its end; of ``.jsonl`` a whole line."""
    text = path.read_text(encoding="utf-8", errors="replace")
    last = text if path.suffix == ".json" else text.rpartition("\n")[0].rpartition("\n")[2]
    try:
        json.loads(last)
    except ValueError:
        return False
    return path.suffix == ".json" or text.endswith("\n")
