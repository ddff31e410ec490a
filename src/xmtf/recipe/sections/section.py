"""What all sections of a recipe have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationInfo, field_validator

from xmtf.languages.codes import normalize_language

__all__ = [
    "Name",
    "Section",
    "is_all",
    "is_auto",
    "is_false",
    "is_list",
    "is_none",
    "is_nothing",
    "is_skip",
    "is_task",
    "normalized_patterns",
]

Value = TypeVar("Value")

Name = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
"""Text that is not empty."""


def is_none(value: object) -> bool:
    """Return whether a key is not given; left out of the dump, it leaves the fingerprints of older recipes alone."""
    return value is None


def is_skip(value: object) -> bool:
    """Return whether a key says `skip`, its default; as :func:`is_none`."""
    return value == "skip"


def is_list(value: object) -> bool:
    """Return whether a key says `list`, its default; as :func:`is_none`."""
    return value == "list"


def is_same(value: object) -> bool:
    """Return whether a key says `same`, its default; as :func:`is_none`."""
    return value == "same"


def is_task(value: object) -> bool:
    """Return whether a key says `task`, its default; as :func:`is_none`."""
    return value == "task"


def is_false(value: object) -> bool:
    """Return whether a switch is off; as :func:`is_none`."""
    return value is False


def is_auto(value: object) -> bool:
    """Return whether a key says `auto`, its default; as :func:`is_none`."""
    return value == "auto"


def is_all(value: object) -> bool:
    """Return whether a key says `all`, its default; as :func:`is_none`."""
    return value == "all"


def is_nothing(value: object) -> bool:
    """Return whether a mapping is empty; as :func:`is_none`."""
    return not value


def normalized_patterns(given: Mapping[str, Value], where: str) -> dict[str, Value]:
    """Return a mapping from patterns of languages with plain codes, in any spelling, turned into ours.

    Args:
        given: Pattern -> what is given for it.
        where: Names the key in errors.

    Raises:
        ValueError: Two codes name the same language.
        UnknownNameError: A code is unknown.
    """
    codes = {
        name if any(c in name for c in "*?[") else normalize_language(name, where): value
        for name, value in given.items()
    }
    if len(codes) < len(given):
        raise ValueError(f"two of {', '.join(given)} name the same language")
    return codes


class Section(BaseModel):
    """Base of all recipe sections: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: object, info: ValidationInfo) -> object:
        """Refuse ``true`` where a number stands: it would be read as 1."""
        annotation: object = cls.model_fields[info.field_name or ""].annotation
        mapped = any(get_origin(part) is dict for part in (annotation, *get_args(annotation)))
        given = value.values() if isinstance(value, dict) and mapped else (value,)
        if any(isinstance(each, bool) for each in given) and not _holds_bool(annotation):
            raise ValueError("true and false are not valid values of this key")
        return value


def _holds_bool(annotation: object) -> bool:
    """Return whether a type is, or has among its parts, ``bool`` or anything at all."""
    return annotation is bool or annotation is object or any(map(_holds_bool, get_args(annotation)))
