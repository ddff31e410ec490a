"""Build a mixture: plan, render shards, merge.

::

    recipe ─▶ plan ─┬▶ guard shards ─▶ guard index ─┐
                    └▶ shards ◀─────────────────────┘ ─▶ ranges ─▶ cuts ─▶ parts ─▶ mixture

Each arrow's work is a plan of idempotent tasks (:mod:`xmtf.execution`), so a killed build resumes where it stopped and
any number of workers gives the same bytes.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from xmtf.artefacts.ownership import check_ours, free_name, refuse_foreign, refuse_loss
from xmtf.errors import DataError
from xmtf.execution import Plan, check_engine, read_plan, run_shown, run_task, share_of, write_plan
from xmtf.execution.plan import shard_result
from xmtf.files import (
    MANIFEST,
    Manifest,
    Stopwatch,
    alone_in,
    discard_folder,
    is_finished,
    sweep,
    write_jsonl,
)
from xmtf.guards.alone import alone_at
from xmtf.mixture.describe.composition import OVERLAPS, QUARANTINE
from xmtf.mixture.finish import finish_mixture, order_parts, refresh_card
from xmtf.mixture.near import build_near, left_out_of
from xmtf.mixture.plan.plan import MixturePlan, plan_mixture, read_slice
from xmtf.mixture.plan.prompted_rows import prompted_tables
from xmtf.mixture.select.asked_fields import asked_fields, read_fields, write_fields
from xmtf.mixture.select.cap_pieces import CapInPieces
from xmtf.mixture.select.choose import Rules, choose_rows, row_hashes
from xmtf.mixture.select.compare_rows import RowComparison
from xmtf.mixture.select.filters import CAPPED
from xmtf.mixture.select.guard import SOURCES, Asked, Guard, read_guard, write_guard
from xmtf.mixture.select.keys import hash_strings
from xmtf.mixture.select.near_groups import LeftOut, without_left_out
from xmtf.mixture.select.near_rows import chosen_pieces
from xmtf.mixture.select.ngrams import string_values, word_runs
from xmtf.mixture.sort.merge import Shard
from xmtf.mixture.sort.runs import Run, write_runs
from xmtf.provenance import group_rows
from xmtf.recipe import LoadedRecipe
from xmtf.sources import SourceData
from xmtf.tasks import DropReport, Prompted, Slice, prompted_parts
from xmtf.tasks.prompting.pieces import Pieces, Shares
from xmtf.tasks.prompting.rows import SliceRows, read_rows

__all__ = [
    "MixtureStep",
    "build_guard",
    "build_guard_shard",
    "build_mixture",
    "build_shard",
    "merge_mixture",
    "run_work_tasks",
    "work_folder",
    "write_parts_plan",
    "write_work_plan",
]

PLAN = "plan.jsonl"
"""File of the work folder with the shard tasks, for a build on many machines."""

MixtureStep = Literal["render", "parts"]
"""What array jobs share: rendering the shards, and writing the parts once their order is decided."""

_PARTS_PLAN = "parts.jsonl"
_STEPS: dict[MixtureStep, tuple[str, str]] = {"render": (PLAN, "shards"), "parts": (_PARTS_PLAN, "parts")}
"""Of each step: the file of its plan and the folder of its shards, in the work folder."""

_RUN_BYTES = 64 * 2**20
"""Rendered bytes gathered before a run is written: what bounds the memory of a shard."""


def work_folder(out: Path) -> Path:
    """Return the folder next to a mixture that holds its unfinished work."""
    return out.with_name(f".{out.name}.work")


def build_mixture(loaded: LoadedRecipe, out: Path, *, replace: bool = False) -> Manifest:
    """Build the mixture of a recipe in ``out``, unless it already exists.

    Args:
        loaded: The recipe.
        out: Folder of the mixture. Unfinished work waits next to it, in ``.<name>.work``.
        replace: Whether it may take the place of the finished mixture of another recipe.

    Raises:
        ConfigError: No example is left (says what dropped them), an evaluation suite overlaps and may not, or ``out``
            holds something other than a mixture.
        SourceError: A dataset is nowhere.
        TemplateError: A template fails on too many rows; names it and the first row.
        UserError: Another process builds there.
    """
    watch = Stopwatch()
    plan = plan_mixture(loaded)
    if not replace:
        _refuse_loss(plan, out)
    if _stands(plan, out) and not work_folder(out).exists():
        return refresh_card(plan, out)
    check_engine(loaded.recipe.execution)
    with _working(out):
        if not _stands(plan, out):
            build_guard(plan, out)
            run_shown(plan.shards, work_folder(out) / "shards", loaded.recipe.execution, "rendering")
        return _merge(plan, out, watch)


@contextlib.contextmanager
def _working(out: Path, *, with_helpers: bool = False) -> Iterator[None]:
    """Hold the work folder of a mixture: builds of two recipes there would read each other's shards."""
    beside = contextlib.nullcontext() if with_helpers else alone_at(out)
    with alone_in(work_folder(out), what="work", with_helpers=with_helpers), beside:
        yield


