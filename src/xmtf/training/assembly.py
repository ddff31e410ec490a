"""The loop of a recipe, put together: model, layout, optimizer, rows, measures; refused where they do not fit."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.optim import Optimizer

from xmtf.errors import ConfigError
from xmtf.execution import say, warn
from xmtf.models import model_size
from xmtf.models.device import choose_device
from xmtf.models.interface import Family
from xmtf.parallel.materialize import CutModel
from xmtf.parallel.topology.constraints import num_micro_batches
from xmtf.parallel.topology.mesh import Mesh, build_mesh, resolve_dims
from xmtf.parallel.topology.ranks import ALONE, Ranks
from xmtf.recipe import LoadedRecipe
from xmtf.recipe.schema import Recipe, Training
from xmtf.run_folder import RunFolder, stop_file, tokenizer_of
from xmtf.tokens import NoExamplesError, load_tokenizer, open_loader
from xmtf.tokens.rows.shelf import UNSHARED, Shelf
from xmtf.tokens.tokenizer.tokenizer import Tokenizer
from xmtf.training.checkpoint.saver import Saver, saving_ranks
from xmtf.training.loop.events import Log
from xmtf.training.loop.loop import Loop
from xmtf.training.loop.mfu import Meter, peak_flops
from xmtf.training.loop.record import Record
from xmtf.training.loop.step import Feed, Step
from xmtf.training.loop.stop import Stopper
from xmtf.training.loop.trackers import TrackedRun, open_trackers
from xmtf.training.loop.validation import Measure, Pace, Validation, Watch
from xmtf.training.loss.batches import RowLoader, examples_of_row
from xmtf.training.loss.head import Head
from xmtf.training.loss.objective import Objective
from xmtf.training.loss.texts import TextRows, present_texts, text_rows
from xmtf.training.numerics.precision import compute_dtype, computing, prepare, set_threads
from xmtf.training.optim.optimizer import build_optimizer
from xmtf.training.optim.schedule import check_warmup
from xmtf.training.parallel.layout import Layout, cut_parts, place_parts
from xmtf.training.parallel.pipeline_parallel import Pipeline
from xmtf.training.planning import memory
from xmtf.training.planning.candidate import Candidate
from xmtf.training.planning.zero_choice import pool_here, with_zero
from xmtf.training.start import Start, check_model, packed_or_padded, start_model

if TYPE_CHECKING:
    from xmtf.models.files.stored import StoredTensors

__all__ = [
    "CutStart",
    "LoopInputs",
    "LoopOutputs",
    "TrainingJob",
    "assemble",
    "build_loop",
    "cut_start",
    "num_steps",
    "training_loop",
]


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """A training: what is read, where it writes, who takes part.

    Attributes:
        loaded: The recipe.
        tokens: Folder of token files, with its tokenizer.
        initial: Model to start from: folder, GGUF file or hub id.
        family: Of the model.
        run: Folder of the run, for checkpoints, the finished model and the log.
        ranks: The processes that train together; the first one writes.
        measures: What the suites of ``training.validation_suites`` are measured with.
        started: When the wall clock of ``wall_clock_limit`` began, of ``time.monotonic``; reading the model counts.
        shelf: Where the processes of this machine share what the loader plans.
    """

    loaded: LoadedRecipe
    tokens: Path
    initial: str
    family: Family
    run: RunFolder
    ranks: Ranks = ALONE
    measures: Sequence[Measure] = ()
    started: float = field(default_factory=time.monotonic)
    shelf: Shelf = UNSHARED

    @property
    def recipe(self) -> Recipe:
        """The recipe's keys."""
        return self.loaded.recipe


@dataclass(frozen=True, slots=True)
class LoopInputs:
    """What a loop reads.

    Attributes:
        train: Rows to train on.
        validation: Rows to measure on, or None.
        texts: Name -> rows of plain text to measure on.
        measures: Suites to measure.
    """

    train: RowLoader
    validation: RowLoader | None = None
    texts: Mapping[str, TextRows] = field(default_factory=dict)
    measures: Sequence[Measure] = ()


