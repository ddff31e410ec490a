"""Near duplicates of a build: signatures of all slices, then which rows are left out.

::

    near/<slice>/      signatures-<n>.npy, rows-<n>.npz, done.json
    left-out/          <slice>.npz: rows that the shard of the slice leaves out; done.json names what decided
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xmtf.execution import run_shown
from xmtf.files import read_json, write_json
from xmtf.mixture.plan.plan import MixturePlan, read_slice
from xmtf.mixture.select.near_groups import LeftOut, NearRows, group_rows_near, read_left_out
from xmtf.mixture.select.near_rows import write_near_rows

__all__ = ["build_near", "build_near_shard", "left_out_of"]

_NEAR, _LEFT_OUT, _DONE = "near", "left-out", "done.json"


def build_near(plan: MixturePlan, work: Path) -> None:
    """Find the rows that are left out, where the recipe asks for it, unless that is done.

    Args:
        plan: The plan.
        work: The work folder.
    """
    near, wanted = plan.near, plan.loaded.recipe.mixture.near_duplicates
    if wanted is None or not near.plan.tasks:
        return
    done = work / _LEFT_OUT / _DONE
    if done.exists() and read_json(done) == {"hash": near.hash}:
        return
    results = run_shown(near.plan, work / _NEAR, plan.loaded.recipe.execution, "comparing rows")
    slices = [
        NearRows(
            f"{task.spec['slice']['task']['id']} [{task.spec['slice']['split']}]",
            work / _NEAR / task.name,
            tuple(result["pieces"]),
            task.spec["parallel"],
        )
        for task, result in zip(near.plan.tasks, results, strict=True)
    ]
    (work / _LEFT_OUT).mkdir(exist_ok=True)
    group_rows_near(
        slices,
        work / _LEFT_OUT,
        wanted.similarity,
        one_language=wanted.translations == "one",
        seed=plan.loaded.recipe.seed,
    )
    write_json(done, {"hash": near.hash})


def build_near_shard(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Write what is compared of the rows of one slice: a shard function."""
    return write_near_rows(spec, folder, read_slice(spec))


def left_out_of(spec: dict[str, Any], folder: Path) -> LeftOut | None:
    """Return which rows the shard of a slice leaves out; ``folder`` is its own, two levels below the work folder."""
    return read_left_out(folder.parent.parent / _LEFT_OUT / spec["left_out"]) if "near" in spec else None
