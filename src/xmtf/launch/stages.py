"""The stages of a run as commands of xmtf, each of which may run on another machine.

::

    mixture, tokens ─┬─▶ before* ─▶ before_scores ──────────┬─▶ report
                     └─▶ train ─▶ after* ─▶ after_scores ───┘       * an array of jobs

They are the commands that a person would type. Each resumes where it stopped when it is given again, and the last one,
``xmtf run``, finds every stage of the run finished but the report.
"""

from __future__ import annotations

import os

from xmtf.launch.arrays import building_stages, measuring_stages
from xmtf.launch.stage import LaunchStage
from xmtf.recipe import LoadedRecipe

__all__ = ["NO_LOGS", "check_layout", "launch_stages"]

NO_LOGS = ("--log-dir", os.devnull)
"""Keeps torchrun from leaving a folder ``torchelastic_*`` in the temporary directory each time."""


def launch_stages(
    loaded: LoadedRecipe, overrides: tuple[str, ...], *, building: int, measuring: int
) -> list[LaunchStage]:
    """Return the stages that a recipe has, each after those that it needs.

    Args:
        loaded: The recipe, with the overrides.
        overrides: ``key=value``, as the commands repeat them.
        building: Jobs that share the rendering of the mixture, its parts and its tokens.
        measuring: Jobs that share an evaluation.
    """
    recipe = loaded.recipe
    parallel = recipe.evaluation.parallel
    cut = parallel is not None and parallel.processes > 1
    of = (str(loaded.path.resolve()), *overrides)
    prepared = "tokens" if recipe.model.base else "initial"
    stages = building_stages(of, prepared, building)
    ends = []
    if recipe.evaluation.suites and recipe.evaluation.before:
        start = recipe.model.base or str(loaded.run.initial)
        stages += measuring_stages(
            ("evaluate", "run", *of, "--label", "before", "--model", start), "tokens", measuring, cut=cut
        )
        ends.append(stages[-1].name)
    stages.append(
        LaunchStage("train", "finetunes the model", ("train", *of), ("tokens",), "ranks", model=True, saves=True)
    )
    if recipe.evaluation.suites:
        stages += measuring_stages(("evaluate", "run", *of, "--label", "after"), "train", measuring, cut=cut)
    ends.append(stages[-1].name)
    return [*stages, LaunchStage("report", "writes the report and the model card", ("run", *of), tuple(ends))]


def check_layout(loaded: LoadedRecipe, processes: int) -> None:
    """See that so many processes can train and evaluate together as the recipe says, before any stage begins.

    Raises:
        ConfigError: The degrees of ``training.parallel`` do not multiply to them, or they hold no whole copies of the
            model as ``evaluation.parallel`` cuts it.
    """
    evaluation = loaded.recipe.evaluation
    if evaluation.suites and evaluation.parallel is not None:
        evaluation.parallel.copies(processes)
    parallel = loaded.recipe.training.parallel
    if parallel != type(parallel)():  # any number of processes fits the default, and telling so needs no torch
        from xmtf.parallel.topology.mesh import resolve_dims

        resolve_dims(parallel, processes)