@dataclass(frozen=True, slots=True)
class LoopOutputs:
    """Where a loop writes.

    Attributes:
        checkpoints: Folder for checkpoints.
        log: Where events go.
        name: Names this training among the checkpoints.
        ranks: The processes that train together.
        started: As of :class:`TrainingJob`.
    """

    checkpoints: Path
    log: Log
    name: str
    ranks: Ranks = ALONE
    started: float = field(default_factory=time.monotonic)


def assemble(job: TrainingJob, name: str) -> Loop:
    """Return the loop that trains as a recipe says.

    Args:
        job: The training.
        name: Names it among the checkpoints.

    Raises:
        UserError: Model, tokens, layout and memory do not fit together; says what to change.
    """
    recipe, ranks = job.recipe, job.ranks
    log = _open_log(job) if ranks.first else Log(Path(os.devnull))
    tokenizer = load_tokenizer(tokenizer_of(job.tokens))
    start = _start(recipe, job.initial, job.family, tokenizer.vocab_size, ranks)
    recipe = _with_zero(start.model, recipe, ranks)
    planned_memory = _planned_memory(start.model, recipe, ranks)
    recipe = packed_or_padded(start.model, recipe, first=ranks.first) if start.stored is None else recipe
    job = replace(job, loaded=replace(job.loaded, recipe=recipe))
    if start.stored is None:
        check_model(start.model, recipe)
    size = model_size(start.model)
    outputs = LoopOutputs(job.run.checkpoints, log, name, ranks, job.started)
    loop = training_loop(start, recipe, _inputs(job, tokenizer.reading(recipe.tokens.special_tokens)), outputs)
    device = loop.step.objective.device
    if start.stored is not None:
        layout = loop.step.layout
        # FSDP2 gathers weights in bf16 already; all others are compared in the number format that they are kept in
        with computing(recipe.training.precision if layout.mesh.fsdp is not None else "fp32", device):
            for part in layout.parts:
                check_model(part, recipe)
    loop.record.planned_memory = planned_memory
    loop.record.meter = Meter(size, ranks.size * peak_flops(device, recipe.training.precision))
    loop.record.show = lambda batch, row: [
        {"inputs": tokenizer.decode(inputs.tolist()), "targets": tokenizer.decode(targets.tolist())}
        for inputs, targets in examples_of_row(batch, row)
    ]
    return loop


def _open_log(job: TrainingJob) -> Log:
    """Return the log with the recipe's trackers; a tracker that is not installed is refused before any work."""
    recipe = job.recipe
    run = TrackedRun(recipe.name, job.loaded.run.tracking, recipe.model_dump(mode="json"), recipe.offline)
    return Log(job.run.log, open_trackers(recipe.training.trackers, run))


def _inputs(job: TrainingJob, tokenizer: Tokenizer) -> LoopInputs:
    packing, training, beside = job.recipe.tokens.packing, job.recipe.training, job.loaded.path.parent
    return LoopInputs(
        open_loader(job.tokens, job.loaded, group="train", family=job.family, shelf=job.shelf),
        _held_out(job),
        {
            text.name: text_rows(text, beside, tokenizer, packing, job.family, training.global_batch_rows)
            for text, _ in present_texts(job.loaded)
        },
        job.measures,
    )


