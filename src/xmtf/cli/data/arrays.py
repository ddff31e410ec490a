"""What array jobs share: rendering, the parts of the mixture, and its tokens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer

from xmtf.cli.data.pack import of_recipe
from xmtf.json_types import JsonObject
from xmtf.mixture.build import run_work_tasks, write_parts_plan, write_work_plan
from xmtf.recipe import LoadedRecipe, load_recipe
from xmtf.tokens import run_token_tasks, write_tokens_plan

__all__ = ["Step", "StepOut", "plan_step", "planned_line", "run_step", "step_folder"]

StepName = Literal["render", "parts", "tokens"]
Step = Annotated[
    StepName, typer.Option(help="What the jobs share: rendering, then the parts of the mixture, then its tokens.")
]
StepOut = Annotated[
    Path | None,
    typer.Option("--out", help="Folder of the mixture, or of the token files; default: those of the run."),
]


def step_folder(loaded: LoadedRecipe, step: StepName, out: Path | None) -> Path:
    """Return the folder that a step writes to: of the mixture, or of the token files."""
    return out or (loaded.run.tokens if step == "tokens" else loaded.run.mixture)


def plan_step(
    recipe: Path, overrides: list[str] | None, step: StepName, out: Path | None, *, replace: bool
) -> tuple[Path, int]:
    """Write the plan of a step, and what its tasks need; return the folder and how many tasks there are."""
    if step == "tokens":
        loaded, base, family = of_recipe(recipe, overrides or [], None)
        folder = step_folder(loaded, step, out)
        return folder, write_tokens_plan(loaded, loaded.run.mixture, folder, family=family, base=base, replace=replace)
    loaded = load_recipe(recipe, overrides or [])
    folder = step_folder(loaded, step, out)
    write = write_work_plan if step == "render" else write_parts_plan
    return folder, write(loaded, folder, replace=replace)


def planned_line(recipe: Path, step: StepName, folder: Path, tasks: int) -> str:
    """Return what to do next."""
    if not tasks:
        what = "token files are" if step == "tokens" else "mixture is"
        return f"{folder}: the {what} already finished"
    option = "" if step == "render" else f" --step {step}"
    then = "pack" if step == "tokens" else "merge"
    command = f"xmtf data run-task {recipe}{option}"
    return f"{tasks} shard tasks: run `{command} --index 0` to --index {tasks - 1}, then {then}"


def run_step(folder: Path, step: StepName, index: int, jobs: int | None) -> Iterator[JsonObject]:
    """Do tasks of a step; yield of each its number, how many examples it read, and how many it kept."""
    if step == "tokens":
        for number, result in run_token_tasks(folder, index, jobs):
            yield {"task": number, "rendered": result["in"], "examples": result["out"]}
        return
    for number, result in run_work_tasks(folder, index, jobs, step):
        if step == "parts":
            yield {"task": number, "rendered": result["rows"], "examples": result["rows"]}
        else:
            yield {"task": number, "rendered": result["in"], "examples": sum(run["rows"] for run in result["runs"])}
