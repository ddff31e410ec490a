"""From a recipe and artefact folders to a finetuned model folder: what ``xmtf train`` calls."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from xmtf.errors import ConfigError
from xmtf.execution import say
from xmtf.files import (
    MANIFEST,
    Manifest,
    Stopwatch,
    atomic_folder,
    content_hash,
    file_sha256,
    is_finished,
    read_manifest,
    write_manifest,
)
from xmtf.models.interface import Family
from xmtf.recipe import LoadedRecipe
from xmtf.recipe.schema import Recipe, Training
from xmtf.training import checkpoint, memory
from xmtf.training.batches import RowLoader
from xmtf.training.events import Log
from xmtf.training.export import merges, write_checkpoint, write_model
from xmtf.training.fill import Weights
from xmtf.training.fits import num_micro_batches
from xmtf.training.head import Head
from xmtf.training.layout import Layout, cut_model
from xmtf.training.loop import Loop
from xmtf.training.machine import training_machine
from xmtf.training.mesh import build_mesh, degrees
from xmtf.training.objective import Objective
from xmtf.training.optimizer import build_optimizer
from xmtf.training.pipeline import Pipeline
from xmtf.training.precision import choose_device, compute_dtype, computing, prepare, set_threads
from xmtf.training.ranks import ALONE, Ranks, all_processes
from xmtf.training.saver import Saver, background_ranks
from xmtf.training.start import check_machine, check_model, start_model
from xmtf.training.state import Progress, require_whole
from xmtf.training.step import Feed, Step
from xmtf.training.texts import TextRows, text_rows
from xmtf.training.trackers import TrackedRun, open_trackers
from xmtf.training.validation import Measure, Validation, Watch
from xmtf.training.work import Meter, peak_flops

__all__ = [
    "model_reference_hash",
    "num_steps",
    "train",
    "train_in_folder",
    "training_loop",
    "training_name",
    "write_initial",
]

_ELSEWHERE = (
    "attention", "device", "export", "keep_checkpoints", "log_every", "max_skipped_steps", "micro_batch_rows",
    "parallel", "save_every", "save_in_background", "threads", "trackers", "validate_every", "validation_examples",
    "validation_rows", "validation_suites", "validation_texts", "wall_clock_limit",
)  # fmt: skip
"""Keys of the training section that leave what is learnt as it is (micro-batches and layouts: to rounding)."""
_CHOOSING = ("save_every", "validate_every", "validation_examples", "validation_rows", "validation_suites")
"""Keys that decide which weights are the best."""


def train(
    loaded: LoadedRecipe,
    *,
    tokens: Path,
    initial: str,
    checkpoints: Path,
    model: Path,
    log: Path,
    family: Family,
    ranks: Ranks = ALONE,
    measures: Sequence[Measure] = (),
) -> Manifest:
    """Finetune a model as a recipe says; export it; return the manifest of the export.

    Finished with the same fingerprint: nothing is done. Else training goes on from the newest checkpoint that fits.

    Args:
        loaded: The recipe.
        tokens: Folder of token files, with its tokenizer.
        initial: Model to start from: folder, GGUF file or hub id.
        checkpoints: Folder for checkpoints.
        model: Folder for the finished model; its manifest marks the stage as finished.
        log: File that events are appended to.
        family: Of the model.
        ranks: The processes that train together; the first one writes.
        measures: What the suites of ``training.validation_suites`` are measured with.

    Raises:
        UserError: The recipe, the model or the machine do not fit together; says what to change.
        Stopped: Training was asked to stop; a checkpoint is saved and the same call goes on.
    """
    recipe = loaded.recipe
    inputs = {"tokens": read_manifest(tokens).fingerprint, "initial": model_reference_hash(initial)}
    section = _learning_section(recipe)
    fingerprint = content_hash({"recipe": section | _choosing_section(recipe), "inputs": inputs})
    if is_finished(model, fingerprint):
        return read_manifest(model)
    if recipe.training.validation_suites and not measures:
        raise ConfigError("training.validation_suites: nothing to measure them with was given")
    check_machine(recipe.training)
    watch = Stopwatch()
    name = training_name(recipe, inputs)
    events = _open_log(loaded, log) if ranks.first else Log(Path(os.devnull))
    loop = _prepare(loaded, tokens, initial, checkpoints, events, family, name, ranks, measures)
    progress = loop.run()
    counts = _counts(progress, loop.feed.loader, loop.meter)
    manifest = Manifest(
        "train",
        fingerprint,
        recipe=section,
        inputs=inputs,
        counts=counts,
        details=training_machine(loop.step.layout.mesh.degrees),
        wall_time_s=watch.seconds,
    )
    source = _exported_checkpoint(loop)
    if source is not None:
        require_whole(source, ranks)
    if ranks.first:
        options: Any = {"tokenizer": tokens / "tokenizer", "base": initial, "merge": merges(recipe)}

        def write(folder: Path) -> None:
            if source is None:
                write_model(loop.step.model, folder, **options)
            else:
                write_checkpoint(source, folder, recipe, **options)

        manifest = _export(write, model, manifest)
    ranks.wait()
    return manifest


def train_in_folder(loaded: LoadedRecipe, *, tokens: Path, measures: Sequence[Measure] = ()) -> Manifest:
    """Finetune inside the recipe's run folder, making the random weights to start from where the recipe has a shape.

    Under ``torchrun`` its processes share the work as ``training.parallel`` says: the losses are those of one process.

    Args:
        loaded: The recipe.
        tokens: Folder of token files.
        measures: As for :func:`train`.

    Raises:
        ConfigError: There are no finished token files.
    """
    from xmtf.models import model_family

    folder = loaded.run_folder
    if not (tokens / MANIFEST).exists():
        raise ConfigError(f"{tokens}: no finished token files; make them with `xmtf run {loaded.path} --until tokens`")
    with all_processes() as ranks:
        initial = loaded.recipe.model.base
        if initial is None:
            initial = str(folder / "initial")
            if ranks.first:
                write_initial(loaded.recipe, tokens / "tokenizer", folder / "initial")
            ranks.wait()
        return train(
            loaded,
            tokens=tokens,
            initial=initial,
            checkpoints=folder / "checkpoints",
            model=folder / "model",
            log=folder / "log.jsonl",
            family=model_family(loaded.recipe.model),
            ranks=ranks,
            measures=measures,
        )


def write_initial(recipe: Recipe, tokenizer: Path, out: Path) -> Manifest:
    """Write the random weights that a recipe with a shape starts from, as a model folder; once.

    They are drawn and written one after the other: no more of them are held than one file takes, 5 GB.

    Args:
        recipe: Its ``model`` section and seed count.
        tokenizer: Folder of the tokenizer.
        out: The model folder.
    """
    from xmtf.models import SpecialTokens, build_model
    from xmtf.models.build import random_weights
    from xmtf.models.save import save_tensors
    from xmtf.tokens import load_tokenizer

    loaded = load_tokenizer(tokenizer)
    section = {key: value for key, value in recipe.section("model").items() if key != "lora"} | {"seed": recipe.seed}
    inputs = {"tokenizer": loaded.fingerprint}
    fingerprint = content_hash({"recipe": section, "inputs": inputs})
    if is_finished(out, fingerprint):
        return read_manifest(out)
    special = SpecialTokens(pad=loaded.pad, eos=loaded.eos, bos=loaded.bos)
    model = build_model(recipe.model, vocab_size=loaded.vocab_size, special=special, seed=recipe.seed, device="meta")

    def write(folder: Path) -> None:
        save_tensors(random_weights(model, recipe.seed), model.config, folder, tokenizer=tokenizer)

    return _export(write, out, Manifest("initial", fingerprint, recipe=section, inputs=inputs))


def training_loop(
    model: nn.Module,
    recipe: Recipe,
    loader: RowLoader,
    validation: RowLoader | None,
    *,
    checkpoints: Path,
    log: Log,
    fingerprint: str,
    ranks: Ranks = ALONE,
    texts: Mapping[str, TextRows] | None = None,
    measures: Sequence[Measure] = (),
    weights: Weights | None = None,
) -> Loop:
    """Return the loop that trains a model on the rows of a loader; the model is cut up and placed on its device.

    Args:
        model: As loaded: fp32 on the CPU, or on the meta device.
        recipe: Its ``training`` section and seed count.
        loader: Rows to train on.
        validation: Rows to measure on, or None.
        checkpoints: Folder for checkpoints.
        log: Where events go.
        fingerprint: Names this training among the checkpoints.
        ranks: The processes that train together.
        texts: Name -> rows of plain text to measure on.
        measures: Suites to measure.
        weights: What parameters on the meta device are filled from.
    """
    training = recipe.training
    device = choose_device(training.device)
    set_threads(training.threads)
    prepare(model, recipe)
    mesh = build_mesh(training.parallel, ranks, device)
    layout = cut_model(model, training, mesh, device, weights)
    steps = num_steps(training, loader)
    num_micro = num_micro_batches(training, mesh.data.size)
    optimizer = build_optimizer(layout, training.optimizer, spread=layout.spread)
    background = background_ranks(ranks) if training.save_in_background else None
    precision = training.precision
    validations = []
    if validation is not None:
        rows = training.validation_rows
        validations.append(Validation("mixture", validation, num_micro, rows, training.loss, precision))
    for name, text in (texts or {}).items():
        validations.append(Validation(name, text, num_micro, len(text.windows), "token", precision))
    return Loop(
        step=Step(
            layout,
            _objective(layout, training, len(loader.group_names), device),
            optimizer,
            training,
            steps,
            recipe.seed,
        ),
        feed=Feed(loader, num_micro, training.loss),
        watch=Watch(tuple(validations), tuple(measures), precision),
        training=training,
        num_steps=steps,
        saver=Saver(checkpoints, layout, optimizer, fingerprint, background),
        log=log,
    )


def _objective(layout: Layout, training: Training, num_groups: int, device: torch.device) -> Objective | Pipeline:
    """Return what computes micro-batches; of a pipeline, the last stage has the head."""
    last = layout.parts[-1]
    tensor = layout.mesh.tensor
    first = tensor.slice_of(last.vocab_size).start
    head = Head(last, training.z_loss, compute_dtype=compute_dtype(training.precision), tensor=tensor, first=first)
    objective = Objective(last, head, num_groups, device, training.prefix_lm)
    return Pipeline(objective, layout, training) if layout.mesh.pipe.size > 1 else objective


def num_steps(training: Training, loader: RowLoader) -> int:
    """Return the steps of a run: those given, or as many as spend the token budget."""
    if training.steps is not None:
        return training.steps
    assert training.tokens is not None
    return max(1, -(-training.tokens // (loader.rows_per_step * loader.tokens_per_row)))


def model_reference_hash(reference: str) -> str:
    """Return a hash of the model behind a reference, without reading whole weights.

    A folder of ours counts by its manifest, other folders and files by names, sizes and the first and last MiB of
    each file, a hub id by its text.
    """
    from xmtf.models.references import parse_reference

    path = parse_reference(reference).path
    if path is None:
        return content_hash(reference)
    if (path / MANIFEST).exists():
        return read_manifest(path).fingerprint
    files = sorted(item for item in path.iterdir() if item.is_file()) if path.is_dir() else [path]
    return content_hash([(item.name, item.stat().st_size, _ends_hash(item)) for item in files])


def _ends_hash(path: Path) -> str:
    block = 2**20
    with path.open("rb") as stream:
        digest = hashlib.sha256(stream.read(block))
        stream.seek(max(block, path.stat().st_size - block))
        digest.update(stream.read(block))
    return digest.hexdigest()


def _learning_section(recipe: Recipe) -> dict[str, Any]:
    """Return what the trained weights depend on, of the recipe."""
    training = {key: value for key, value in recipe.section("training").items() if key not in _ELSEWHERE}
    return {"training": training, "model": recipe.section("model"), "seed": recipe.seed}


def training_name(recipe: Recipe, inputs: dict[str, str]) -> str:
    """Return what names a training among checkpoints: a run goes on from those of its own name alone.

    Args:
        recipe: Its seed, ``model`` and ``training`` sections count, without keys that leave what is learnt as it is.
        inputs: ``tokens``: fingerprint of the token files; ``initial``: :func:`model_reference_hash` of the start.
    """
    return content_hash(_resumable(_learning_section(recipe)) | inputs)


def _choosing_section(recipe: Recipe) -> dict[str, Any]:
    """Return what else the exported weights depend on: nothing where they are the last."""
    if recipe.training.export == "last":
        return {}
    section = recipe.section("training")
    return {"export": {key: section[key] for key in _CHOOSING} | {"evaluation": recipe.section("evaluation")}}


def _open_log(loaded: LoadedRecipe, path: Path) -> Log:
    """Return the log with the recipe's trackers; a tracker that is not installed is refused before any work."""
    recipe = loaded.recipe
    run = TrackedRun(recipe.name, path.parent / "tracking", recipe.model_dump(mode="json"), recipe.offline)
    return Log(path, open_trackers(recipe.training.trackers, run))