def _start(recipe: Recipe, initial: str, family: Family, num_tokens: int, ranks: Ranks) -> Start:
    """Return the model to start from; in pieces where it is to be cut."""
    shape = resolve_dims(recipe.training.parallel, ranks.size)
    start = start_model(initial, recipe.model, seed=recipe.seed, offline=recipe.offline, in_pieces=shape.splits)
    if shape.splits and start.stored is None and ranks.first:
        say(f"{initial}: every process loads it completely before it is sharded; its files cannot be read in parts")
    if start.family != family:
        raise ConfigError(f"{initial}: is of the {start.family} family, but the tokens were built for {family}")
    if num_tokens > start.model.vocab_size:
        raise ConfigError(
            f"{initial}: its embedding has {start.model.vocab_size} rows and the tokenizer {num_tokens} entries; use "
            f"the tokenizer of this model (tokens.tokenizer.path)"
        )
    return start


def _with_zero(model: object, recipe: Recipe, ranks: Ranks) -> Recipe:
    """Return a recipe that names ``training.parallel.zero``: the first process chooses for all."""
    if recipe.training.parallel.zero is not None:
        return recipe
    dims = resolve_dims(recipe.training.parallel, ranks.size)
    device = choose_device(recipe.training.device, "training.device")
    chosen = with_zero(model, recipe, dims, pool_here(ranks.size, device))
    zero = ranks.collect(chosen.training.parallel.zero)[0]
    if ranks.first and zero == 1:
        say("training.parallel.zero: 1, which fits and is faster than 3 by the planner's model of time")
    parallel = recipe.training.parallel.model_copy(update={"zero": zero})
    return recipe.model_copy(update={"training": recipe.training.model_copy(update={"parallel": parallel})})


def _planned_memory(model: object, recipe: Recipe, ranks: Ranks) -> float:
    """Return the bytes that the process which writes the log is estimated to need, of the first pipeline stage.

    Raises:
        ConfigError: Some process is estimated to need more than the recipe's ``memory_limit``.
    """
    layout = Candidate.of(recipe, resolve_dims(recipe.training.parallel, ranks.size))
    estimator = memory.Estimator.of(model, recipe)
    memory.check_limit(estimator.estimate(layout), recipe.memory_limit, layout)
    return estimator.estimate_ranks(layout, [0])[0].total


def _held_out(job: TrainingJob) -> RowLoader | None:
    """Return the rows to validate on, or None where there are none: a small mixture trains without."""
    if job.recipe.mixture.validation_fraction == 0:
        return None
    try:
        return open_loader(job.tokens, job.loaded, group="validation", family=job.family, shelf=job.shelf)
    except NoExamplesError as error:
        warn(f"training without validation: {error}")
        return None


def training_loop(start: Start, recipe: Recipe, inputs: LoopInputs, outputs: LoopOutputs) -> Loop:
    """Return the loop that trains a model; it is cut up and placed on its device.

    Args:
        start: The model as loaded: fp32 on the CPU, or on the meta device with what it is filled from.
        recipe: Its ``training`` section and seed count.
        inputs: What the loop reads.
        outputs: Where it writes.
    """
    return build_loop(cut_start(start, recipe, outputs.ranks), recipe, inputs, outputs)


@dataclass(frozen=True, slots=True)
class CutStart:
    """A model that is cut and has no memory of its own yet.

    Attributes:
        cut: What this process will hold.
        stored: What it is filled from, or None where it has its numbers.
        mesh: The processes.
        device: Where it computes.
    """

    cut: CutModel
    stored: StoredTensors | None
    mesh: Mesh
    device: torch.device


def cut_start(start: Start, recipe: Recipe, ranks: Ranks) -> CutStart:
    """Give a model its number format and cut it over the processes; arguments as for :func:`training_loop`."""
    device = choose_device(recipe.training.device, "training.device")
    set_threads(recipe.training.threads)
    prepare(start.model, recipe)
    mesh = build_mesh(recipe.training.parallel, ranks, device)
    return CutStart(cut_parts(start.model, recipe.training, mesh), start.stored, mesh, device)


