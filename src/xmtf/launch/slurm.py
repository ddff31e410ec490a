"""A whole run as jobs of Slurm: one readable file a stage, and one that hands them all in.

::

    runs/demo/slurm/
      plan.sbatch render.sbatch ... mixture.sbatch ... tokens.sbatch before.sbatch train.sbatch ... report.sbatch
      stage.sh       sourced by each: folder, environment, what happens when a stage is stopped or killed
      submit.sh      hands them to Slurm, each after those that it needs
      logs/

Nothing of the recipe reaches a shell unquoted, and nothing of it is in a line that Slurm reads.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from xmtf.artefacts.ownership import MARKER, write_marker
from xmtf.artefacts.written_files import WrittenFiles
from xmtf.errors import ConfigError, DataError
from xmtf.files import file_sha256, slug, write_text
from xmtf.launch.stage import LaunchStage
from xmtf.launch.stages import NO_LOGS, check_layout, launch_stages
from xmtf.recipe import LoadedRecipe
from xmtf.remote.storage import check_address, is_remote
from xmtf.run_folder import stop_file
from xmtf.sources.mirror import split_roots
from xmtf.tasks.checkouts import TEMPLATES_ROOT, absolute_roots

__all__ = ["Cluster", "check_scripts", "submit", "write_scripts"]

SUBMIT = "submit.sh"
"""File that hands the stages to Slurm."""
STAGE = "stage.sh"
"""File that every stage sources."""
_KIND = "jobs of Slurm"
LOGS = "logs"
"""Folder of what the stages print."""

_FOLDERS = ("XMTF_DATA_ROOT", "HF_HOME", "HF_HUB_CACHE")
"""Environment variables that name a folder, or several; jobs get their absolute paths."""

_PASSED_ON = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "PYTHONPATH")
"""Environment variables that jobs get as they are here; tokens and keys are not written to files."""

_OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.,+-]*")
_TIME = re.compile(r"\d+(-\d+(:\d+){0,2}|(:\d+){0,2})")
_MEMORY = re.compile(r"\d+[KMGT]?")
_OPTION = re.compile(r"--[a-z][a-z-]*(=[A-Za-z0-9_.,:+*/@-]+)?")


@dataclass(frozen=True, slots=True)
class Cluster:
    """What to ask of Slurm.

    Attributes:
        partition: Partition of all jobs, or None for the cluster's default.
        cpu_partition: Partition of the jobs that compute with no model; default ``partition``.
        account: Account to charge.
        time: Time limit of a job, as Slurm writes it: minutes, ``hours:minutes:seconds`` or ``days-hours``.
        memory: Memory of a node, such as ``64G``.
        nodes: Nodes that train together.
        gpus_per_node: GPUs of each.
        processes_per_node: Training processes of each node; default one per GPU, else one.
        cpus_per_task: Cores of a job on each node. A job that renders has one, one that evaluates those of a training
            process.
        jobs: Jobs that share the rendering of the mixture, then its parts, then its tokens.
        evaluation_jobs: Jobs that share an evaluation; default as many as train together. With ``evaluation.parallel``
            those that train together evaluate in one job.
        grace_s: Seconds before the time limit at which a job is told to save and stop.
        options: Further options of ``sbatch`` for all jobs, such as ``--qos=long``.
        max_restarts: How often the processes of a training are started again when one has died, within its job.
        setup: Lines of shell that every job begins with, such as ``module load cuda``.
        within: Words of a command that runs the others, such as ``apptainer exec --nv image.sif``.
    """

    partition: str | None = None
    cpu_partition: str | None = None
    account: str | None = None
    time: str | None = None
    memory: str | None = None
    nodes: int = 1
    gpus_per_node: int = 0
    processes_per_node: int | None = None
    cpus_per_task: int = 1
    jobs: int = 16
    evaluation_jobs: int | None = None
    grace_s: int = 120
    options: tuple[str, ...] = ()
    max_restarts: int = 0
    setup: tuple[str, ...] = ()
    within: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what Slurm would misread."""
        _check("--partition", self.partition, _NAME, "a name")
        _check("--cpu-partition", self.cpu_partition, _NAME, "a name")
        _check("--account", self.account, _NAME, "a name")
        _check("--time", self.time, _TIME, "a time limit, such as 20:00:00 or 1-12")
        _check("--mem", self.memory, _MEMORY, "a size, such as 64G")
        for option in self.options:
            _check("--option", option, _OPTION, "an option of sbatch, such as --qos=long")
        if 0 < self.gpus_per_node < self.ranks_per_node:
            raise ConfigError(
                f"--processes-per-node {self.ranks_per_node}: a node has {self.gpus_per_node} GPUs (--gpus-per-node), "
                "and each process takes one"
            )

    @property
    def ranks_per_node(self) -> int:
        """Training processes of each node."""
        return self.processes_per_node or self.gpus_per_node or 1


