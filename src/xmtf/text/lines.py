"""Typed records as flat JSON objects: the fields of a provenance are next to the others, as columns do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError

from xmtf.errors import DataError
from xmtf.json_types import JsonObject
from xmtf.records import PROVENANCE_COLUMNS

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Record = TypeVar("Record", bound=DataclassInstance)

__all__ = ["from_line", "to_line"]


def to_line(record: DataclassInstance) -> dict[str, object]:
    """Return a dataclass as JSON values, the fields of its ``provenance`` in the place of it.

    ::

        Score(model="m", provenance=Provenance(language="fr", ...), ...)
        {"model": "m", "language": "fr", ...}
    """
    line: JsonObject = {}
    for name, value in asdict(record).items():
        line |= value if name == "provenance" else {name: value}
    return line


def from_line(kind: type[Record], line: object, where: str, what: str) -> Record:
    """Return the record that :func:`to_line` made a line of.

    Args:
        kind: Dataclass of the record.
        line: Parsed JSON.
        where: File and line, as errors name it.
        what: What the line should be, such as ``score of an evaluation``.

    Raises:
        DataError: A field is missing, unknown or of another type; names it.
    """
    if not isinstance(line, dict):
        raise DataError(f"{where}: not a {what}")
    known = {field.name for field in fields(kind)}
    nested: dict[str, object] = {name: value for name, value in line.items() if name in known}
    rest = {name: value for name, value in line.items() if name not in known}
    if "provenance" in known:
        nested["provenance"] = {name: rest.pop(name) for name in PROVENANCE_COLUMNS if name in rest}
    if rest:
        raise DataError(
            f"{where}: a {what} has no field {next(iter(rest))!r}; it may have been written by a newer xmtf"
        )
    try:
        record: Record = _adapter(kind).validate_json(orjson.dumps(nested), strict=True)
        return record
    except ValidationError as error:
        raise DataError(f"{where}: {_fault(error, what)}") from None


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _fault(error: ValidationError, what: str) -> str:
    """Return what is wrong: all missing fields, else the first that holds something else."""
    problems = error.errors(include_url=False)
    missing = [_name(problem) for problem in problems if problem["type"] == "missing"]
    if missing:
        return f"no {what} (it lacks {', '.join(missing)})"
    return f"{_name(problems[0])} is {problems[0]['input']!r}: {problems[0]['msg'].lower()}"


def _name(problem: Mapping[str, Any]) -> str:
    return ".".join(str(part) for part in problem["loc"] if part != "provenance")
