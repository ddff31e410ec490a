"""Which slices are looked through for near duplicates and translations, before anything is rendered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import TypeAdapter

from xmtf.execution import Plan, ShardTask
from xmtf.extras import require_extra
from xmtf.files import content_hash, slug
from xmtf.mixture.plan.held_out import place_of
from xmtf.recipe import Recipe
from xmtf.tasks import Slice
from xmtf.versions import package_versions

__all__ = ["NearPlan", "plan_near"]

_SLICE = TypeAdapter(Slice)
_VERSION = 1
"""Rises when other rows are found in the same data."""


@dataclass(frozen=True, slots=True)
class NearPlan:
    """What finds rows to leave out; empty where a recipe does not ask for it.

    Attributes:
        plan: Writes the signatures of each slice.
        hash: Of all that decides.
        inputs: What the fingerprint of the mixture has to name next to the keys of the recipe.
    """

    plan: Plan = field(default_factory=lambda: Plan("xmtf.mixture.near:build_near_shard", ()))
    hash: str = ""
    inputs: dict[str, str] = field(default_factory=dict)

    def spec_of(self, name: str) -> dict[str, str]:
        """Return what the spec of a shard task says of it: which file names the rows to leave out, and its content."""
        known = any(task.name == name for task in self.plan.tasks)
        return {"near": self.hash, "left_out": f"{name}.npz"} if known else {}


def plan_near(slices: Sequence[Slice], fingerprints: Sequence[str], recipe: Recipe) -> NearPlan:
    """Return the plan of a recipe.

    Args:
        slices: In the order of the mixture's plan.
        fingerprints: Of each.
        recipe: The recipe.

    Raises:
        MissingExtraError: The package rensa is not installed.
    """
    wanted = recipe.mixture.near_duplicates
    if wanted is None:
        return NearPlan()
    inputs = {}
    if wanted.similarity is not None:
        require_extra(["rensa"])
        inputs = {"near duplicates": f"{_VERSION}, rensa {package_versions(['rensa'])['rensa']}"}
    tasks = tuple(
        _task(part, fingerprint, recipe, signs=wanted.similarity is not None)
        for part, fingerprint in zip(slices, fingerprints, strict=True)
        if recipe.mixture.tasks[part.selection].near_duplicates is None
    )
    decides = [wanted.model_dump(), recipe.seed, inputs, *(task.fingerprint for task in tasks)]
    return NearPlan(Plan("xmtf.mixture.near:build_near_shard", tasks), content_hash(decides), inputs)


def _task(part: Slice, fingerprint: str, recipe: Recipe, *, signs: bool) -> ShardTask:
    task = part.task
    spec = {
        "slice": _SLICE.dump_python(part, mode="json"),
        "fingerprint": fingerprint,
        "version": _VERSION,
        "seed": recipe.seed,
        "offline": recipe.offline,
        "signs": signs,
        "parallel": bool(task.parallel),
        "place": f"parallel {task.parallel} {part.split}" if task.parallel else place_of(part),
    }
    return ShardTask(slug(f"{task.id}:{part.split}"), spec, 1.0)
