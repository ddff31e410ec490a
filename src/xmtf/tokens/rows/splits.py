"""Which part of each language is trained on, with which weight: fractions, weights, Megatron's split files.

A split file is one line of quoted groups; a group names stores, each with a weight and a range::

    "train: 0.39 0:0.95 data/xp3_en, 0.06 0:0.95 data/xp3_code"
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from xmtf.errors import ConfigError, UnknownNameError
from xmtf.files import write_text
from xmtf.text.files import NotUtf8Error, read_text_file

__all__ = [
    "SplitGroup",
    "SplitItem",
    "published_weights",
    "read_split_file",
    "size_weights",
    "split_bounds",
    "split_file_text",
    "write_split_file",
]


def split_bounds(count: int, validation_fraction: float) -> tuple[int, int]:
    """Return ``(end of training, end of validation)``: training is ``[0, first)``, validation ``[first, count)``.

    Rounded to nearest, as Megatron rounds ``START:END`` of a split file.

    >>> split_bounds(1000, 0.05), split_bounds(3, 0.05)
    ((950, 1000), (3, 3))
    """
    return round((1 - validation_fraction) * count), count


@dataclass(frozen=True, slots=True)
class SplitItem:
    """One store of a group.

    Attributes:
        weight: Relative to the others of its group.
        start: First item, as a fraction of the items.
        end: End of the items, exclusive, as a fraction.
        prefix: Path without ``_inputs_document`` and ``_targets_document``.
    """

    weight: float
    start: float
    end: float
    prefix: str

    def bounds(self, count: int) -> tuple[int, int]:
        """Return the range of items, of ``count``, that the fractions mean."""
        return round(self.start * count), round(self.end * count)


@dataclass(frozen=True, slots=True)
class SplitGroup:
    """A named group of stores, such as ``train``."""

    name: str
    items: tuple[SplitItem, ...]


def read_split_file(path: Path) -> tuple[SplitGroup, ...]:
    """Read a weighted split file.

    Raises:
        ConfigError: Not in the one-line format; names the file, the group and the item.
    """
    try:
        text = read_text_file(path)
    except NotUtf8Error as error:
        raise ConfigError(str(error)) from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from None
    if text.count("\n") != 1 or not text.startswith('"') or not text.endswith('"\n') or len(text) < 3:
        raise ConfigError(f'{path}: a split file is one line that begins with " and ends with " and a line break')
    return tuple(_parse_group(part, path) for part in text[1:-2].split('" "'))


def _parse_group(text: str, path: Path) -> SplitGroup:
    name, colon, rest = text.partition(":")
    if not colon or not name.strip():
        raise ConfigError(f"{path}: group {text[:40]!r} does not begin with `NAME:`")
    return SplitGroup(
        name.strip(), tuple(_parse_item(item, f"{path}: group {name.strip()!r}") for item in rest.split(","))
    )


def _parse_item(text: str, where: str) -> SplitItem:
    fields = text.split()
    if len(fields) != 3:
        raise ConfigError(f"{where}: {text.strip()!r} is not `WEIGHT START:END PATH`")
    weight, bounds, prefix = fields
    start, _, end = bounds.partition(":")
    try:
        item = SplitItem(float(weight), float(start), float(end), prefix)
    except ValueError:
        raise ConfigError(f"{where}: {text.strip()!r} has a weight or a range that is not a number") from None
    if not 0 <= item.start < item.end <= 1 or not 0 < item.weight < float("inf"):
        raise ConfigError(f"{where}: {text.strip()!r} needs a weight above 0 and 0 <= START < END <= 1")
    return item


def write_split_file(path: Path, groups: Iterable[SplitGroup]) -> None:
    """Write a weighted split file that Megatron reads.

    Raises:
        ConfigError: As :func:`split_file_text`.
    """
    write_text(path, split_file_text(path, groups))


def split_file_text(path: Path, groups: Iterable[SplitGroup]) -> str:
    """Return what a weighted split file at ``path`` holds, for Megatron to read.

    Raises:
        ConfigError: A name or path cannot be in the format (it holds a space, a comma, a quote or a colon).
    """
    parts = []
    for group in groups:
        for text in (group.name, *(item.prefix for item in group.items)):
            if any(c in text for c in ' ,"\n') or ":" in group.name:
                raise ConfigError(f"{path}: {text!r} is not allowed in a split file: no spaces, commas or quotes")
        items = ", ".join(f"{item.weight!r} {item.start!r}:{item.end!r} {item.prefix}" for item in group.items)
        parts.append(f'"{group.name}: {items}"')
    return " ".join(parts) + "\n"


def size_weights(sizes: Mapping[str, float], multipliers: Mapping[str, float] | None = None) -> dict[str, float]:
    """Return each language's share of the whole, times its multiplier; they need not sum to 1.

    >>> size_weights({"en": 6, "code": 2}, {"code": 2.0})
    {'en': 0.75, 'code': 0.5}

    Raises:
        UnknownNameError: A multiplier for a language that is not there.
    """
    total = sum(sizes.values())
    for language in multipliers or {}:
        if language not in sizes:
            raise UnknownNameError("language", language, sizes, "tokens.multipliers")
    return {language: size / total * (multipliers or {}).get(language, 1.0) for language, size in sizes.items()}


@cache
def _xp3() -> dict[str, float]:
    with Path(__file__).with_name("xp3_weights.csv").open(encoding="utf-8", newline="") as stream:
        return {row["code"]: float(row["weight"]) for row in csv.DictReader(stream)}


def published_weights() -> dict[str, float]:
    """Return the weights that BLOOMZ was trained with, by language: share of xP3's bytes, code times 1.3."""
    return dict(_xp3())