def _resumable(section: dict[str, Any]) -> dict[str, Any]:
    """Return ``section`` without the number of steps where the schedule ignores it: such a run can be extended."""
    training = dict(section["training"])
    if training["schedule"]["name"] in ("constant", "inverse_sqrt"):
        training = {key: value for key, value in training.items() if key not in ("steps", "tokens")}
    model = dict(section["model"])
    if model.get("lora"):
        model["lora"] = {key: value for key, value in model["lora"].items() if key != "merge"}
    return section | {"training": training, "model": model}


def _prepare(
    loaded: LoadedRecipe,
    tokens: Path,
    initial: str,
    checkpoints: Path,
    log: Log,
    family: Family,
    fingerprint: str,
    ranks: Ranks,
    measures: Sequence[Measure],
) -> Loop:
    from xmtf.models import model_size
    from xmtf.tokens import load_tokenizer, open_loader

    recipe = loaded.recipe
    shape = degrees(recipe.training.parallel, ranks.size)
    start = start_model(initial, recipe.model, seed=recipe.seed, offline=recipe.offline, in_pieces=shape.splits)
    if shape.splits and start.stored is None and ranks.first:
        say(f"{initial}: every process loads it whole before it is cut; its files cannot be read in pieces")
    if start.family != family:
        raise ConfigError(f"{initial}: is of the {start.family} family, and the tokens were made for {family}")
    tokenizer = load_tokenizer(tokens / "tokenizer")
    if tokenizer.vocab_size > start.model.vocab_size:
        raise ConfigError(
            f"{initial}: its embedding has {start.model.vocab_size} rows and the tokenizer {tokenizer.vocab_size} "
            "entries; choose the tokenizer of this model (tokens.tokenizer.path)"
        )
    spread = memory.Spread.of(recipe, shape)
    memory.check_limit(memory.estimate_memory(start.model, recipe, spread), recipe.memory_limit)
    if start.stored is None:
        check_model(start.model, recipe)
    loader = open_loader(tokens, loaded, group="train", family=family)
    packing, rows = recipe.tokens.packing, recipe.training.global_batch_rows
    size = model_size(start.model)
    loop = training_loop(
        start.model,
        recipe,
        loader,
        _held_out(loaded, tokens, family),
        checkpoints=checkpoints,
        log=log,
        fingerprint=fingerprint,
        ranks=ranks,
        texts={
            text.name: text_rows(text, loaded.path.parent, tokenizer, packing, family, rows)
            for text in recipe.training.validation_texts
        },
        measures=measures,
        weights=start.stored,
    )
    if start.stored is not None:
        with computing(recipe.training.precision, loop.step.objective.device):
            for part in loop.step.layout.parts:
                check_model(part, recipe)
    dtype = compute_dtype(recipe.training.precision)
    loop.meter = Meter(size, ranks.size * peak_flops(loop.step.objective.device, dtype))
    loop.show = lambda batch: [tokenizer.decode(row.tolist())[:500] for row in _token_rows(batch)]
    return loop