def _check(option: str, value: str | None, form: re.Pattern[str], what: str) -> None:
    if value is not None and not form.fullmatch(value):
        raise ConfigError(f"{option}: {value!r} is not {what}")


def write_scripts(
    loaded: LoadedRecipe, overrides: tuple[str, ...], cluster: Cluster, out: Path, *, replace: bool = False
) -> list[Path]:
    """Write the files of all stages into ``out``; return them, in order, ``submit.sh`` last.

    Args:
        loaded: The recipe, with the overrides.
        overrides: ``key=value``, as the commands repeat them.
        cluster: What to ask of Slurm.
        out: Folder on a file system that the nodes share.
        replace: Whether scripts that somebody changed since they were written are overwritten.

    Raises:
        ConfigError: The processes do not make up the layout of the recipe, a name has a line break, or ``out`` holds
            something else, or a script that was changed.
    """
    scripts = check_scripts(out, replace=replace)
    check_layout(loaded, cluster.nodes * cluster.ranks_per_node)
    parallel = loaded.recipe.evaluation.parallel
    if cluster.evaluation_jobs is not None and parallel is not None and parallel.processes > 1:
        raise ConfigError(
            "--evaluation-jobs: with evaluation.parallel an evaluation is one job of all processes; omit the option"
        )
    out = out.resolve()
    building = ("execution.engine=pool", f"execution.workers={cluster.cpus_per_task}")
    measuring = cluster.evaluation_jobs or cluster.nodes * cluster.ranks_per_node
    stages = launch_stages(loaded, (*overrides, *building), building=cluster.jobs, measuring=measuring)
    python = _quoted(*cluster.within, sys.executable)
    texts = {STAGE: _stage_file(loaded, cluster.setup)}
    for number, stage in enumerate(stages, start=1):
        title = f"{slug(loaded.recipe.name)}, stage {number} of {len(stages)}: {stage.purpose}"
        lines = [*_header(loaded, stage, cluster, title), "", f"source {_quoted(out / STAGE)}"]
        lines += (
            _ranks(loaded, stage, cluster)
            if stage.place == "ranks"
            else [f"run_stage {python} {_quoted('-m', 'xmtf.cli', *stage.command)}"]
        )
        texts[f"{stage.name}.sbatch"] = "\n".join([*lines, ""])
    texts[SUBMIT] = _submit_file(stages, out)
    with scripts.writing(whole=True) as folder:
        for name, text in texts.items():
            write_text(folder / name, text)
    (out / LOGS).mkdir(exist_ok=True)
    return [out / name for name in texts if name != STAGE]


def check_scripts(out: Path, *, replace: bool = False) -> WrittenFiles:
    """Return the folder that scripts are written to.

    Raises:
        ConfigError: As of :func:`write_scripts`: it holds something else, or a script that was changed.
    """
    scripts = WrittenFiles(out, _KIND, replace)
    _adopt(out)
    scripts.check()
    return scripts


def _adopt(out: Path) -> None:
    """Take the scripts that an earlier version wrote, which left no marker, as ours."""
    if (out / STAGE).is_file() and not (out / MARKER).exists():
        paths = [out / STAGE, *out.glob("*.sbatch"), *out.glob(SUBMIT)]
        write_marker(out, _KIND, outputs={path.name: file_sha256(path) for path in paths})


