"""What a key of a recipe affects: said where the key is defined, stage by stage.

Every key of the schema carries a mark, in its annotation::

    deduplicate: Annotated[bool, MIXED] = True
    threads: Annotated[int | None, affects(training="rounding", evaluation="rounding")] = None

A stage that a mark does not name cannot see the key. What a stage's fingerprint hashes is read from the marks
(:func:`marked`), so a key cannot be forgotten in a list elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast, get_args

from pydantic import BaseModel

from xmtf.files import content_hash
from xmtf.json_types import JsonObject

if TYPE_CHECKING:
    from xmtf.recipe.schema import Recipe

__all__ = [
    "FORMATS",
    "Affects",
    "Effect",
    "Mask",
    "StageName",
    "affects",
    "effects_of",
    "leaf_keys",
    "marked",
    "stage_fingerprint",
    "within",
]

StageName = Literal["mixture", "guard", "tokens", "initial", "training", "export", "evaluation", "report"]
"""What may see a key. ``guard`` is the part of the mixture that knows what the suites ask, ``training`` learns, and
``export`` makes the model folder of what was learnt."""

Effect = Literal["result", "read", "continues", "rounding", "none"]
"""What becomes of a stage's finished work when a key changes:

``result``      the stage starts over
``read``        the key names what the stage reads: it counts by content, among the inputs, and not by its text
``continues``   the stage resumes its own work: more steps, or a card written again
``rounding``    nothing is done again; results would differ by the rounding of sums, or the draws of dropout
``none``        nothing is done again; results would be the same
"""

Choice = Callable[["Recipe"], Effect]
"""An effect that depends on the rest of the recipe."""

FORMATS: Mapping[StageName, int] = {
    "mixture": 4,
    "tokens": 4,
    "initial": 1,
    "training": 1,
    "export": 1,
    "evaluation": 1,
    "report": 1,
}
"""Each rises when its stage makes something else of the same recipe and inputs: older work is not taken for new."""


@dataclass(frozen=True, slots=True)
class Affects:
    """The mark of a key: stage -> effect, or a function of the recipe that returns it."""

    stages: Mapping[str, Effect | Choice]

    def effect(self, stage: StageName, recipe: Recipe | None) -> Effect:
        """Return what the key does to a stage; without a recipe the strictest that it may do."""
        found = self.stages.get(stage, "none")
        if not callable(found):
            return found
        return "result" if recipe is None else found(recipe)


@dataclass(frozen=True, slots=True)
class Mask:
    """On a key that holds sections: which stages see what is in them."""

    stages: frozenset[str]


def affects(**stages: Effect | Choice) -> Affects:
    """Return a mark; without stages, of a key that no stage's outcome depends on."""
    return Affects(stages)


def within(*stages: StageName) -> Mask:
    """Return the mark of a key whose sections are seen by these stages alone."""
    return Mask(frozenset(stages))


def leaf_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield the dotted names of all keys that hold no section; those of lists of sections have no number.

    >>> from xmtf.recipe.schema import Recipe
    >>> [key for key in leaf_keys(Recipe) if key.startswith("own_tasks.pat")]
    ['own_tasks.path']
    """
    for name, field in model.model_fields.items():
        section = _section_of(field.annotation)
        if section is None:
            yield f"{prefix}{name}"
        else:
            yield from leaf_keys(section, f"{prefix}{name}.")


def effects_of(key: str, recipe: Recipe | None = None) -> dict[str, Effect]:
    """Return stage -> effect of a leaf key, as :func:`leaf_keys` names it, those that see it alone.

    Raises:
        LookupError: The key has no mark.
    """
    from xmtf.recipe.schema import Recipe

    model: type[BaseModel] | None = Recipe
    allowed: frozenset[str] | None = None
    metadata: list[object] = []
    for part in key.split("."):
        assert model is not None, key
        field = model.model_fields[part]
        metadata, model = field.metadata, _section_of(field.annotation)
        for mask in (item for item in metadata if isinstance(item, Mask)):
            allowed = mask.stages if allowed is None else allowed & mask.stages
    mark = _mark(metadata)
    if mark is None:
        raise LookupError(f"{key}: has no mark of what it affects; see xmtf/recipe/effects.py")
    seen = [stage for stage in mark.stages if allowed is None or stage in allowed]
    return {stage: mark.effect(cast("StageName", stage), recipe) for stage in seen}


def marked(
    value: BaseModel,
    stage: StageName,
    recipe: Recipe | None = None,
    *,
    effects: tuple[Effect, ...] = ("result",),
) -> JsonObject:
    """Return the keys of a section that have one of some effects on a stage, as JSON values.

    Args:
        value: The recipe, or one of its sections.
        stage: The stage.
        recipe: What marks that depend on the recipe are read with.
        effects: Which.
    """
    found: JsonObject = {}
    plain = value.model_dump(mode="json")
    for name, field in type(value).model_fields.items():
        masks = [item for item in field.metadata if isinstance(item, Mask)]
        if any(stage not in mask.stages for mask in masks):
            continue
        child, mark = getattr(value, name), _mark(field.metadata)
        if mark is not None:
            if name in plain and mark.effect(stage, recipe) in effects:
                found[name] = plain[name]
        elif isinstance(child, BaseModel):
            found |= _filled(name, marked(child, stage, recipe, effects=effects))
        elif isinstance(child, tuple):
            parts = [marked(part, stage, recipe, effects=effects) for part in child]
            found |= {name: parts} if any(parts) else {}
    return found


def stage_fingerprint(stage: StageName, recipe: Mapping[str, object], inputs: Mapping[str, object]) -> str:
    """Return the fingerprint of a stage: of the keys that it depends on, of what it reads, and of its format.

    Args:
        stage: The stage.
        recipe: What :func:`marked` found, and what else decides.
        inputs: Name of each input -> its fingerprint.
    """
    return content_hash({"stage": stage, "format": FORMATS[stage], "recipe": recipe, "inputs": inputs})


def _filled(name: str, section: JsonObject) -> JsonObject:
    return {name: section} if section else {}


def _mark(metadata: list[object]) -> Affects | None:
    return next((item for item in metadata if isinstance(item, Affects)), None)


def _section_of(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        found = _section_of(argument)
        if found is not None:
            return found
    return None
