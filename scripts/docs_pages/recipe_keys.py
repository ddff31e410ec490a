"""The reference of recipes: every key with its meaning, kind, unit, default and the stages that it affects."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from docs_pages.markdown import code, directive, prose, table
from docs_pages.units import unit_of
from xmtf.recipe.effects import Affects, Mask, StageName
from xmtf.recipe.schema import Recipe

__all__ = ["Key", "all_keys", "recipe_pages"]

_CONSEQUENCES = {
    "result": "starts over",
    "read": "reads what the key names: its contents count",
    "continues": "resumes its own work",
    "rounding": "is not repeated; results would differ by rounding",
    "none": "is not repeated",
}
_TITLES = {"": "Keys at the top", "own_tasks": "Own tasks"}


@dataclass(frozen=True)
class Key:
    """A key that holds a value; ``name`` has ``[]`` behind keys that hold a list of sections."""

    name: str
    field: FieldInfo
    hint: Any
    stages: frozenset[str] | None

    @property
    def mark(self) -> Affects:
        """What the key affects.

        Raises:
            LookupError: It has no mark.
        """
        for part in self.field.metadata:
            if isinstance(part, Affects):
                return part
        raise LookupError(f"{self.name} has no mark")


def all_keys() -> Iterator[Key]:
    """Yield every key of a recipe that holds a value, in the order of the schema."""
    yield from _keys(Recipe, "", None)


def recipe_pages() -> dict[str, str]:
    """Return name -> text of a page for each section of a recipe, and ``index``."""
    pages: dict[str, list[str]] = {}
    for key in all_keys():
        section = key.name.partition(".")[0].removesuffix("[]") if "." in key.name else ""
        pages.setdefault(section, []).append(_entry(key))
    texts = {name or "top": _page(name, entries) for name, entries in pages.items()}
    return texts | {"index": _index(texts, pages)}


def _page(name: str, entries: list[str]) -> str:
    about = "" if not name else prose(inspect.getdoc(_section_of(Recipe.model_fields[name].annotation)) or "")
    return f"# {_TITLES.get(name, name.capitalize())}\n\n{about}\n\n" + "\n".join(entries)


def _index(texts: dict[str, str], pages: dict[str, list[str]]) -> str:
    rows = [(f"[{_TITLES.get(name, name)}]({name or 'top'}.md)", str(len(entries))) for name, entries in pages.items()]
    effects = [(code(effect), f"the stage {said}") for effect, said in _CONSEQUENCES.items()]
    return (
        "# Every key of a recipe\n\nMade from the schema (`xmtf recipe schema` prints it as JSON schema). A key in a "
        "list of sections is written with `[]`; on the command line a number takes its place: "
        "`mixture.tasks.0.cap_examples=100`.\n\n"
        f"{table(('section', 'keys'), rows)}\n"
        "Under every key is what a change of it costs, stage by stage "
        "([runs](../../runs.md#what-a-changed-key-costs)). Stages that are not named do not see the key; a stage that "
        "starts over changes what later stages read, so these start over, too. `guard` is the part of the mixture that "
        "knows what the suites ask, `export` makes the model folder.\n\n"
        f"{table(('effect', 'consequence of a change'), effects)}\n"
        + directive("toctree", "", "\n".join(texts)).replace("\n\n", "\n:hidden:\n\n", 1)
    )


def _keys(model: type[BaseModel], prefix: str, stages: frozenset[str] | None) -> Iterator[Key]:
    hints = get_type_hints(model, include_extras=True)
    for name, field in model.model_fields.items():
        masks = [part.stages for part in field.metadata if isinstance(part, Mask)]
        seen = frozenset.intersection(*masks, *([] if stages is None else [stages])) if masks else stages
        section = _section_of(field.annotation)
        if section is None:
            yield Key(f"{prefix}{name}", field, hints[name], seen)
        else:
            listed = "[]" if _holds_list(field.annotation) else ""
            yield from _keys(section, f"{prefix}{name}{listed}.", seen)


def _entry(key: Key) -> str:
    unit = unit_of(key.name, key.hint)
    body = [prose(" ".join((key.field.description or "").split()))]
    body.append(f"Unit: {unit}." if unit else "")
    body.append(_affected(key))
    text = "\n\n".join(part for part in body if part)
    return directive("confval", key.name, text, type=_kind(key.hint, key.field), default=_default(key.field))


def _affected(key: Key) -> str:
    """Return what a change costs; marks that depend on the recipe say the strictest, and what it depends on."""
    lines = []
    for stage, mark in key.mark.stages.items():
        if key.stages is not None and stage not in key.stages:
            continue
        effect = key.mark.effect(_stage(stage), None)
        depends = ""
        if callable(mark):
            why = " ".join((mark.__doc__ or "").split()).rstrip(".")
            depends = f"; depends on the recipe{': ' + prose(why[:1].lower() + why[1:]) if why else ''}"
        if effect != "none" or depends:
            lines.append(f"{stage} {_CONSEQUENCES[effect]} (`{effect}`){depends}")
    return f"A change: {'; '.join(lines)}." if lines else "A change repeats nothing: no stage's outcome depends on it."


def _stage(name: str) -> StageName:
    assert name in get_args(StageName), name
    return name  # type: ignore[return-value]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    if value is None or value in ((), {}, ""):
        return "empty"
    if isinstance(value, bool):
        return code(str(value).lower())
    return code(", ".join(map(str, value)) if isinstance(value, tuple) else str(value))


def _kind(hint: Any, field: FieldInfo) -> str:
    """Return what a value may be, such as ``whole number, 1 or more``."""
    parts = [_part(part) for part in _alternatives(hint)]
    limits = [said for part in field.metadata if (said := _limit(part))]
    return ", ".join([" or ".join(dict.fromkeys(parts)), *limits])


def _alternatives(hint: Any) -> list[Any]:
    """Return the parts of a union without its null, through annotations."""
    if hasattr(hint, "__metadata__"):
        return _alternatives(hint.__origin__)
    if (get_origin(hint) is not None and NoneType in get_args(hint)) or str(get_origin(hint)) in _UNIONS:
        return [inner for part in get_args(hint) if part is not NoneType for inner in _alternatives(part)]
    return [hint]


_UNIONS = ("<class 'types.UnionType'>", "typing.Union", "<class 'typing.Union'>")
_NAMES = {int: "whole number", float: "number", str: "text", bool: "`true` or `false`", object: "any value"}


def _part(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return " or ".join(code(str(value)) for value in arguments)
    if origin is tuple:
        return f"list of {_inner(arguments[0])}"
    if origin is dict:
        return f"mapping of {_inner(arguments[0])} to {_inner(arguments[1])}"
    return _NAMES.get(hint, "a value as described")


def _inner(hint: Any) -> str:
    return " or ".join(dict.fromkeys(_part(part) for part in _alternatives(hint)))


def _limit(part: object) -> str:
    for name, said in (("ge", "{} or more"), ("gt", "above {}"), ("le", "at most {}"), ("lt", "below {}")):
        value = getattr(part, name, None)
        if value is not None:
            return said.format(f"{value:,}" if isinstance(value, int) else value)
    return ""


def _section_of(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section_of(part))), None)


def _holds_list(annotation: object) -> bool:
    return get_origin(annotation) in (tuple, list) or any(map(_holds_list, get_args(annotation)))
