"""What all sections of a recipe have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

__all__ = ["Name", "Section", "is_false", "is_list", "is_none", "is_skip"]

Name = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
"""Text that is not empty."""


def is_none(value: object) -> bool:
    """Tell whether a key is not given; left out of the dump, it leaves the fingerprints of older recipes alone."""
    return value is None


def is_skip(value: object) -> bool:
    """Tell whether a key says `skip`, its default; as :func:`is_none`."""
    return value == "skip"


def is_list(value: object) -> bool:
    """Tell whether a key says `list`, its default; as :func:`is_none`."""
    return value == "list"


def is_false(value: object) -> bool:
    """Tell whether a switch is off; as :func:`is_none`."""
    return value is False


class Section(BaseModel):
    """Base of all recipe sections: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
