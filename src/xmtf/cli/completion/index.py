"""What can be completed, as one JSON object: verbs with their options, keys of recipes, packaged recipes.

::

    {"verbs": {"run": {"options": {"--until": {"values": ["mixture", ...], "kind": "text", "many": false}, ...},
                       "arguments": [{"values": [], "kind": "recipe", "many": false}, ...]}, "data build": {...}},
     "keys": {"training.steps": [], "execution.engine": ["inline", "pool", "ray"], ...}, "recipes": ["demo", ...]}
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from xmtf import __version__
from xmtf.artefacts.checksums import user_cache
from xmtf.errors import UserError
from xmtf.files import atomic_path, content_hash
from xmtf.json_types import JsonObject

__all__ = ["build_index", "load_index"]

_PACKAGE = Path(__file__).parents[2]
_CLOSED = re.compile(r"[a-z0-9_.-]+(?:\|[A-Za-z0-9_.-]+)+")
"""A set of values as help shows it: ``left|right``."""
_PLACES = {"model", "tokenizer", "checkpoint", "like", "base", "source"}
"""Parameters of text that may also be a folder or a file."""


def load_index() -> JsonObject:
    """Return the index, from the cache where the package has not changed since."""
    path = user_cache() / "completion" / f"{_key()}.json"
    with contextlib.suppress(OSError, orjson.JSONDecodeError):  # a cache that cannot be read is none
        found: JsonObject = orjson.loads(path.read_bytes())
        return found
    built = build_index()
    with contextlib.suppress(OSError, UserError), atomic_path(path, durable=False) as temporary:
        temporary.write_bytes(orjson.dumps(built))
    return built


def _key() -> str:
    """Return what changes with the code that the index is made from."""
    files = sorted([*_PACKAGE.glob("cli/**/*.py"), *_PACKAGE.glob("recipe/*.py")])
    return content_hash([__version__, *((str(path), path.stat().st_mtime_ns) for path in files)])[:24]


def build_index() -> JsonObject:
    """Return the index, from the verbs themselves; this imports all of them."""
    from xmtf.recipe.json_schema import leaf_values
    from xmtf.recipe.packaged import packaged_recipes, short_name

    return {
        "verbs": dict(_verbs()),
        "keys": {key: list(values) for key, values in leaf_values().items()},
        "recipes": sorted(map(short_name, packaged_recipes())),
    }


def _verbs() -> Iterator[tuple[str, JsonObject]]:
    from typer.main import get_command

    from xmtf.cli.app import COMMANDS, build_app

    for noun in COMMANDS:
        command: Any = get_command(build_app(noun))
        found = command.commands[noun]
        inner: Mapping[str, Any] = getattr(found, "commands", {})
        for name, verb in inner.items():
            yield f"{noun} {name}", _verb(verb)
        if not inner:
            yield noun, _verb(found)


def _verb(command: Any) -> JsonObject:
    options: JsonObject = {}
    arguments = []
    context = command.context_class(command)
    for parameter in command.params:
        about = _parameter(parameter, str(parameter.display_type(context)).strip("<>"))
        if parameter.param_type_name == "argument":
            arguments.append(about)
        else:
            options |= dict.fromkeys([*parameter.opts, *parameter.secondary_opts], about)
    return {"options": options, "arguments": arguments}


def _parameter(parameter: Any, shown: str) -> JsonObject:
    closed = next((text for text in (parameter.metavar, shown) if text and _CLOSED.fullmatch(text)), None)
    many = parameter.nargs != 1 or bool(parameter.multiple)
    return {"values": closed.split("|") if closed else [], "kind": _kind(parameter, shown), "many": many}


def _kind(parameter: Any, shown: str) -> str:
    """Return what a parameter takes: ``flag``, ``recipe``, ``keys``, ``path`` or ``text``."""
    if getattr(parameter, "is_flag", False):
        return "flag"
    if parameter.name in ("overrides", "filters", "sweep"):
        return "keys"
    text = f"{parameter.name} {parameter.help or ''}".lower()
    is_path = shown.lower() in ("path", "list[path]")
    if "recipe" in text and (is_path or parameter.param_type_name == "argument"):
        return "recipe"
    return "path" if is_path or parameter.name in _PLACES else "text"
