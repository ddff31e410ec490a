"""``xmtf launch``: a whole recipe on a cluster, or in multiple local processes."""

from __future__ import annotations

import importlib.util
import shlex
from pathlib import Path
from typing import Annotated

import typer

from xmtf.artefacts.ownership import check_run_folder, claim_run_folder
from xmtf.cli.runs.run import outcome_json
from xmtf.cli.terminal.options import Overrides, PrintJson, RecipePath, Replace, needs_models
from xmtf.cli.terminal.printing import print_json, print_text
from xmtf.execution import say, warn
from xmtf.files import alone_in
from xmtf.launch import Cluster, check_scripts, write_scripts
from xmtf.launch import submit as hand_in
from xmtf.recipe import LoadedRecipe, load_recipe
from xmtf.runs.pipeline import outcome_of
from xmtf.runs.replacing import prepare
from xmtf.tasks import lacking_suites

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Run a recipe on a cluster, or in multiple local processes.")

_LOCK = ".launch.lock"
"""Held by ``launch local``; its stages hold that of the run folder, one after the other."""


MaxRestarts = Annotated[int, typer.Option(min=0, help="Restarts of training after a process has died.")]
Grace = Annotated[
    int | None,
    typer.Option(min=1, help="Seconds before the time limit at which to save and stop; default: by checkpoint size."),
]
Setup = Annotated[
    list[str] | None,
    typer.Option(help="Shell line that every job starts with, such as 'module load cuda'; may be repeated."),
]
Within = Annotated[
    str | None, typer.Option(help="Command that wraps the others, such as 'apptainer exec --nv image.sif'.")
]


@app.command()
def slurm(
    recipe: RecipePath,
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the scripts; default: slurm/ of the run folder.")] = None,
    partition: Annotated[str | None, typer.Option(help="Partition of all jobs.")] = None,
    cpu_partition: Annotated[str | None, typer.Option(help="Partition of jobs that need no model.")] = None,
    account: Annotated[str | None, typer.Option(help="Account to charge.")] = None,
    time: Annotated[str | None, typer.Option(help="Time limit of a job, such as 20:00:00.")] = None,
    mem: Annotated[str | None, typer.Option(help="Memory per node, such as 64G.")] = None,
    nodes: Annotated[int, typer.Option(min=1, help="Number of nodes for training.")] = 1,
    gpus_per_node: Annotated[int, typer.Option(min=0, help="GPUs per node.")] = 0,
    processes_per_node: Annotated[
        int | None, typer.Option(min=1, help="Training processes per node; default: one per GPU, or one.")
    ] = None,
    cpus_per_task: Annotated[int, typer.Option(min=1, help="CPU cores per job and node.")] = 1,
    jobs: Annotated[int, typer.Option(min=1, help="Array jobs that build the mixture and its tokens.")] = 16,
    evaluation_jobs: Annotated[
        int | None, typer.Option(min=1, help="Array jobs per evaluation; default: the number of training processes.")
    ] = None,
    grace: Grace = None,
    max_restarts: MaxRestarts = 0,
    setup: Setup = None,
    within: Within = None,
    option: Annotated[
        list[str] | None, typer.Option(help="Additional sbatch option, such as --qos=long; may be repeated.")
    ] = None,
    replace: Replace = False,
    submit: Annotated[bool, typer.Option("--submit", help="Also submit the jobs.")] = False,
    as_json: PrintJson = False,
) -> None:
    """Write the stages of a recipe as Slurm jobs.

    Writes one script per stage, and submit.sh, which submits them. Each job starts when the jobs that it depends on
    have succeeded; training runs under torchrun. A job that is killed, or stopped at its time limit, is requeued and
    resumes where it stopped.

    Example: xmtf launch slurm recipes/train/bloomz-7b1.yaml --nodes 8 --gpus-per-node 8 --time 20:00:00 --submit
    """
    given = tuple(overrides or ())
    loaded = load_recipe(recipe, given)
    cluster = Cluster(
        partition=partition,
        cpu_partition=cpu_partition,
        account=account,
        time=time,
        memory=mem,
        nodes=nodes,
        gpus_per_node=gpus_per_node,
        processes_per_node=processes_per_node,
        cpus_per_task=cpus_per_task,
        jobs=jobs,
        evaluation_jobs=evaluation_jobs,
        grace_s=grace or _grace(loaded, nodes),
        options=tuple(option or ()),
        max_restarts=max_restarts,
        setup=tuple(setup or ()),
        within=tuple(shlex.split(within or "")),
    )
    folder = out or loaded.run.slurm
    check_scripts(folder, replace=replace)
    _prepare(loaded, replace)
    files = [str(path) for path in write_scripts(loaded, given, cluster, folder, replace=replace)]
    for path in () if as_json else files:
        print_text(path)
    for suite, why in lacking_suites(loaded).items():
        warn(f"evaluation suite {suite!r}: its jobs will fail as it is: {why}")
    handed_in = hand_in(folder) if submit else ""
    if as_json:
        print_json({"files": files, "submitted": handed_in.splitlines()})
    elif submit:
        print_text(handed_in)
    if not submit:
        say(f"check them, then submit them with: bash {folder / 'submit.sh'}")