def submit(out: Path) -> str:
    """Hand the stages of a folder to Slurm; return what Slurm calls them, a line each.

    Raises:
        ConfigError: There is no Slurm on this machine.
        DataError: Slurm refused a job; says how.
    """
    if shutil.which("sbatch") is None:
        raise ConfigError(
            f"sbatch is not installed on this machine; on a machine that has it, run `bash {out / SUBMIT}`"
        )
    result = subprocess.run(["bash", str(out / SUBMIT)], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise DataError(f"{out / SUBMIT}: {result.stderr.strip() or result.stdout.strip()}")
    return result.stdout.rstrip("\n")


def _header(loaded: LoadedRecipe, stage: LaunchStage, cluster: Cluster, title: str) -> list[str]:
    """Return the first lines of a file, which Slurm reads: validated values only, never the user's own text."""
    partition = cluster.partition if stage.model else cluster.cpu_partition or cluster.partition
    options = {
        "job-name": f"{slug(loaded.recipe.name)}-{stage.name}",
        "output": f"{LOGS}/%x-%A_%a.log" if stage.place == "array" else f"{LOGS}/%x-%j.log",
        "open-mode": "append",
        "partition": partition,
        "account": cluster.account,
        "time": cluster.time,
        "mem": cluster.memory,
        "array": f"0-{stage.jobs - 1}" if stage.place == "array" else None,
        "nodes": cluster.nodes if stage.place == "ranks" else 1,
        "ntasks-per-node": 1,
        "cpus-per-task": _cores(stage, cluster),
        "gpus-per-node": _gpus(stage, cluster),
        "signal": f"B:TERM@{cluster.grace_s}",
    }
    lines = ["#!/usr/bin/env bash", f"# {title}", "# Written by `xmtf launch slurm`; see docs/cluster.md."]
    lines += [f"#SBATCH --{name}={value}" for name, value in options.items() if value is not None]
    return [*lines, "#SBATCH --requeue", *(f"#SBATCH {option}" for option in cluster.options)]


def _cores(stage: LaunchStage, cluster: Cluster) -> int:
    if stage.place != "array":
        return cluster.cpus_per_task
    return max(1, cluster.cpus_per_task // cluster.ranks_per_node) if stage.model else 1


def _gpus(stage: LaunchStage, cluster: Cluster) -> int | None:
    if not stage.model or not cluster.gpus_per_node:
        return None
    return cluster.gpus_per_node if stage.place == "ranks" else 1


def _ranks(loaded: LoadedRecipe, stage: LaunchStage, cluster: Cluster) -> list[str]:
    """Return the lines that start torchrun on every node; its processes meet at the first node of the job."""
    stop = _quoted(stop_file(loaded.run.checkpoints.resolve()))
    threads = max(1, cluster.cpus_per_task // cluster.ranks_per_node)
    torchrun = [
        f"srun --ntasks-per-node=1 --cpus-per-task={cluster.cpus_per_task} --kill-on-bad-exit=1",
        f"{_quoted(*cluster.within, sys.executable)} -m torch.distributed.run",
        f'--nnodes="$SLURM_JOB_NUM_NODES" --nproc-per-node={cluster.ranks_per_node}',
        '--rdzv-backend=c10d --rdzv-id="$SLURM_JOB_ID" --rdzv-endpoint="$head:$port"',
        _quoted(*NO_LOGS, *(("--max-restarts", str(cluster.max_restarts)) if cluster.max_restarts else ())),
        f"-m xmtf.cli {_quoted(*stage.command)}",
    ]
    return [
        f"export OMP_NUM_THREADS={threads}",
        'head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)',
        "port=$((20000 + SLURM_JOB_ID % 20000))    # jobs that share a node do not meet",
        *([f"stop_file={stop}    # makes training save a checkpoint and stop"] if stage.saves else []),
        "run_stage " + " \\\n    ".join(torchrun),
    ]


def _stage_file(loaded: LoadedRecipe, setup: tuple[str, ...]) -> str:
    passed = {name: _absolute(os.environ[name]) for name in _FOLDERS if os.environ.get(name)}
    if templates := os.environ.get(TEMPLATES_ROOT):
        passed[TEMPLATES_ROOT] = absolute_roots(templates)
    passed |= {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    passed |= _OFFLINE if loaded.recipe.offline else {}
    exports = [f"export {name}={_quoted(value)}" for name, value in passed.items()]
    own = ["set +u    # what sites provide is seldom written for it", *setup, "set -u"] if setup else []
    lines = ["set -euo pipefail", f"cd -- {_quoted(Path.cwd())}", *exports, *own]
    template = (files("xmtf.launch") / STAGE).read_text(encoding="utf-8")
    return template.replace("# @environment@", "\n".join(lines))


def _absolute(folders: str) -> str:
    """Return folders, parted like the entries of PATH, as absolute paths; addresses stay as they are.

    Raises:
        ConfigError: An address carries credentials: the job scripts would, too.
    """
    roots = split_roots(folders)
    for root in roots:
        if is_remote(root):
            check_address(root)
    return os.pathsep.join(root if is_remote(root) else str(Path(root).resolve()) for root in roots)


def _submit_file(stages: list[LaunchStage], out: Path) -> str:
    lines = [
        "#!/usr/bin/env bash",
        "# Submits the stages to Slurm; each starts when the stages that it depends on have succeeded.",
        "# Prints their job ids. When run again after a failure, finished stages are skipped.",
        "set -euo pipefail",
        f"cd -- {_quoted(out)}",
        f"rm -f {LOGS}/*.failed",
        "",
        "submit() {    # name of the stage, options of sbatch ...",
        '    local id; id=$(sbatch --parsable "${@:2}" "$1.sbatch") || exit 1',
        '    echo "${id%%;*}"',
        "}",
        "",
    ]
    for stage in stages:
        after = ":".join(f"${{{name}}}" for name in stage.after)
        option = f' --dependency="afterok:{after}"' if after else ""
        lines.append(f"{stage.name}=$(submit {stage.name}{option})")
    lines += ["", "printf '%-9s %s\\n' " + " ".join(f'{stage.name} "${stage.name}"' for stage in stages)]
    return "\n".join([*lines, ""])


def _quoted(*values: str | Path) -> str:
    """Return values as the words of a shell command.

    Raises:
        ConfigError: A line break in one of them: Slurm reads scripts line by line.
    """
    words = list(map(str, values))
    for word in words:
        if not {"\n", "\r", "\0"}.isdisjoint(word):
            raise ConfigError(f"{word!r}: contains a line break, which job scripts do not allow")
    return shlex.join(words)