def _stands(plan: MixturePlan, out: Path) -> bool:
    """Return whether the mixture is finished; refuse a folder with other content. Leftovers there are swept."""
    check_ours(out, "a mixture", ("mixture",))
    for folder in (out, work_folder(out)):
        sweep(folder)
    if is_finished(out, plan.fingerprint):
        return True
    refuse_foreign(out)
    return False


def _refuse_loss(plan: MixturePlan, out: Path) -> None:
    """Refuse to replace the finished mixture of another recipe."""
    if (out / MANIFEST).exists() and not _stands(plan, out):
        refuse_loss(out, ["the finished mixture there"], f"another --out, such as {free_name(out)},")


def build_guard(plan: MixturePlan, out: Path) -> None:
    """Write what every shard needs: the index of what the recipe's suites ask, and which rows are left out."""
    folder = work_folder(out) / "guard"
    results = run_shown(plan.guard, folder, plan.loaded.recipe.execution, "reading evaluation suites")
    asked = [
        Asked(
            task.spec["suite"],
            task.spec["slice"]["task"]["id"],
            task.spec["slice"]["split"],
            np.load(folder / task.name / result["file"], allow_pickle=False),
            np.load(folder / task.name / result["runs"], allow_pickle=False),
            np.load(folder / task.name / result["rows"], allow_pickle=False),
            read_fields(folder / task.name) if task.spec["fields"] else None,
            task.spec["parallel"],
        )
        for task, result in zip(plan.guard.tasks, results, strict=True)
    ]
    write_guard(folder, asked)
    build_near(plan, work_folder(out))


def write_work_plan(loaded: LoadedRecipe, out: Path, *, replace: bool = False) -> int:
    """Prepare a build on many machines: write the plan and the guard index; return the number of shard tasks.

    Of a mixture that is finished already the plan has none.

    Raises:
        ConfigError: As :func:`build_mixture`.
    """
    plan = plan_mixture(loaded)
    if not replace:
        _refuse_loss(plan, out)
    _stands(plan, out)
    check_engine(loaded.recipe.execution)
    with _working(out):
        if _stands(plan, out):
            write_plan(work_folder(out) / PLAN, Plan(plan.shards.function))
            return 0
        build_guard(plan, out)
        write_plan(work_folder(out) / PLAN, plan.shards)
        return len(plan.shards.tasks)


def write_parts_plan(loaded: LoadedRecipe, out: Path, *, replace: bool = False) -> int:
    """Order the examples of the finished shards, and plan who writes which part; return the number of parts.

    Of a mixture that is finished already the plan has none.

    Raises:
        ConfigError: As :func:`build_mixture`.
        DataError: A shard is not finished; names it and how to finish it.
    """
    plan = plan_mixture(loaded)
    if not replace:
        _refuse_loss(plan, out)
    _stands(plan, out)
    check_engine(loaded.recipe.execution)
    work = work_folder(out)
    with _working(out):
        parts = Plan(plan.shards.function)
        if not _stands(plan, out):
            parts, *_ = order_parts(plan, _finished_shards(plan, work), work)
        write_plan(work / _PARTS_PLAN, parts)
        return len(parts.tasks)


