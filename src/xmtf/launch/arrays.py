"""What of a run is divided among the jobs of an array, and the jobs before and after it.

::

    plan ─▶ render* ─▶ order ─▶ parts* ─▶ mixture ─▶ tokenizer ─▶ encode* ─▶ tokens       * an array of jobs

The jobs of an array share the tasks of a plan that the job before it wrote; the job after it finds them finished, and
completes the folder. One job of each needs no array but that of rendering.
"""

from __future__ import annotations

from xmtf.launch.stage import LaunchStage, Place

__all__ = ["building_stages", "measuring_stages"]


def building_stages(of: tuple[str, ...], prepared: str, jobs: int) -> list[LaunchStage]:
    """Return the stages from the plan of the mixture to the token files.

    Args:
        of: Recipe and overrides.
        prepared: Last stage of ``xmtf run`` that the last of them does.
        jobs: Jobs of each array.
    """
    plan = ("data", "plan", *of, "--write", "--replace")
    share = ("data", "run-task", *of, "--jobs", str(jobs))
    stages = [
        LaunchStage("plan", "plans the mixture and indexes the evaluation suites", plan),
        LaunchStage("render", "renders the shards of the mixture", share, ("plan",), "array", jobs),
    ]
    merging, packing = "shuffles, deduplicates and writes the mixture", "tokenises the mixture"
    if jobs > 1:
        merging, packing = "completes the mixture", "completes the token files"
        stages += [
            LaunchStage("order", "shuffles and deduplicates the mixture", (*plan, "--step", "parts"), ("render",)),
            LaunchStage(
                "parts", "writes the parts of the mixture", (*share, "--step", "parts"), ("order",), "array", jobs
            ),
        ]
    stages.append(LaunchStage("mixture", merging, ("data", "merge", *of, "--replace"), (stages[-1].name,)))
    if jobs > 1:
        stages += [
            LaunchStage("tokenizer", "makes the tokenizer ready", (*plan, "--step", "tokens"), ("mixture",)),
            LaunchStage("encode", "tokenises the mixture", (*share, "--step", "tokens"), ("tokenizer",), "array", jobs),
        ]
    return [*stages, LaunchStage("tokens", packing, ("run", *of, "--until", prepared), (stages[-1].name,))]


def measuring_stages(command: tuple[str, ...], needs: str, jobs: int, *, cut: bool = False) -> list[LaunchStage]:
    """Return the stages of an evaluation: one, or an array that answers and one that writes the results.

    Args:
        command: That evaluates.
        needs: Stage that it begins after.
        jobs: Of the array.
        cut: Whether the processes hold the model together: then they are one stage under torchrun.
    """
    label = command[command.index("--label") + 1]
    if cut or jobs == 1:
        place: Place = "ranks" if cut else "one"
        return [LaunchStage(label, f"evaluates the model {label} training", command, (needs,), place, model=True)]
    share = (*command, "--jobs", str(jobs))
    return [
        LaunchStage(label, f"queries the model {label} training", share, (needs,), "array", jobs, model=True),
        LaunchStage(f"{label}_scores", "writes the results of the evaluation", command, (label,), model=True),
    ]
