"""A whole run here in multiple processes: building in a pool, training and evaluation under torchrun."""

from __future__ import annotations

import ctypes
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from xmtf.artefacts.event_log import append_event
from xmtf.errors import ConfigError, DataError
from xmtf.execution import say
from xmtf.files import Stopwatch
from xmtf.guards.tether import tether
from xmtf.json_types import JsonObject
from xmtf.launch.gpus import VISIBLE, gpus_of_processes
from xmtf.launch.meeting import ALONE, Meeting
from xmtf.launch.stage import LaunchStage
from xmtf.launch.stages import NO_LOGS, check_layout, launch_stages
from xmtf.recipe import LoadedRecipe
from xmtf.run_folder import stop_file

__all__ = ["local_commands", "run_local", "run_node"]

_LIBC, _PDEATHSIG = ctypes.CDLL(None), 1
_ONE_EACH = "--virtual-local-rank"
"""Has torchrun show each process one GPU alone."""
_DONE_BY_TOKENS = ("plan", "render", "order", "parts", "mixture", "tokenizer", "encode")
"""Stages that ``xmtf run --until tokens`` does itself, in its pool of processes."""


def local_commands(
    loaded: LoadedRecipe,
    overrides: tuple[str, ...],
    processes: int,
    *,
    on_gpus: bool = False,
    meeting: Meeting = ALONE,
) -> list[tuple[LaunchStage, list[list[str]]]]:
    """Return each stage and the commands that run side by side in it, in order.

    Args:
        loaded: The recipe, with the overrides.
        overrides: ``key=value``.
        processes: Processes that build, and that train together, or evaluate where the model is cut.
        on_gpus: Whether each of them has a GPU to itself.
        meeting: How those that train start.
    """
    building = ("execution.engine=pool", f"execution.workers={processes}")
    stages = launch_stages(loaded, (*overrides, *building), building=processes, measuring=processes)
    return [
        (stage, _commands(stage, processes, on_gpus, meeting)) for stage in stages if stage.name not in _DONE_BY_TOKENS
    ]


def _commands(stage: LaunchStage, processes: int, on_gpus: bool, meeting: Meeting) -> list[list[str]]:
    xmtf = ["-m", "xmtf.cli", *stage.command]
    if stage.place == "array":
        return [[sys.executable, *xmtf, "--index", str(index)] for index in range(stage.jobs)]
    if stage.place == "ranks" and (processes > 1 or meeting != ALONE):
        ranks = [*meeting.options(processes), *([_ONE_EACH] if on_gpus else [])]
        torchrun = ["-m", "torch.distributed.run", *ranks, *NO_LOGS]
        return [[sys.executable, *torchrun, *xmtf]]
    return [[sys.executable, *xmtf]]


def run_local(loaded: LoadedRecipe, overrides: tuple[str, ...], processes: int, *, max_restarts: int = 0) -> None:
    """Carry out a recipe with ``processes`` processes; run again, it resumes where it stopped.

    They end with this process, however it ends.

    Args:
        loaded: The recipe, with the overrides.
        overrides: ``key=value``.
        processes: Processes that build, and that train together.
        max_restarts: How often those that train are started again when one has died.

    Raises:
        ConfigError: The processes do not make up the layout of the recipe, there are fewer GPUs, or a stage was told
            something wrong and has said what.
        DataError: A stage failed; it has said why.
    """
    check_layout(loaded, processes)
    gpus = gpus_of_processes(processes, loaded.recipe.training.device)
    meeting = Meeting(max_restarts=max_restarts)
    with tether() as tied:
        environment = _environment(processes) | tied
        for stage, commands in local_commands(loaded, overrides, processes, on_gpus=bool(gpus), meeting=meeting):
            say(f"{stage.name}: {stage.purpose}")
            stop = stop_file(loaded.run.checkpoints) if stage.saves else None
            own = gpus if stage.model and stage.place == "array" else []
            watch, cpu = Stopwatch(), _cpu_seconds()
            _check(stage.name, commands[0], _run(commands, environment, stop, own))
            if stage.command[:1] != ("run",):  # which writes down its stages itself
                spent: JsonObject = {"seconds": watch.seconds, "cpu_seconds": round(_cpu_seconds() - cpu, 3)}
                name = stage.name.removesuffix("_scores")
                append_event(loaded.run.log, {"event": "stage", "stage": name, **spent})


def run_node(loaded: LoadedRecipe, overrides: tuple[str, ...], processes: int, meeting: Meeting) -> None:
    """Start this machine's processes of a training on several machines; its token files are there already.

    Args:
        loaded: The recipe, with the overrides.
        overrides: ``key=value``.
        processes: Processes of this machine.
        meeting: The machines.

    Raises:
        ConfigError: As of :func:`run_local`.
        DataError: Training failed; it has said why.
    """
    check_layout(loaded, processes * meeting.nodes)
    on_gpus = bool(gpus_of_processes(processes, loaded.recipe.training.device))
    [stage] = [each for each in launch_stages(loaded, overrides, building=1, measuring=1) if each.name == "train"]
    with tether() as tied:
        commands = _commands(stage, processes, on_gpus, meeting)
        code = _run(commands, _environment(processes) | tied, stop_file(loaded.run.checkpoints), [])
        _check(stage.name, commands[0], code)


def _cpu_seconds() -> float:
    """Return the processor time of the processes that have ended."""
    return sum(os.times()[2:4])


def _environment(processes: int) -> dict[str, str]:
    threads = os.environ.get("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    return dict(os.environ) | {"OMP_NUM_THREADS": threads}


def _run(commands: list[list[str]], environment: dict[str, str], stop: Path | None, gpus: list[str]) -> int:
    """Run commands side by side; return the first exit code that is not 0, once all have ended.

    Ctrl-C reaches this process alone, which asks the others to end: training by the file that makes it save a
    checkpoint, since torchrun would kill what takes long to stop.
    """
    if stop is not None:
        stop.unlink(missing_ok=True)  # of a stop that came too late for the run before
    running = [
        subprocess.Popen(
            command,
            env=environment | ({"XMTF_PROGRESS": "off"} if number else {}) | ({VISIBLE: gpus[number]} if gpus else {}),
            process_group=0,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )
        for number, command in enumerate(commands)
    ]
    try:
        codes = [process.wait() for process in running]
    except KeyboardInterrupt:
        _stop(running, stop)
        raise
    return next((code for code in codes if code != 0), 0)


def _end_with_parent() -> None:
    """Have the system end this process, which is about to become torchrun, with the thread that waits for it.

    What is ours is tied to the command besides (:mod:`xmtf.guards.tether`); torchrun would start its ranks first.
    """
    if hasattr(_LIBC, "prctl"):  # Linux alone has it
        _LIBC.prctl(_PDEATHSIG, signal.SIGKILL)


def _stop(running: list[subprocess.Popen[bytes]], stop: Path | None) -> None:
    say("stopping; finished work is kept. A second Ctrl-C stops immediately")
    if stop is not None:
        stop.parent.mkdir(parents=True, exist_ok=True)
        stop.touch()
    try:
        for process in running:
            if stop is None:
                process.send_signal(signal.SIGINT)
        for process in running:
            process.wait()
    except KeyboardInterrupt:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()
        raise


def _check(name: str, command: list[str], code: int) -> None:
    if code in (-2, 130):
        raise KeyboardInterrupt
    if code == 2:
        raise ConfigError(f"stage {name} failed with the error above; fix it and run the same command again")
    if code != 0:
        raise DataError(
            f"stage {name} ended with exit code {code} (see above); the same command resumes where it stopped. To run "
            f"the stage alone: {shlex.join(command)}"
        )