def run_work_tasks(
    out: Path, index: int, jobs: int | None = None, step: MixtureStep = "render"
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Do shard tasks of a written plan, unless they are done; yield the number of each and what it reports.

    Args:
        out: Folder of the mixture.
        index: The task; with ``jobs`` the job, from 0.
        jobs: Share the tasks among so many jobs: job 1 of 3 does tasks 1, 4, 7, ...
        step: Which plan.

    Raises:
        DataError: No plan is written for ``out``.
        ConfigError: The plan has no such task, or there is no such job.
    """
    file, shards = _STEPS[step]
    path = work_folder(out) / file
    if not path.exists():
        which = "" if step == "render" else f" --step {step}"
        raise DataError(f"{path}: there is no plan; write one with `xmtf data plan RECIPE --write{which}`")
    plan = read_plan(path)
    numbers = share_of(path, plan, index, jobs)
    with _working(out, with_helpers=True):
        for number in numbers:
            yield number, run_task(plan, number, work_folder(out) / shards)


def merge_mixture(plan: MixturePlan, out: Path, watch: Stopwatch | None = None, *, replace: bool = False) -> Manifest:
    """Make the mixture of finished shards, unless it is there; ``watch`` counts the time that the manifest tells.

    Raises:
        ConfigError: No example is left.
        DataError: A shard is not finished; names it and how to finish it.
        UserError: Another process works on it still.
    """
    if not replace:
        _refuse_loss(plan, out)
    if _stands(plan, out) and not work_folder(out).exists():
        return refresh_card(plan, out)
    with _working(out):
        return _merge(plan, out, watch or Stopwatch())


def _merge(plan: MixturePlan, out: Path, watch: Stopwatch) -> Manifest:
    work = work_folder(out)
    if _stands(plan, out):
        discard_folder(work)  # of a build that was killed at its very end
        return refresh_card(plan, out)
    manifest = finish_mixture(plan, _finished_shards(plan, work), work, out, watch)
    _read_once.cache_clear()  # it maps files that are deleted now
    discard_folder(work)
    return manifest


def _finished_shards(plan: MixturePlan, work: Path) -> list[Shard]:
    shards = []
    for index, (task, part) in enumerate(zip(plan.shards.tasks, plan.portions, strict=True)):
        result = shard_result(task, work / "shards")
        if result is None:
            raise DataError(
                f"{work / 'shards' / task.name}: not finished; run `xmtf data run-task` with --index {index}"
            )
        shards.append(Shard(task.name, task.fingerprint, part.task, part.rate, result, Counter()))
    return shards


def build_shard(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Render one slice, or read one prompted file, and write what the mixture may take of it: a shard function.

    Args:
        spec: ``slice`` or ``prompted``, ``rules``, ``guard`` and how to render (see :mod:`xmtf.mixture.plan.plan`).
        folder: Folder of the shard, two levels below the work folder.

    Returns:
        ``in`` (rows x templates), ``dropped`` by reason, the ``firsts`` of them, ``notes``, ``runs``; ``overlap.jsonl``
        and ``quarantine.jsonl`` are written where there is something to tell.
    """
    rules = Rules(**spec["rules"])
    guard = _guard_in(folder.parent.parent / "guard")
    dropped = Counter[str]()
    report = DropReport()
    runs, overlaps, failures = list[Run](), list[dict[str, Any]](), list[dict[str, Any]]()
    capped, left_out = CapInPieces(rules), left_out_of(spec, folder)
    for tables, compared, part_of in _gatherings(spec, left_out, guard, dropped, failures, report):
        chosen = choose_rows(pa.concat_tables(tables), rules, guard, compared)
        dropped.update(chosen.dropped)
        overlaps += chosen.overlaps
        report.firsts = chosen.firsts | report.firsts
        if part_of is None:
            runs += write_runs(folder, f"run-{len(runs):03d}", chosen)
        else:
            dropped[CAPPED] += capped.add(part_of, chosen)
    for chosen in capped.finish():
        dropped.update(chosen.dropped)
        runs += write_runs(folder, f"run-{len(runs):03d}", chosen)
    total = sum(run.rows for run in runs) + dropped.total()
    for name, records in ((OVERLAPS, overlaps), (QUARANTINE, failures)):
        if records:
            write_jsonl(folder / name, records)
    counted = {reason: count for reason, count in sorted(dropped.items()) if count}
    written = {"runs": [run.to_json() for run in runs], "overlaps": len(overlaps)}
    return {"in": total, "dropped": counted, **written, **report.to_json()}


def build_guard_shard(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Write the hashes of what one evaluation slice asks, its inputs, its rows and their runs of words.

    A shard function.
    """
    hashes, rows = [np.empty((0, 2), np.uint64)], [np.empty(0, np.uint64)]
    read, asked = read_rows(read_slice(spec), offline=spec["offline"]), set[int]()
    for part in _render(spec, read_slice(spec), read, spec["failing_rows"]):
        hashes.append(hash_strings(part.table.column("inputs")))
        if spec["rows"]:
            rows.append(row_hashes(spec["place"], *group_rows(part.table), part.table.column("row")))
        if spec["only_asked"]:
            asked.update(part.table.column("row").to_pylist())
    table, numbers = read.data.table, read.data.rows
    if spec["only_asked"]:  # other rows of the split may be trained on
        places = np.flatnonzero(np.isin(numbers, np.fromiter(asked, np.int64, len(asked))))
        table, numbers = table.take(pa.array(places)), numbers[places]
    if spec["fields"]:
        write_fields(folder, asked_fields(table, numbers))
    np.save(folder / "inputs.npy", np.unique(np.concatenate(hashes), axis=0), allow_pickle=False)
    np.save(folder / "runs.npy", _row_runs(table, spec["words"]), allow_pickle=False)
    np.save(folder / "rows.npy", np.unique(np.concatenate(rows)), allow_pickle=False)
    return {"file": "inputs.npy", "runs": "runs.npy", "rows": "rows.npy"}


def _row_runs(table: pa.Table, words: int | None) -> Any:
    """Return the hashes of the runs of words in the rows of an evaluation slice, uint64 ``[m]``."""
    if words is None:
        return np.empty(0, np.uint64)
    return np.unique(word_runs(string_values(table), words).hashes)


def _compared(spec: dict[str, Any], part: Slice, data: SourceData, guard: Guard) -> RowComparison:
    fields, words = spec["rules"]["overlap_fields"], spec["rules"]["overlap_words"]
    return RowComparison(part, data, guard, seed=spec["seed"], fields=fields, words=words)


def _guard_in(folder: Path) -> Guard:
    """Return the guard that a folder holds; a process that does many shards reads it once."""
    return _read_once(folder, (folder / SOURCES).stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _read_once(folder: Path, written: int) -> Guard:
    return read_guard(folder)


def _render(
    spec: dict[str, Any], part: Slice, data: SliceRows, failing_rows: float, *, lint: bool = False
) -> Iterator[Prompted]:
    return prompted_parts(
        part,
        mode=spec["mode"],
        seed=spec["seed"],
        offline=spec["offline"],
        failing_rows=failing_rows,
        data=data,
        lint=lint,
    )


def _gatherings(
    spec: dict[str, Any],
    left_out: LeftOut | None,
    guard: Guard,
    dropped: Counter[str],
    failures: list[dict[str, Any]],
    report: DropReport,
) -> Iterator[tuple[list[pa.Table], RowComparison | None, str | None]]:
    """Yield rendered tables, several small ones together; count what was dropped, keep failures and what to tell.

    With them comes how the rows that they were rendered from compare with those that suites ask about, and the template
    where they are a part of what a cap chooses among.
    """
    if "prompted" in spec:
        for tables in prompted_tables(spec["prompted"], _RUN_BYTES, dropped, report):
            yield tables, None, None
        return
    shares = Shares(spec["failing_rows"])
    pieces = Pieces(read_slice(spec), spec["seed"], spec["offline"])
    read = iter(pieces) if left_out is None else _pieces_without(left_out, pieces)
    for number, (part, data) in enumerate(read):
        # conversations are compared as they are written out: all turns, and nothing of their layout
        compared = None if part.task.kind == "conversation" else _compared(spec, part, data.data, guard)
        tables, size = list[pa.Table](), 0
        is_capped = pieces.are_parts and part.cap_examples is not None
        # of a split in pieces, the share of rows that a template fails on is known at its end
        failing_rows = spec["failing_rows"] if part is pieces.slice else 1.0
        rendered = _render(spec, part, data, failing_rows, lint=number == 0)
        for template, found in zip(part.templates, rendered, strict=True):
            dropped.update(found.dropped)
            failures += _failures(spec, template.name, found)
            shares.add(template.name, found, data.num_read)
            told = found if number == 0 else replace(found, notes=())
            report.add(told, part.task.id, part.split, template.name)
            if is_capped:
                yield [found.table], compared, template.name
                continue
            tables.append(found.table)
            size += found.table.column("inputs").nbytes + found.table.column("targets").nbytes
            if size > _RUN_BYTES:
                yield tables, compared, None
                tables, size = [], 0
        if tables:
            yield tables, compared, None
    if number or left_out is not None:
        shares.check(pieces.slice)


def _pieces_without(left_out: LeftOut, pieces: Pieces) -> Iterator[tuple[Slice, SliceRows]]:
    for part, data in chosen_pieces(pieces):
        yield part, without_left_out(data, left_out)


def _failures(spec: dict[str, Any], template: str, part: Prompted) -> list[dict[str, Any]]:
    where = {"task": spec["slice"]["task"]["id"], "split": spec["slice"]["split"], "template": template}
    return [where | {"row": failure.row, "kind": failure.kind, "message": failure.message} for failure in part.failures]