@app.command()
@needs_models
def local(
    recipe: RecipePath,
    overrides: Overrides = None,
    processes: Annotated[int, typer.Option(min=1, help="Number of processes.")] = 2,
    max_restarts: MaxRestarts = 0,
    replace: Replace = False,
    as_json: PrintJson = False,
) -> None:
    """Run a recipe in multiple local processes.

    Builds in a process pool, trains under torchrun, and splits evaluations among processes. On GPUs, each process has
    one to itself; more processes than GPUs are an error. Finished stages are skipped; an interrupted run resumes where
    it stopped.

    Example: xmtf launch local recipes/smoke/bloom-tiny.yaml --processes 2
    """
    from xmtf.launch import run_local

    given = tuple(overrides or ())
    loaded = load_recipe(recipe, given)
    check_run_folder(loaded.run_folder)
    with alone_in(loaded.run_folder, name=_LOCK):
        _prepare(loaded, replace)
        run_local(loaded, given, processes, max_restarts=max_restarts)
    if as_json:
        print_json(outcome_json(outcome_of(loaded)))


@app.command()
@needs_models
def node(
    recipe: RecipePath,
    overrides: Overrides = None,
    nodes: Annotated[int, typer.Option(min=1, help="Machines that train together; each runs this command.")] = 1,
    processes: Annotated[int, typer.Option(min=1, help="Training processes of this machine, one per GPU.")] = 1,
    endpoint: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Rendezvous: one of the machines, and a free port of it.")
    ] = None,
    run: Annotated[str, typer.Option(help="Name of the rendezvous, the same on all machines.")] = "xmtf",
    max_restarts: MaxRestarts = 0,
) -> None:
    """Start this machine's part of a training on several machines.

    For schedulers that start one command on every machine, such as Kubernetes and SkyPilot. The token files are made
    before, with `xmtf run RECIPE --until tokens`. SIGTERM saves a checkpoint; the same command resumes.

    Example: xmtf launch node recipes/train/bloomz-7b1.yaml --nodes 8 --processes 8 --endpoint node-0:29500
    """
    from xmtf.launch import Meeting, run_node

    given = tuple(overrides or ())
    run_node(load_recipe(recipe, given), given, processes, Meeting(nodes, endpoint, run, max_restarts))


_GRACE_S = 120
_STEP_S = 60


def _grace(loaded: LoadedRecipe, nodes: int) -> int:
    """Return the seconds that a step and twice the saving of a checkpoint take; where its size is not known, 120."""
    if importlib.util.find_spec("torch") is not None:
        from xmtf.training.overhead import NODE_BYTES_S
        from xmtf.training.plan import checkpoint_bytes

        size = checkpoint_bytes(loaded)
        if size is not None:
            return max(_GRACE_S, round(_STEP_S + 2 * size / (nodes * NODE_BYTES_S)))
    say(f"the size of a checkpoint is not known here: jobs get {_GRACE_S} s to save before their end (--grace)")
    return _GRACE_S


def _prepare(loaded: LoadedRecipe, replace: bool) -> None:
    """Claim the run folder, and refuse to lose finished work in it, before any job begins."""
    check_run_folder(loaded.run_folder)
    with alone_in(loaded.run_folder):
        claim_run_folder(loaded.run_folder)
        prepare(loaded, replace=replace)
