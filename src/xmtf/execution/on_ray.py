"""The engine ``ray``: the tasks of a plan as Ray Core tasks, on this machine or on a cluster.

Ray only says where a task runs. What is to do, what is done and what resulted from it are in the folders of the shards,
as with every engine; so all machines need the same folder, on a file system that they share. Ray does the task of a
worker that died again, on any machine that is left.

Ray is imported when it is asked for. Its dashboard, its usage statistics and the prints of its workers
are off.
"""

from __future__ import annotations

import atexit
import os
import socket
import time
from pathlib import Path
from typing import Any

from xmtf import __version__
from xmtf.errors import ConfigError, DataError, require
from xmtf.execution.plan import Plan, run_task, shard_result
from xmtf.pandas_later import leave_pandas_out
from xmtf.recipe.schema import Execution

__all__ = ["connect", "remote_task", "run_on_ray"]

RETRIES = 5
"""How often a task is done again whose worker died: more often it is the task that kills them."""

_LISTEN_S = 5.0
"""Seconds in which a cluster must answer; Ray itself would wait for minutes, then end the process."""

_APPEAR_S = 60.0
"""Seconds in which a shard written elsewhere must be seen here: file systems that many machines share lag."""

_STORE_BYTES = 100 * 2**20
"""Size of Ray's object store on this machine: tasks and results are small, data goes through files."""

_PASSED_ON = ("HF_", "XMTF_", "OMP_", "RAYON_", "TOKENIZERS_")
"""First letters of the environment variables that a worker takes over from this process."""


def connect(execution: Execution, workers: int) -> Any:
    """Join the cluster that the recipe names, or start Ray on this machine; return the module ``ray``.

    Args:
        execution: ``address`` is ``auto``, ``local``, ``host:port`` or ``ray://host:port``.
        workers: Tasks side by side where Ray is started here.

    Raises:
        MissingExtraError: Ray is not installed.
        ConfigError: Nothing answers at the address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # what Ray is about to make its default
    ray = require("ray", "ray")
    if ray.is_initialized():
        return ray
    address = execution.address
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", "auto")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if address == "local":
        options |= {"num_cpus": workers, "include_dashboard": False, "object_store_memory": _STORE_BYTES}
    _check_answers(address)
    try:
        ray.init(address, **options)
    except (ConnectionError, SystemExit) as error:  # Ray ends the process when a cluster does not answer
        raise ConfigError(_unreachable(address)) from error
    atexit.register(ray.shutdown)
    return ray


def _check_answers(address: str) -> None:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address in ("auto", "local"):
        return
    if not host or not port.isdigit():
        raise ConfigError(f"execution.address: {address!r} is not one of auto, local, host:port or ray://host:port")
    try:
        socket.create_connection((host, int(port)), timeout=_LISTEN_S).close()
    except OSError as error:
        raise ConfigError(f"{_unreachable(address)} ({error})") from None


def _unreachable(address: str) -> str:
    if address == "auto":
        return (
            "execution.address: no Ray cluster runs on this machine; start one with `ray start --head`, give its "
            "address, or set execution.address=local to start Ray for this command only"
        )
    return f"execution.address: no Ray cluster answers at {address}"


def run_on_ray(plan: Plan, folder: Path, to_do: list[int], ray: Any, advance: Any) -> None:
    """Do some tasks of a plan on Ray.

    Args:
        plan: The plan.
        folder: Folder that holds one folder per shard; on a cluster, seen by all machines.
        to_do: The tasks, in the order in which they are handed out.
        ray: What :func:`connect` returned.
        advance: Called with the number of tasks just finished.

    Raises:
        DataError: Workers died too often over one task, or what they wrote is not seen here.
        Exception: Whatever a task raised; tasks that have not begun are cancelled.
    """
    remote = ray.remote(num_cpus=1, max_retries=RETRIES)(remote_task)
    environment = {name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)}
    environment |= {"XMTF_PROGRESS": "off", "TOKENIZERS_PARALLELISM": "false"}  # a task has one core
    common = ray.put((str(folder.resolve()), environment, __version__))
    running = {remote.remote(Plan(plan.function, (plan.tasks[index],)), common): index for index in to_do}
    try:
        while running:
            ready, _ = ray.wait(list(running), num_returns=len(running), timeout=0.5)
            for reference in ready:
                _collect(plan, folder, running.pop(reference), reference, ray)
            if ready:
                advance(len(ready))
    finally:
        for reference in running:
            ray.cancel(reference)


def remote_task(plan: Plan, common: tuple[str, dict[str, str], str]) -> None:
    """Do the one task of ``plan`` in a worker of Ray.

    Args:
        plan: A plan of one task.
        common: The folder of the shards, environment variables to set, and the version of xmtf that asks.

    Raises:
        ConfigError: This machine has another version of xmtf.
    """
    folder, environment, version = common
    if version != __version__:
        raise ConfigError(
            f"{socket.gethostname()}: runs xmtf {__version__}, but the plan was written by xmtf {version}"
        )
    os.environ.update(environment)
    leave_pandas_out()
    run_task(plan, 0, Path(folder))


def _collect(plan: Plan, folder: Path, index: int, reference: Any, ray: Any) -> None:
    """Take the result of one task: raise what it raised, and see that its shard is here."""
    task = plan.tasks[index]
    try:
        ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError) as error:
        raise DataError(
            f"{folder / task.name}: the Ray workers of this shard died {RETRIES + 1} times "
            f"({type(error).__name__}); most often because memory ran out. The same command resumes with the "
            f"remaining shards"
        ) from error
    end = time.monotonic() + _APPEAR_S
    while shard_result(task, folder) is None:
        if time.monotonic() > end:
            raise DataError(
                f"{folder / task.name}: a Ray worker finished this shard, but it is not visible here; all machines "
                f"need this folder under the same path on a shared file system"
            )
        list(folder.iterdir())  # makes a network file system look again
        time.sleep(0.2)
