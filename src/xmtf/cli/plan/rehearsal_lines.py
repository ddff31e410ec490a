"""How ``xmtf plan --rehearse`` prints what it counted, alongside the formulas."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from xmtf.text.table import aligned

if TYPE_CHECKING:
    from xmtf.training.plan import RehearsedTraining
    from xmtf.training.planning.memory import MemoryEstimate
    from xmtf.training.rehearsal.rehearse import Rehearsal

__all__ = ["rehearsal_lines"]

_LEFT_OUT = "not covered: numbers, other processes, overlap, GPU kernels, NCCL, fragmentation, validation, checkpoints"


def rehearsal_lines(rehearsed: RehearsedTraining) -> list[str]:
    """Return a rehearsal as lines: each process with its memory, messages and waits, then the time by the planner."""
    planned, dims = rehearsed.planned, rehearsed.planned.layout.dims
    time = planned.time
    stages = zip(rehearsed.stages, rehearsed.formulas, strict=True)
    return [
        f"rehearsed {planned.layout}: {dims.total} processes, {len(rehearsed.stages)} of them, one after the other, "
        f"in {rehearsed.seconds:.0f} s",
        *(line for one, formulas in stages for line in _of(one, *formulas)),
        "",
        f"by the planner's rates: {time.seconds:.2f} s per step of {planned.num_micro} micro-batches, bubble "
        f"{time.bubble:.1%}, MFU {time.mfu:.1%}, {planned.hours:.1f} hours",
        _LEFT_OUT,
    ]


def _of(one: Rehearsal, cpu: MemoryEstimate, gpu: MemoryEstimate) -> Iterator[str]:
    parts = ", ".join(f"{name} {size / 2**30:.2f}" for name, size in one.parts.items())
    yield ""
    yield f"process {one.rank}, stage {one.stage}: {one.num_micro} micro-batches, {one.operations:,} operations"
    yield f"  peak {one.peak / 2**30:.2f} GiB ({parts})"
    with_cpu = f"{cpu.total / 2**30:.2f} GiB with these kernels ({cpu.total / one.peak:.2f} of it)"
    yield f"  formulas {with_cpu}, {gpu.total / 2**30:.2f} with a GPU's"
    if one.exchanges:
        rows = [["axis", "message", "times", "GB"]]
        rows += [[each.axis, each.kind, f"{each.count:,}", f"{each.sent / 1e9:,.2f}"] for each in one.exchanges]
        yield from (f"  {line}" for line in aligned(rows, numbers=(2, 3), width=0))
    waits = ", ".join(f"{line} x {count}" for line, count in one.waits.items())
    yield f"  waits for the device: {waits or 'none'}"
