"""The JSON schema of recipes: every key with its meaning, unit and default, as editors read it."""

from __future__ import annotations

from typing import Any

from xmtf import __version__
from xmtf.json_types import JsonObject
from xmtf.recipe.schema import Recipe

__all__ = ["SCHEMA_ID", "leaf_values", "recipe_schema"]

SCHEMA_ID = f"urn:xmtf:recipe:{__version__}"
"""Names the schema; a URN, since it is on no server: it comes with the package."""


def recipe_schema() -> JsonObject:
    """Return the schema; a key that is its own section has the section's description where it has none."""
    schema: JsonObject = Recipe.model_json_schema()
    sections = schema["$defs"]
    for section in (schema, *sections.values()):
        for key in section.get("properties", {}).values():
            if "description" not in key and "$ref" in key:
                key["description"] = sections[key["$ref"].rpartition("/")[2]]["description"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID, **schema}


def leaf_values() -> dict[str, tuple[str, ...]]:
    """Return dotted key -> its closed set of values, empty where any is possible; keys inside lists are left out.

    >>> leaf_values()["execution.engine"]
    ('inline', 'pool', 'ray')
    """
    schema = recipe_schema()
    found: dict[str, tuple[str, ...]] = {}

    def walk(section: JsonObject, prefix: str) -> None:
        for name, key in section.get("properties", {}).items():
            inner = _section(key, schema["$defs"])
            if inner is None:
                found[prefix + name] = _values(key)
            else:
                walk(inner, f"{prefix}{name}.")

    walk(schema, "")
    return found


def _section(key: JsonObject, sections: JsonObject) -> JsonObject | None:
    """Return the section that a key is, also where it may be null."""
    for part in (key, *key.get("anyOf", ())):
        if "$ref" in part:
            found: JsonObject = sections[part["$ref"].rpartition("/")[2]]
            return found if "properties" in found else None
    return None


def _values(key: JsonObject) -> tuple[str, ...]:
    parts: list[Any] = [key, *key.get("anyOf", ())]
    named = [
        value for part in parts for value in (*part.get("enum", ()), *([part["const"]] if "const" in part else []))
    ]
    switch = ["true", "false"] if any(part.get("type") == "boolean" for part in parts) else []
    return (*(str(value) for value in named), *switch)