def build_loop(start: CutStart, recipe: Recipe, inputs: LoopInputs, outputs: LoopOutputs) -> Loop:
    """Return the loop that trains a model that was cut; arguments as for :func:`training_loop`."""
    training, ranks, loader = recipe.training, outputs.ranks, inputs.train
    mesh, device = start.mesh, start.device
    layout = place_parts(start.cut, training, mesh, device, start.stored)
    steps = num_steps(training, loader)
    if ranks.first:
        check_warmup(training.schedule, steps)
    num_micro = num_micro_batches(training, mesh.data.size)
    optimizer = build_optimizer(layout, training.optimizer, sharding=layout.sharding)
    objective = _objective(layout, training, len(loader.group_names), device)
    return Loop(
        step=Step(layout, objective, optimizer, training, steps, recipe.seed),
        feed=Feed(loader, num_micro, training.loss),
        watch=_watch(inputs, Pace.of(training, steps, loader.rows_per_step), num_micro, training, mesh.data),
        saver=_saver(layout, optimizer, training, outputs),
        stopper=Stopper(stop_file(outputs.checkpoints), training.wall_clock_limit, outputs.started),
        record=Record(outputs.log),
    )


def _saver(layout: Layout, optimizer: Optimizer, training: Training, outputs: LoopOutputs) -> Saver:
    return Saver(
        outputs.checkpoints,
        layout,
        optimizer,
        outputs.name,
        training.keep_checkpoints,
        saving_ranks(outputs.ranks),
        training.save_in_background,
    )


def _watch(inputs: LoopInputs, pace: Pace, num_micro: int, training: Training, data: Ranks) -> Watch:
    held_out = inputs.validation
    validations = [] if held_out is None else [_on_mixture(held_out, pace, num_micro, training, data)]
    if validations and validations[0].num_rows < (asked := training.validation_rows or 0):
        warn(f"training.validation_rows: {validations[0].num_rows} of {asked} rows are used: no row is used twice")
    for name, text in inputs.texts.items():
        validations.append(Validation(name, text, num_micro, len(text.windows), "token", training.precision, data))
    return Watch(pace, tuple(validations), tuple(inputs.measures), training.precision)


def _on_mixture(loader: RowLoader, pace: Pace, num_micro: int, training: Training, data: Ranks) -> Validation:
    """Return what measures on held-out rows: each once, and no more than its share where the recipe says no number."""
    rows, size = pace.rows, loader.rows_per_step // num_micro
    there = loader.available(-(-rows // size) * size)
    if training.validation_rows is None:
        size = replace(pace, rows=min(rows, there)).micro_rows(size)
        rows = min(rows, there) // size * size
    elif there < -(-rows // size) * size:
        size = _nearly_all(size, there)
        rows = min(-(-rows // size), there // size) * size
    num_micro = loader.rows_per_step // size
    return Validation("mixture", loader, num_micro, rows, training.loss, training.precision, data)


def _nearly_all(most: int, rows: int) -> int:
    """Return the largest divisor of ``most`` whose multiples take in nine tenths of the rows that there are."""
    return max(size for size in range(1, most + 1) if most % size == 0 and rows // size * size >= 0.9 * rows)


def _objective(layout: Layout, training: Training, num_groups: int, device: torch.device) -> Objective | Pipeline:
    """Return what computes micro-batches; of a pipeline, the last stage has the head."""
    last = layout.parts[-1]
    tensor = layout.mesh.tensor
    first = tensor.slice_of(last.vocab_size).start
    head = Head(last, training.z_loss, compute_dtype=compute_dtype(training.precision), tensor=tensor, first=first)
    objective = Objective(last, head, num_groups, device, training.prefix_lm, layout.before_backward)
    return Pipeline(objective, layout, training) if layout.mesh.pipe.size > 1 else objective


def num_steps(training: Training, loader: RowLoader) -> int:
    """Return the steps of a run: those given, or as many as spend the token budget."""
    if training.steps is not None:
        return training.steps
    assert training.tokens is not None
    return max(1, -(-training.tokens // (loader.rows_per_step * loader.tokens_per_row)))
