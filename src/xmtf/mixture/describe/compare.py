"""A mixture alongside published counts: what is missing, and which reason took it."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

from xmtf.errors import ConfigError
from xmtf.languages.codes import normalize_language
from xmtf.mixture.describe.composition import read_slices
from xmtf.text.files import NotUtf8Error, read_text_file

__all__ = ["compare_counts"]

_KEYS = ("language", "cluster", "task", "dataset", "subset", "split")
_COUNT = "examples"


def compare_counts(folder: Path, published: Path) -> list[dict[str, Any]]:
    """Return one record for each published count: the count, ours, the difference, and why.

    Args:
        folder: Folder of a mixture.
        published: CSV or TSV file with a header: one or more of ``language, cluster, task, dataset, subset, split``,
            and ``examples``.

    Raises:
        ConfigError: The file is missing or not such a table; names the line.
        DataError: The folder holds no mixture.
    """
    keys, counts = _read_counts(published)
    ours: dict[tuple[str, ...], tuple[int, Counter[str]]] = {}
    for line in read_slices(folder):
        key = tuple(str(line[name]) for name in keys)
        examples, dropped = ours.get(key, (0, Counter[str]()))
        ours[key] = (examples + line["out"], dropped + Counter(line["dropped"]))
    return [
        dict(zip(keys, key, strict=True))
        | {"published": count, "ours": ours.get(key, (0,))[0], "difference": ours.get(key, (0,))[0] - count}
        | {"why": _why(count, ours.get(key))}
        for key, count in counts.items()
    ]


def _why(published: int, ours: tuple[int, Counter[str]] | None) -> str:
    if ours is None:
        return "the recipe selects nothing of it"
    examples, dropped = ours
    if examples == published:
        return ""
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in dropped.most_common())
    if examples > published:
        return "more rows or more templates than published" + (f" (dropped: {reasons})" if reasons else "")
    return f"dropped: {reasons}" if reasons else "fewer rows or fewer templates than published"


def _read_counts(path: Path) -> tuple[list[str], dict[tuple[str, ...], int]]:
    try:
        text = read_text_file(path)
    except NotUtf8Error as error:
        raise ConfigError(str(error)) from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from None
    header = text.partition("\n")[0]
    reader = csv.DictReader(text.splitlines(), delimiter="\t" if "\t" in header else ",")
    keys = [name for name in reader.fieldnames or [] if name in _KEYS]
    if not keys or _COUNT not in (reader.fieldnames or []):
        raise ConfigError(
            f"{path}: the header needs `{_COUNT}` and at least one of {', '.join(_KEYS)}; it is {header!r}"
        )
    counts: dict[tuple[str, ...], int] = {}
    for row in reader:
        where = f"{path}: line {reader.line_num}"
        key = tuple(normalize_language(row[name], where) if name == "language" else row[name] or "" for name in keys)
        try:
            counts[key] = counts.get(key, 0) + int(row[_COUNT].replace(",", "").replace("_", ""))
        except (ValueError, AttributeError):
            raise ConfigError(f"{where}: {row[_COUNT]!r} is not a number of examples") from None
    return keys, counts
