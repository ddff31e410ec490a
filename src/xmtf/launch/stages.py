"""The stages of a run as commands of xmtf, each of which may run on another machine.

::

    plan ─▶ render* ─▶ mixture ─▶ tokens ─┬─▶ before* ─▶ before_scores ──────────┬─▶ report
                                          └─▶ train ─▶ after* ─▶ after_scores ───┘       * an array of jobs

They are the commands that a person would type. Each resumes where it stopped when it is given again, and the last one,
``xmtf run``, finds every stage of the run finished but the report.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from xmtf.recipe import LoadedRecipe

__all__ = ["NO_LOGS", "LaunchStage", "check_layout", "launch_stages"]

NO_LOGS = ("--log-dir", os.devnull)
"""Keeps torchrun from leaving a folder ``torchelastic_*`` in the temporary directory each time."""

Place = Literal["one", "array", "ranks"]
"""``one`` process, an ``array`` of processes that know nothing of one another, or ``ranks`` under torchrun."""


@dataclass(frozen=True, slots=True)
class LaunchStage:
    """One command of a run.

    Attributes:
        name: Short name; names its file and its job.
        purpose: What it does, in a few words.
        command: Arguments of ``xmtf``.
        after: Stages that must have succeeded before.
        place: Where it runs.
        jobs: Processes of an array; each does the command with its number as ``--index``.
        model: Whether it computes with the model, on a GPU where there is one.
    """

    name: str
    purpose: str
    command: tuple[str, ...]
    after: tuple[str, ...] = ()
    place: Place = "one"
    jobs: int = 1
    model: bool = False


def launch_stages(
    loaded: LoadedRecipe, overrides: tuple[str, ...], *, building: int, measuring: int
) -> list[LaunchStage]:
    """Return the stages that a recipe has, each after those that it needs.

    Args:
        loaded: The recipe, with the overrides.
        overrides: ``key=value``, as the commands repeat them.
        building: Jobs that share the rendering of the mixture.
        measuring: Jobs that share an evaluation.
    """
    recipe = loaded.recipe
    of = (str(loaded.path.resolve()), *overrides)
    prepared = "tokens" if recipe.model.base else "initial"
    render = ("data", "run-task", *of, "--jobs", str(building))
    stages = [
        LaunchStage(
            "plan", "plans the mixture and indexes the evaluation suites", ("data", "plan", *of, "--write", "--replace")
        ),
        LaunchStage("render", "renders the shards of the mixture", render, ("plan",), "array", building),
        LaunchStage(
            "mixture", "shuffles, deduplicates and writes the mixture", ("data", "merge", *of, "--replace"), ("render",)
        ),
        LaunchStage("tokens", "tokenises the mixture", ("run", *of, "--until", prepared), ("mixture",)),
    ]
    ends = []
    if recipe.evaluation.suites and recipe.evaluation.before:
        start = recipe.model.base or str(loaded.run.initial)
        stages += _measuring(("evaluate", "run", *of, "--label", "before", "--model", start), "tokens", measuring)
        ends.append(stages[-1].name)
    stages.append(LaunchStage("train", "finetunes the model", ("train", *of), ("tokens",), "ranks", model=True))
    if recipe.evaluation.suites:
        stages += _measuring(("evaluate", "run", *of, "--label", "after"), "train", measuring)
    ends.append(stages[-1].name)
    return [*stages, LaunchStage("report", "writes the report and the model card", ("run", *of), tuple(ends))]


def check_layout(loaded: LoadedRecipe, processes: int) -> None:
    """See that so many processes can train together as the recipe says, before any stage begins.

    Raises:
        ConfigError: The degrees of ``training.parallel`` do not multiply to them.
    """
    parallel = loaded.recipe.training.parallel
    if parallel != type(parallel)():  # any number of processes fits the default, and telling so needs no torch
        from xmtf.training.topology.mesh import resolve_dims

        resolve_dims(parallel, processes)


def _measuring(command: tuple[str, ...], needs: str, jobs: int) -> list[LaunchStage]:
    """Return the stages of an evaluation: one, or an array that answers and one that writes the results."""
    label = command[command.index("--label") + 1]
    if jobs == 1:
        return [LaunchStage(label, f"evaluates the model {label} training", command, (needs,), model=True)]
    share = (*command, "--jobs", str(jobs))
    return [
        LaunchStage(label, f"queries the model {label} training", share, (needs,), "array", jobs, model=True),
        LaunchStage(f"{label}_scores", "writes the results of the evaluation", command, (label,), model=True),
    ]
