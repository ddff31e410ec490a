"""Run all tasks of a plan: inline, or in a pool of processes."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any

from xmtf.execution.plan import Plan, run_task, shard_result
from xmtf.recipe.schema import Execution

__all__ = ["num_workers", "run_plan"]

Progress = Callable[[int, int], None]
"""Called with (shards done, shards in all)."""


def num_workers(execution: Execution) -> int:
    """Return how many worker processes to use: the number given, or one per core this process may use."""
    if execution.engine == "inline":
        return 1
    if execution.workers == "auto":
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return execution.workers


def run_plan(
    plan: Plan, folder: Path, execution: Execution, progress: Progress = lambda done, total: None
) -> list[dict[str, Any]]:
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
    to_do = [index for index, task in enumerate(plan.tasks) if shard_result(task, folder) is None]
    to_do.sort(key=lambda index: -plan.tasks[index].cost)
    progress(total - len(to_do), total)
    workers = min(num_workers(execution), max(1, len(to_do)))
    if workers == 1:
        for done, index in enumerate(to_do, start=1):
            run_task(plan, index, folder)
            progress(total - len(to_do) + done, total)
    else:
        _run_pool(plan, folder, to_do, workers, progress)
    return [run_task(plan, index, folder) for index in range(total)]


def _run_pool(plan: Plan, folder: Path, to_do: list[int], workers: int, progress: Progress) -> None:
    total = len(plan.tasks)
    context = multiprocessing.get_context("spawn")  # fork would copy the locks of Arrow's threads
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        alone = (Plan(plan.function, (plan.tasks[index],)) for index in to_do)  # the whole plan may be megabytes
        running: set[Future[dict[str, Any]]] = {pool.submit(run_task, part, 0, folder) for part in alone}
        try:
            while running:
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
                progress(total - len(running), total)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