def _held_out(loaded: LoadedRecipe, tokens: Path, family: Family) -> RowLoader | None:
    """Return the rows to validate on, or None where there are none: a small mixture trains without."""
    from xmtf.tokens import NoExamplesError, open_loader

    if loaded.recipe.mixture.validation_fraction == 0:
        return None
    try:
        return open_loader(tokens, loaded, group="validation", family=family)
    except NoExamplesError as error:
        say(f"training without validation: {error}")
        return None


def _token_rows(batch: Any) -> Any:
    return batch.tokens if hasattr(batch, "tokens") else batch.encoder_tokens


def _counts(progress: Progress, loader: RowLoader, meter: Meter | None) -> dict[str, Any]:
    num_parameters = 0 if meter is None else meter.size.total
    return asdict(progress) | {"rows": progress.step * loader.rows_per_step, "num_parameters": num_parameters}


def _exported_checkpoint(loop: Loop) -> Path | None:
    """Return the checkpoint that becomes the model; None where it is the model as it is now, in one piece."""
    progress, step = loop.progress, loop.progress.step
    if loop.training.export == "best" and progress.best_step is not None:
        step = progress.best_step
        say(f"the weights after step {step} are the best by {progress.best_by}")
    whole = not loop.step.layout.mesh.degrees.splits
    return None if whole and step == progress.step else checkpoint.checkpoint_path(loop.checkpoints, step)


def _export(write: Callable[[Path], None], folder: Path, manifest: Manifest) -> Manifest:
    """Write a model folder; the manifest goes in last, before the folder appears under its name."""
    with atomic_folder(folder) as temporary:
        write(temporary)
        outputs = {path.name: file_sha256(path) for path in sorted(temporary.iterdir())}
        manifest = Manifest(**(asdict(manifest) | {"outputs": outputs}))
        write_manifest(temporary, manifest)
    return manifest
