"""Two steps of a training as one of its processes takes them, without weights and without the others.

The code is that of training (:func:`xmtf.training.assembly.build_loop`), the group of processes has its true size and
the model its true shape. Left out: numbers, the other processes, kernels, validation, checkpoints and the export. Of
the micro-batches of a step as many are taken as reach the peak: two more than stages follow one another.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.distributed.tensor import DTensor

from xmtf.models.interface import Family
from xmtf.models.torch_private import FakeTensorMode
from xmtf.parallel.rehearsal.fake import as_one_of, fill_buffers, groups_by_name
from xmtf.parallel.rehearsal.watch import Exchange, Watch
from xmtf.recipe import Recipe
from xmtf.training.assembly import LoopInputs, LoopOutputs, build_loop, cut_start
from xmtf.training.loop.events import Log
from xmtf.training.loop.loop import Loop
from xmtf.training.parallel.layout import Layout
from xmtf.training.planning.candidate import Candidate
from xmtf.training.rehearsal.rows import RehearsalRows
from xmtf.training.start import Start

__all__ = ["Rehearsal", "rehearse", "stages_to_rehearse"]


_STEPS = 10**6
"""Of the run that is rehearsed, two of them: more than any warmup."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What one process came to in its second step.

    Attributes:
        rank: Of the process.
        stage: Along the pipeline.
        num_micro: Micro-batches of the step.
        peak: Most bytes of live storages.
        parts: What of them is known by name; the rest are activations and what is gathered.
        exchanges: Messages, most bytes first.
        waits: Line of code -> how often it waited for the device.
        operations: Of torch, dispatched.
        predicted_share: Share of (decoder) positions that are predicted.
        attended: Share of a row's square of attention scores that its documents' own squares take.
    """

    rank: int
    stage: int
    num_micro: int
    peak: int
    parts: dict[str, int]
    exchanges: tuple[Exchange, ...]
    waits: dict[str, int]
    operations: int
    predicted_share: float
    attended: float


def stages_to_rehearse(pp: int) -> list[int]:
    """Return the first, the second, the middle and the last stage of a pipeline, each once.

    The first may have fewer blocks than the second, which has almost as many micro-batches in flight.

    >>> stages_to_rehearse(1), stages_to_rehearse(2), stages_to_rehearse(18)
    ([0], [0, 1], [0, 1, 9, 17])
    """
    return sorted({0, min(1, pp - 1), pp // 2, pp - 1})


def rehearse(model: Any, family: Family, recipe: Recipe, layout: Candidate, stage: int) -> Rehearsal:
    """Rehearse one process of a pipeline stage.

    Args:
        model: On the meta device, adapted; it is cut in place.
        family: Of it.
        recipe: The training; its rows of a step do not count.
        layout: How it is spread.
        stage: Of the first process of which.

    Raises:
        ConfigError: The layout cannot be trained.
    """
    dims = layout.dims
    # interleaved stages take micro-batches in whole rounds
    num_micro = dims.pp + 2 if layout.stages_per_rank == 1 and not layout.zero_bubble else 2 * dims.pp
    asked = replace_batch(recipe, layout, num_micro)
    with as_one_of(dims.total, stage * dims.total // dims.pp) as ranks:
        nowhere = Path(os.devnull)
        rows = RehearsalRows(asked, family, model.vocab_size)
        outputs = LoopOutputs(nowhere, Log(nowhere), "rehearsal", ranks)
        cut = cut_start(Start(model, family), asked, ranks)  # before numbers are gone: FSDP2 asks for some
        with FakeTensorMode(allow_non_fake_inputs=True), Watch(groups_by_name(cut.mesh)) as watch:
            fill_buffers(cut.cut.parts)
            loop = build_loop(cut, asked, LoopInputs(rows), outputs)
            return _watched(loop, rows, watch, ranks.rank, stage, num_micro)


def replace_batch(recipe: Recipe, layout: Candidate, num_micro: int) -> Recipe:
    """Return a recipe for a layout, with a step of so many micro-batches."""
    training = layout.asked_of(recipe.training).model_copy(
        update={
            "global_batch_rows": layout.rows * layout.dims.data * num_micro,
            "steps": _STEPS,
            "tokens": None,
            "device": "cpu",
            "validation_suites": [],
        }
    )
    return recipe.model_copy(update={"training": training})


def _watched(loop: Loop, rows: RehearsalRows, watch: Watch, rank: int, stage: int, num_micro: int) -> Rehearsal:
    loop.step(0, loop.feed.get(0))  # makes the optimizer's state, and what is made once
    batch = loop.feed.get(1)
    watch.forget()
    loop.step(1, batch)
    loop.feed.close()
    layout = loop.step.layout
    kept = [value for values in loop.step.optimizer.state.values() for value in values.values()]
    state = [value for value in kept if isinstance(value, Tensor)]
    parts = {
        "weights": watch.bytes_of(piece.local for piece in layout.pieces.values()),
        "gradients": watch.bytes_of(_gradients(layout)),
        "optimizer": watch.bytes_of(state),
    }
    rest = watch.peak - sum(parts.values())
    targets = batch.targets
    positions = sum(part.num_rows for part in targets) * rows.targets_per_row
    return Rehearsal(
        rank=rank,
        stage=stage,
        num_micro=num_micro,
        peak=watch.peak,
        parts=parts | {"activations and gathered": rest},
        exchanges=tuple(watch.exchanges()),
        waits=dict(watch.waits),
        operations=watch.operations,
        predicted_share=sum(len(part.positions) for part in targets) / positions,
        attended=rows.attended(batch.batches[0]),
    )


def _gradients(layout: Layout) -> Iterator[Tensor]:
    """Yield what is kept of gradients from micro-batch to micro-batch; tables keep theirs whole, besides their rows."""
    for piece in layout.pieces.values():
        for parameter in (piece.local, piece.source):
            if parameter.grad is not None and not isinstance(parameter.grad, DTensor):
                yield parameter.grad
