"""Run all tasks of a plan: inline, in a pool of processes, or on Ray."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from pathlib import Path

from xmtf.errors import DataError
from xmtf.execution.on_ray import connect, run_on_ray
from xmtf.execution.plan import PLANNED, Plan, run_task, shard_result
from xmtf.files import write_json
from xmtf.json_types import JsonObject
from xmtf.pandas_later import leave_pandas_out
from xmtf.progress import track
from xmtf.recipe.schema import Execution

__all__ = ["check_engine", "num_workers", "run_plan", "run_shown"]

OnProgress = Callable[[int, int], None]
"""Called with (shards done, shards in all)."""

_POOLS = 3
"""Pools restarted after a worker died, before the build stops."""


def num_workers(execution: Execution) -> int:
    """Return how many worker processes to use here: the number given, or one per core this process may use."""
    if execution.engine == "inline":
        return 1
    if execution.workers == "auto":
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return execution.workers


def check_engine(execution: Execution) -> None:
    """See that the engine can be had, before any long work.

    Raises:
        MissingExtraError: Ray is asked for and not installed.
        ConfigError: No cluster of Ray answers.
    """
    if execution.engine == "ray":
        _ray(execution)


def _ray(execution: Execution) -> object:
    return connect(execution, num_workers(execution))


def run_plan(
    plan: Plan, folder: Path, execution: Execution, progress: OnProgress = lambda done, total: None
) -> list[dict[str, object]]:
    """Do every task that is not done yet; return the results in the order of the plan.

    Args:
        plan: What to do.
        folder: Folder that holds one folder per shard.
        execution: Engine and workers; they change nothing but the time taken.
        progress: Called after every shard.

    Raises:
        Exception: Whatever a task raised; the other running tasks finish, the rest is not started.
    """
    folder.mkdir(parents=True, exist_ok=True)
    total = len(plan.tasks)
    write_json(folder / PLANNED, {"shards": total})
    to_do = [index for index, task in enumerate(plan.tasks) if shard_result(task, folder) is None]
    to_do.sort(key=lambda index: -plan.tasks[index].cost)
    done = total - len(to_do)
    progress(done, total)

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress(done, total)

    workers = min(num_workers(execution), max(1, len(to_do)))
    if to_do and execution.engine == "ray":
        run_on_ray(plan, folder, to_do, _ray(execution), advance)
    elif workers == 1:
        for index in to_do:
            run_task(plan, index, folder)
            advance(1)
    else:
        _run_pools(plan, folder, to_do, workers, advance)
    return [run_task(plan, index, folder) for index in range(total)]


def run_shown(plan: Plan, folder: Path, execution: Execution, label: str) -> list[JsonObject]:
    """Run a plan and show how far it has come; without tasks nothing is shown."""
    if not plan.tasks:
        return []
    with track(label, len(plan.tasks), "shards") as progress:
        return run_plan(plan, folder, execution, lambda done, total: progress.set(done, total))


def _run_pools(plan: Plan, folder: Path, to_do: list[int], workers: int, advance: Callable[[int], None]) -> None:
    """Do tasks in a pool; when a worker dies (for lack of memory, most often), continue in a new pool."""
    for _ in range(_POOLS):
        try:
            return _run_pool(plan, folder, to_do, workers, advance)
        except BrokenProcessPool:
            to_do = [index for index in to_do if shard_result(plan.tasks[index], folder) is None]
    names = ", ".join(plan.tasks[index].name for index in to_do[:workers])
    raise DataError(
        f"{folder}: worker processes died {_POOLS} times, most often because memory ran out; the next tasks are "
        f"{names}. Lower execution.workers and run the same command again: it resumes"
    )


def _run_pool(plan: Plan, folder: Path, to_do: list[int], workers: int, advance: Callable[[int], None]) -> None:
    context = multiprocessing.get_context("spawn")  # fork would copy the locks of Arrow's threads
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker) as pool:
        alone = (Plan(plan.function, (plan.tasks[index],)) for index in to_do)  # the whole plan may be megabytes
        with _interrupts_held():
            running: set[Future[JsonObject]] = {pool.submit(run_task, part, 0, folder) for part in alone}
        try:
            while running:
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
                advance(len(finished))
        except KeyboardInterrupt:  # of a signal that reached this process alone
            for child in multiprocessing.active_children():
                with suppress(ProcessLookupError):
                    os.kill(child.pid or 0, signal.SIGINT)
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back while processes are started: they inherit that, and are not torn apart while they import."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


def _begin_worker() -> None:
    """Prepare a worker, which is a process of xmtf's own."""
    _let_interrupt()
    leave_pandas_out()


def _let_interrupt() -> None:
    """Let a worker be interrupted from now on; what came before was meant for the process that started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # forgets one that is held back
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """End this worker when the process that started it is gone, however it died: nobody reads its results."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()  # waits on a pipe that the system closes
        os._exit(1)
