"""From a recipe and artefact folders to a finetuned model folder: what ``xmtf train`` calls."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from xmtf.checksums import remembered_sha256
from xmtf.errors import ConfigError
from xmtf.execution import say
from xmtf.files import (
    MANIFEST,
    Manifest,
    Stopwatch,
    alone_in,
    atomic_folder,
    is_finished,
    read_manifest,
    write_json,
    write_manifest,
)
from xmtf.manifest_parts import ModelDetails, TrainCounts
from xmtf.models import SpecialTokens, build_model, model_family
from xmtf.models.build import random_weights
from xmtf.models.files.identity import model_identity
from xmtf.models.interface import Family
from xmtf.models.save import MODELS, save_tensors
from xmtf.ownership import MARKER, check_ours, check_run_folder, claim, claim_run_folder, refuse_foreign, refuse_links
from xmtf.recipe import LoadedRecipe
from xmtf.recipe.effects import marked, stage_fingerprint
from xmtf.recipe.schema import Recipe
from xmtf.recipe.written import write_recipe
from xmtf.run_folder import RunFolder, tokenizer_of
from xmtf.tokens import load_tokenizer
from xmtf.training.assembly import assemble
from xmtf.training.checkpoint import checkpoint
from xmtf.training.checkpoint.state import TrainingProgress, require_whole
from xmtf.training.export import export_dtype, keep_tokenizer, merges, write_checkpoint, write_model
from xmtf.training.loop.events import Log
from xmtf.training.loop.loop import Loop
from xmtf.training.loop.mfu import Meter
from xmtf.training.loop.trackers import TrackedRun, open_trackers
from xmtf.training.loop.validation import Measure
from xmtf.training.loss.batches import RowLoader
from xmtf.training.machine import training_machine
from xmtf.training.naming import identify_training
from xmtf.training.start import check_machine
from xmtf.training.topology.ranks import ALONE, Ranks, all_processes

__all__ = ["claim_checkpoints", "train", "train_in_folder", "write_initial"]


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
    started = time.monotonic()
    if recipe.training.validation_suites and not measures:
        raise ConfigError("training.validation_suites: nothing to measure them with was given")
    identity = identify_training(loaded, tokens=tokens, initial=initial, measures=measures)
    if is_finished(model, identity.fingerprint):
        return read_manifest(model)
    check_machine(recipe.training)
    check_ours(model, "a model", MODELS)
    refuse_foreign(model)
    if ranks.first:
        claim_checkpoints(checkpoints, identity.name)
    watch = Stopwatch()
    loop = assemble(
        loaded,
        tokens=tokens,
        initial=initial,
        family=family,
        checkpoints=checkpoints,
        log=_open_log(loaded, log) if ranks.first else Log(Path(os.devnull)),
        fingerprint=identity.name,
        ranks=ranks,
        measures=measures,
    )
    if ranks.first:
        keep_tokenizer(tokens, checkpoints)
    loop.started = started  # reading the model is in the slot, too
    progress = loop.run()
    details = replace(training_machine(loop.step.layout.mesh.dims), training=identity.name)
    manifest = Manifest(
        "train",
        identity.fingerprint,
        recipe=identity.section,
        inputs=identity.inputs,
        counts=_counts(progress, loop.feed.loader, loop.meter).to_json(),
        details=details.to_json(),
        wall_time_s=watch.seconds,
    )
    options = {"tokenizer": tokenizer_of(tokens), "base": initial, "merge": merges(recipe)}
    return _export_trained(loop, recipe, model, manifest, ranks, options)


def train_in_folder(loaded: LoadedRecipe, *, tokens: Path, measures: Sequence[Measure] = ()) -> Manifest:
    """Finetune inside the recipe's run folder, making the random weights to start from where the recipe has a shape.

    The recipe is written there too: exports and cards read it.

    Under ``torchrun`` its processes share the work as ``training.parallel`` says: the losses are those of one process.

    Args:
        loaded: The recipe.
        tokens: Folder of token files.
        measures: As for :func:`train`.

    Raises:
        ConfigError: There are no finished token files.
        UserError: Another process works in the run folder.
    """
    folder = loaded.run
    if not (tokens / MANIFEST).exists():
        raise ConfigError(f"{tokens}: no finished token files; make them with `xmtf run {loaded.path} --until tokens`")
    check_run_folder(folder.path)
    with all_processes() as ranks, alone_in(folder.path) if ranks.first else nullcontext():
        if ranks.first:
            claim_run_folder(folder.path)
        initial = loaded.recipe.model.base
        if initial is None:
            initial = str(folder.initial)
            if ranks.first:
                write_initial(loaded.recipe, tokenizer_of(tokens), folder.initial)
            ranks.wait()
        if ranks.first:
            write_recipe(loaded)
        return train(
            loaded,
            tokens=tokens,
            initial=initial,
            checkpoints=folder.checkpoints,
            model=folder.model,
            log=folder.log,
            family=model_family(loaded.recipe.model, offline=loaded.recipe.offline),
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
    loaded = load_tokenizer(tokenizer)
    section = marked(recipe, "initial", recipe)
    inputs = {"tokenizer": loaded.fingerprint}
    fingerprint = stage_fingerprint("initial", section, inputs)
    if is_finished(out, fingerprint):
        return read_manifest(out)
    check_ours(out, "a model", MODELS)
    refuse_foreign(out)
    special = SpecialTokens(pad=loaded.pad, eos=loaded.eos, bos=loaded.bos)
    model = build_model(recipe.model, vocab_size=loaded.vocab_size, special=special, seed=recipe.seed, device="meta")

    def write(folder: Path) -> None:
        save_tensors(random_weights(model, recipe.seed), model.config, folder, tokenizer=tokenizer)

    return _export(write, out, Manifest("initial", fingerprint, recipe=section, inputs=inputs))


_STAGE = RunFolder(Path()).checkpoints.name


def claim_checkpoints(folder: Path, training: str) -> None:
    """Mark the folder of checkpoints as ours, and as of a training; of earlier versions the checkpoints count."""
    checkpoint.sweep_checkpoints(folder)
    if not any(folder.glob("step-*/state.json")):
        claim(folder, _STAGE, _STAGE)
    refuse_links(folder.glob("*"))
    write_json(folder / MARKER, {"stage": _STAGE, "training": training})


def _open_log(loaded: LoadedRecipe, path: Path) -> Log:
    """Return the log with the recipe's trackers; a tracker that is not installed is refused before any work."""
    recipe = loaded.recipe
    run = TrackedRun(recipe.name, loaded.run.tracking, recipe.model_dump(mode="json"), recipe.offline)
    return Log(path, open_trackers(recipe.training.trackers, run))


