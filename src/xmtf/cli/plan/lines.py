"""How ``xmtf plan`` prints its layouts: what fits the terminal, in units that leave figures to read."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from xmtf.text.table import aligned, terminal_width

if TYPE_CHECKING:
    from xmtf.parallel.topology.gpus import GpuPool
    from xmtf.recipe.schema import Training
    from xmtf.training.overhead import Overhead
    from xmtf.training.planning.planner import LayoutPlan, Planned

__all__ = ["overhead_lines", "plan_lines"]

_BYTES = (("GB", 1e9), ("MB", 1e6))
_MEMORY = (("GiB", 2.0**30), ("MiB", 2.0**20))
_COUNTS = (("B", 1e9), ("M", 1e6), ("thousand", 1e3))
_HOURS = (("hours", 1.0), ("minutes", 1 / 60), ("seconds", 1 / 3600))
_SECONDS = (("s", 1.0), ("ms", 1e-3))

_LEFT_OUT = ("sent", "step", "MFU", "bubble")
"""Columns that a narrow terminal goes without, the first of them first."""


def plan_lines(made: LayoutPlan, machine: GpuPool, training: Training, show: int) -> list[str]:
    """Return a plan as lines: what is planned, the first ``show`` layouts, what is recommended and why."""
    return [*_wrapped(_head(made, machine)), "", *_table(made, show), "", *_advice(made, training)]


def overhead_lines(overhead: Overhead | None) -> list[str]:
    """Return what training takes in addition to its steps as lines; none where no layout is recommended."""
    if overhead is None:
        return []
    hours = {
        f"{overhead.validations} validations without suites": overhead.validation_hours,
        f"{overhead.checkpoints} checkpoints": overhead.checkpoint_hours,
        "export": overhead.export_hours,
    }
    parts = ", ".join(f"{name} {_in_unit(value, _HOURS)}" for name, value in hours.items())
    return _wrapped([f"  in addition to its steps, with 1 GB/s of disk per node: {parts}"])


def _head(made: LayoutPlan, machine: GpuPool) -> list[str]:
    gpu = machine.gpu
    return [
        f"{machine.num_gpus} x {gpu.name}, {machine.memory / 1e9:.0f} GB each, {machine.per_node} per node; "
        f"{made.steps:,} steps, {_in_unit(made.tokens, _COUNTS, 2)} tokens with padding",
        f"checkpoint {_in_unit(made.checkpoint, _BYTES)}, finished model {_in_unit(made.export, _BYTES)}",
        f"estimates, not measurements: matrix products at {machine.efficiency:.0%} of {gpu.peak / 1e12:.0f} TFLOP/s "
        f"(--efficiency), {gpu.link / 1e9:g} GB/s within a node, {gpu.network / 1e9:g} between nodes",
    ]


def _table(made: LayoutPlan, show: int) -> list[str]:
    shown = made.layouts[:show]
    columns = _columns(shown) if shown else {}
    width, left_out = terminal_width(), list(_LEFT_OUT)
    lines = _lines(columns, width=0)
    while width and len(lines[0]) > width and left_out:
        columns.pop(left_out.pop(0))
        lines = _lines(columns, width=0)
    hidden = len(made.layouts) - len(shown)
    more = [f"and {hidden} more (--show N)"] if hidden > 0 else []
    if len(left_out) < len(_LEFT_OUT):
        more.append("a wider terminal shows more columns")
    return [*_lines(columns, width=width), *(["; ".join(more)] if more else [])]


def _columns(layouts: Sequence[Planned]) -> dict[str, list[str]]:
    """Return heading and cells of every column that says something about these layouts."""
    memory, gib = _unit([entry.memory.total for entry in layouts], _MEMORY)
    sent, gigabytes = _unit([entry.time.sent for entry in layouts], _BYTES)
    step, seconds = _unit([entry.time.seconds for entry in layouts], _SECONDS)
    time, hours = _unit([entry.hours for entry in layouts], _HOURS)
    candidates = [entry.layout for entry in layouts]
    columns = {
        "pp": ["pp", *(str(layout.dims.pp) for layout in candidates)],
        "stages": ["stages", *(str(layout.stages_per_rank) for layout in candidates)],
        "replicate": ["repl", *(str(layout.dims.dp_replicate) for layout in candidates)],
        "shard": ["shard", *(str(layout.dims.dp_shard) for layout in candidates)],
        "tp": ["tp", *(str(layout.dims.tp) for layout in candidates)],
        "zero": ["zero", *(str(layout.zero) if layout.dims.dp_shard > 1 else "" for layout in candidates)],
        "rows": ["rows", *(str(layout.rows) for layout in candidates)],
        "recompute": ["recompute", *("yes" if layout.checkpointing else "no" for layout in candidates)],
        "fits": ["fits", *("yes" if entry.fits else "no" for entry in layouts)],
        "memory": [memory, *(f"{entry.memory.total / gib:,.1f}" for entry in layouts)],
        "bubble": ["bubble", *(f"{entry.time.bubble:.1%}" for entry in layouts)],
        "sent": [f"{sent} sent", *(f"{entry.time.sent / gigabytes:,.1f}" for entry in layouts)],
        "step": [f"{step}/step", *(f"{entry.time.seconds / seconds:,.2f}" for entry in layouts)],
        "tokens": ["tokens/s", *(f"{entry.tokens_per_s:,.0f}" for entry in layouts)],
        "MFU": ["MFU", *(f"{entry.time.mfu:.1%}" for entry in layouts)],
        "time": [time, *(f"{entry.hours / hours:,.1f}" for entry in layouts)],
    }
    if all(layout.stages_per_rank == 1 for layout in candidates):
        del columns["stages"]
    if all(entry.fits for entry in layouts):
        del columns["fits"]
    if all(layout.dims.dp_shard == 1 for layout in candidates):
        del columns["zero"]
    return columns


def _lines(columns: dict[str, list[str]], width: int) -> list[str]:
    return aligned(list(zip(*columns.values(), strict=True)), numbers=range(len(columns)), width=width)


def _advice(made: LayoutPlan, training: Training) -> list[str]:
    best = made.recommended
    if best is None:
        return _wrapped(made.reasons)
    keys = best.layout.overrides(training)
    why = [f"recommended: {best.layout}", *(f"  {reason}" for reason in made.reasons), f"  memory {best.memory}"]
    return [*_wrapped(why), f"  as overrides: {' '.join(keys)}" if keys else "  as in the recipe"]


def _wrapped(lines: Iterable[str]) -> list[str]:
    width = terminal_width() or 1000
    return [part for line in lines for part in textwrap.wrap(line, width, subsequent_indent="    ")]


def _unit(values: Iterable[float], units: Sequence[tuple[str, float]]) -> tuple[str, float]:
    """Return the first unit in which the largest value is at least 1, or the last unit."""
    most = max(values)
    return next((unit for unit in units if most >= unit[1]), units[-1])


def _in_unit(value: float, units: Sequence[tuple[str, float]], digits: int = 1) -> str:
    """Return a value with its unit.

    >>> _in_unit(2.1e12, _BYTES), _in_unit(7.3e6, _BYTES)
    ('2,100.0 GB', '7.3 MB')
    """
    name, factor = _unit([value], units)
    return f"{value / factor:,.{digits}f} {name}"
