"""What JSON and YAML files hold, before anyone has checked it."""

from __future__ import annotations

from typing import Any, TypeAlias

__all__ = ["JsonObject"]

JsonObject: TypeAlias = dict[str, Any]
"""An object as it was read or is to be written: whoever takes a value out of it checks what it is."""