def _counts(progress: TrainingProgress, loader: RowLoader, meter: Meter | None) -> TrainCounts:
    num_parameters = 0 if meter is None else meter.size.total
    return TrainCounts(**asdict(progress), rows=progress.step * loader.rows_per_step, num_parameters=num_parameters)


def _exported_checkpoint(loop: Loop, *, merge: bool) -> Path | None:
    """Return the checkpoint that becomes the model; None where it is the model as it is now, in one piece.

    Adapters are merged into weights as they were before training, which keeps frozen ones in bf16 under ``bf16``.
    """
    progress, step = loop.progress, loop.progress.step
    if loop.training.export == "best" and progress.best_step is not None:
        step = progress.best_step
        say(f"the weights after step {step} are the best by {progress.best_by}")
    whole = not loop.step.layout.mesh.dims.splits
    now = whole and step == progress.step and not (merge and loop.training.precision == "bf16")
    return None if now else checkpoint.checkpoint_path(loop.checkpoints, step)


def _export_trained(
    loop: Loop, recipe: Recipe, model: Path, manifest: Manifest, ranks: Ranks, options: dict[str, Any]
) -> Manifest:
    """Write the weights that become the model, and its manifest; the first process does, all wait for it."""
    source = _exported_checkpoint(loop, merge=options["merge"])
    if source is not None:
        require_whole(source, ranks)
    if ranks.first:

        def write(folder: Path) -> None:
            if source is None:
                write_model(loop.step.model, folder, dtype=export_dtype(recipe), **options)
            else:
                write_checkpoint(source, folder, recipe, **options)

        manifest = _export(write, model, manifest)
    ranks.wait()
    return manifest


def _export(write: Callable[[Path], None], folder: Path, manifest: Manifest) -> Manifest:
    """Write a model folder; the manifest goes in last, before the folder appears under its name."""
    with atomic_folder(folder, alone=True) as temporary:
        write(temporary)
        outputs = {path.name: remembered_sha256(path) for path in sorted(temporary.iterdir())}
        details = replace(ModelDetails.of(manifest, folder), identity=model_identity(str(temporary)))
        manifest = replace(manifest, outputs=outputs, details=details.to_json())
        write_manifest(temporary, manifest)
    return manifest
