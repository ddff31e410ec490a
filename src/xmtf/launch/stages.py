"""The stages of a run as commands of xmtf, each of which may run on another machine.

::

    plan ─▶ render (array) ─▶ mixture ─▶ tokens ─┬─▶ before ─────────┬─▶ report
                                                 └─▶ train ─▶ after ─┘

They are the commands that a person would type. Each goes on where it stopped when it is given again, and
the last one, ``xmtf run``, finds every stage of the run finished but the report.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from xmtf.recipe import LoadedRecipe

__all__ = ["Stage", "launch_stages"]

Place = Literal["one", "array", "ranks"]
"""``one`` process, an ``array`` of processes that know nothing of one another, or ``ranks`` under torchrun."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One command of a run.

    Attributes:
        name: Short name; names its file and its job.
        purpose: What it does, in a few words.
        command: Arguments of ``xmtf``.
        after: Stages that must have succeeded before.
        place: Where it runs.
        model: Whether it computes with the model, on a GPU where there is one.
    """

    name: str
    purpose: str
    command: tuple[str, ...]
    after: tuple[str, ...] = ()
    place: Place = "one"
    model: bool = False


def launch_stages(loaded: LoadedRecipe, overrides: tuple[str, ...], *, jobs: int) -> list[Stage]:
    """Return the stages that a recipe has, each after those that it needs.

    Args:
        loaded: The recipe, with the overrides.
        overrides: ``key=value``, as the commands repeat them.
        jobs: Jobs that share the rendering of the mixture.
    """
    recipe = loaded.recipe
    of = (str(loaded.path.resolve()), *overrides)
    prepared = "tokens" if recipe.model.base else "initial"
    share = ("--jobs", str(jobs))
    stages = [
        Stage("plan", "plans the mixture and indexes the evaluation suites", ("data", "plan", *of, "--write")),
        Stage("render", "renders the shards of the mixture", ("data", "run-task", *of, *share), ("plan",), "array"),
        Stage("mixture", "shuffles, deduplicates and writes the mixture", ("data", "merge", *of), ("render",)),
        Stage("tokens", "tokenises the mixture", ("run", *of, "--until", prepared), ("mixture",)),
        Stage("train", "finetunes the model", ("train", *of), ("tokens",), "ranks", model=True),
    ]
    last = ["train"]
    if recipe.evaluation.suites:
        if recipe.evaluation.before:
            start = recipe.model.base or str(loaded.run_folder / "initial")
            measure = ("evaluate", "run", *of, "--label", "before", "--model", start)
            stages.insert(4, Stage("before", "measures the model before training", measure, ("tokens",), model=True))
            last.append("before")
        measure = ("evaluate", "run", *of, "--label", "after")
        stages.append(Stage("after", "measures the trained model", measure, ("train",), model=True))
        last[0] = "after"
    return [*stages, Stage("report", "writes the report and the model card", ("run", *of), tuple(last))]
