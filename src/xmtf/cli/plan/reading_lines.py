"""How ``xmtf plan --evaluation`` prints layouts of a model that is only read, and a rehearsal of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from xmtf.text.table import aligned

if TYPE_CHECKING:
    from xmtf.evaluation.layouts import ReadingLayout, ReadingRehearsal, RehearsedReading
    from xmtf.parallel.topology.gpus import GpuPool

__all__ = ["reading_lines", "rehearsed_reading_lines"]

_GIB = 2**30
_LEFT_OUT = "not covered: numbers, other processes, GPU kernels, NCCL, fragmentation, time"


def reading_lines(layouts: Sequence[ReadingLayout], machine: GpuPool, dtype: str, show: int) -> list[str]:
    """Return the layouts of an evaluation as lines, and the first that fits as keys of a recipe."""
    head = f"{machine.num_gpus} x {machine.gpu.name}, {machine.memory / 1e9:.0f} GB each; the model in {dtype}"
    rows = [["copies", "pp", "tp", "fits", "GiB of weights", "positions"]]
    for each in layouts[:show]:
        dims, fits = each.dims, "yes" if each.fits else "no"
        size = f"{each.weights / _GIB:,.2f}"
        rows.append([str(dims.dp_replicate), str(dims.pp), str(dims.tp), fits, size, f"{each.positions:,}"])
    best = next((each for each in layouts if each.fits), None)
    last = "no layout fits: give more GPUs, or more memory each"
    if best is not None:
        degrees = {"tp": best.dims.tp, "pp": best.dims.pp}
        keys = [f"evaluation.parallel.{axis}={degree}" for axis, degree in degrees.items() if degree > 1]
        last = f"recommended: {' '.join(keys) or 'the whole model in each process'}"
    return [head, "", *aligned(rows, numbers=range(6), width=0), "", last]


def rehearsed_reading_lines(rehearsed: RehearsedReading) -> list[str]:
    """Return a rehearsal as lines: each process with its memory and messages."""
    dims = rehearsed.layout.dims
    return [
        f"rehearsed pp {dims.pp} x tp {dims.tp}: {rehearsed.prompts} prompts of {rehearsed.prompt:,} tokens with three "
        f"choices, {len(rehearsed.stages)} processes, one after the other, in {rehearsed.seconds:.0f} s",
        *(line for one in rehearsed.stages for line in _of(one)),
        "",
        _LEFT_OUT,
    ]


def _of(one: ReadingRehearsal) -> Iterator[str]:
    rest = (one.peak - one.weights) / _GIB
    yield ""
    yield f"process {one.rank}, stage {one.stage}: {one.operations:,} operations"
    yield f"  peak {one.peak / _GIB:.2f} GiB (weights {one.weights / _GIB:.2f}, keys, values and work {rest:.2f})"
    rows = [["axis", "message", "times", "GB"]]
    rows += [[each.axis, each.kind, f"{each.count:,}", f"{each.sent / 1e9:,.2f}"] for each in one.exchanges]
    yield from (f"  {line}" for line in aligned(rows, numbers=(2, 3), width=0))
