"""From a recipe and artefact folders to a finetuned model folder: what ``xmtf train`` calls."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path

from xmtf.artefacts.manifest_parts import ModelDetails, TrainCounts
from xmtf.artefacts.ownership import (
    check_ours,
    check_run_folder,
    claim,
    claim_run_folder,
    refuse_foreign,
    refuse_links,
    stage_of,
    work_beside,
    write_marker,
)
from xmtf.errors import ConfigError
from xmtf.execution import say
from xmtf.files import (
    MANIFEST,
    Manifest,
    Stopwatch,
    alone_in,
    atomic_folder,
    content_hash,
    discard_folder,
    is_finished,
    read_manifest,
    write_manifest,
)
from xmtf.guards.unfinished import shared_scratch, sweep_scratch
from xmtf.models import SpecialTokens, build_model, model_family
from xmtf.models.build import random_weights
from xmtf.models.files.identity import model_identity
from xmtf.models.quantise import quantised_linears
from xmtf.models.save import MODELS, file_hashes, save_tensors
from xmtf.parallel.topology.ranks import Ranks, all_processes
from xmtf.recipe import LoadedRecipe
from xmtf.recipe.effects import marked, stage_fingerprint
from xmtf.recipe.schema import Recipe
from xmtf.recipe.written import write_recipe
from xmtf.run_folder import RunFolder, tokenizer_of
from xmtf.tokens import load_tokenizer
from xmtf.tokens.rows.shelf import UNSHARED, Shelf
from xmtf.training.assembly import TrainingJob, assemble
from xmtf.training.checkpoint import checkpoint
from xmtf.training.checkpoint.state import TrainingProgress, require_whole
from xmtf.training.export import export_dtype, keep_tokenizer, merges, write_checkpoint, write_model
from xmtf.training.loop.loop import Loop
from xmtf.training.loop.mfu import Meter
from xmtf.training.loop.stop import refuse_restart
from xmtf.training.loop.validation import Measure
from xmtf.training.loss.batches import RowLoader
from xmtf.training.machine import training_machine
from xmtf.training.naming import identify_training
from xmtf.training.shared_export import SharedExport, shared_export
from xmtf.training.start import check_machine

__all__ = ["claim_checkpoints", "train", "train_in_folder", "write_initial"]


def train(job: TrainingJob) -> Manifest:
    """Finetune a model as a recipe says; export it; return the manifest of the export.

    Finished with the same fingerprint: nothing is done. Else training resumes from the newest checkpoint that fits.

    Raises:
        UserError: The recipe, the model or the machine do not fit together; says what to change.
        Stopped: Training was asked to stop; a checkpoint is saved and the same call resumes it.
    """
    recipe, ranks, model = job.recipe, job.ranks, job.run.model
    if recipe.training.validation_suites and not job.measures:
        raise ConfigError("training.validation_suites: no measures were given for them")
    identity = identify_training(job.loaded, tokens=job.tokens, initial=job.initial, measures=job.measures)
    if is_finished(model, identity.fingerprint):
        if ranks.first and stage_of(job.run.checkpoints) == _STAGE:
            checkpoint.sweep_checkpoints(job.run.checkpoints)
            discard_folder(work_beside(model))
        return read_manifest(model)
    check_machine(recipe.training, recipe.model.quantize)
    check_ours(model, "a model", MODELS)
    refuse_foreign(model)
    if ranks.first:
        claim_checkpoints(job.run.checkpoints, identity.name)
    watch = Stopwatch()
    ranks.at("reading the model")
    loop = assemble(job, identity.name)
    if ranks.first:
        keep_tokenizer(job.tokens, job.run.checkpoints)
    ranks.wait(recipe.training.timeouts.start, "the model to be read")
    progress = loop.run()
    details = replace(training_machine(loop.step.layout.mesh.dims), training=identity.name)
    manifest = Manifest(
        "train",
        identity.fingerprint,
        recipe=identity.section,
        inputs=identity.inputs,
        counts=_counts(progress, loop.feed.loader, loop.record.meter).to_json(),
        details=details.to_json(),
        wall_time_s=watch.seconds,
    )
    return _export_trained(loop, job, manifest)


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
    folder, started = loaded.run, time.monotonic()
    if not (tokens / MANIFEST).exists():
        raise ConfigError(
            f"{tokens}: there are no finished token files; build them with `xmtf run {loaded.path} --until tokens`"
        )
    check_run_folder(folder.path)
    refuse_restart(folder.checkpoints)
    with _processes(loaded) as ranks, alone_in(folder.path) if ranks.first else nullcontext():
        if ranks.first:
            claim_run_folder(folder.path)
        initial = loaded.recipe.model.base
        if initial is None:
            initial = str(folder.initial)
            if ranks.first:
                ranks.at("writing the random weights")
                write_initial(loaded.recipe, tokenizer_of(tokens), folder.initial)
            ranks.wait(loaded.recipe.training.timeouts.start, "the random weights")
        if ranks.first:
            write_recipe(loaded)
        family = model_family(loaded.recipe.model, offline=loaded.recipe.offline)
        with _shelf() as shelf:
            return train(TrainingJob(loaded, tokens, initial, family, folder, ranks, measures, started, shelf))


def _processes(loaded: LoadedRecipe) -> AbstractContextManager[Ranks]:
    training = loaded.recipe.training
    return all_processes(training.device, training.timeouts, loaded.run.flight)


@contextmanager
def _shelf() -> Iterator[Shelf]:
    """Give the shelf that the processes of torchrun on this machine share."""
    launch, here = os.environ.get("TORCHELASTIC_RUN_ID"), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if launch is None or here == 1:
        yield UNSHARED
        return
    sweep_scratch(_ROWS)
    attempt = [launch, os.environ.get("TORCHELASTIC_RESTART_COUNT"), os.environ.get("MASTER_PORT")]
    with shared_scratch(f"{_ROWS}{content_hash(attempt)[:16]}") as folder:
        yield Shelf(folder, first=int(os.environ["RANK"]) % here == 0)


_ROWS = "xmtf-rows-"


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
    if not any(folder.glob("step-*/state.json")):
        claim(folder, _STAGE, _STAGE)
    checkpoint.sweep_checkpoints(folder)
    refuse_links(folder.glob("*"))
    write_marker(folder, _STAGE, training=training)


def _counts(progress: TrainingProgress, loader: RowLoader, meter: Meter | None) -> TrainCounts:
    num_parameters = 0 if meter is None else meter.size.total
    return TrainCounts(**asdict(progress), rows=progress.step * loader.rows_per_step, num_parameters=num_parameters)


def _exported_checkpoint(loop: Loop, *, merge: bool) -> Path | None:
    """Return the checkpoint that becomes the model; None where it is the model as it is now, in one piece.

    Adapters are merged into weights as they were before training, which keeps frozen ones in bf16 under ``bf16`` or
    quantised.
    """
    progress, step = loop.progress, loop.progress.step
    if loop.training.export == "best" and progress.best_step is not None:
        step = progress.best_step
        say(f"the weights after step {step} are the best by {progress.best_by}")
    whole = not loop.step.layout.mesh.dims.splits
    quantised = any(quantised_linears(loop.step.model))
    if merge and quantised:
        say("adapters are merged into the base in full precision; they were trained with quantised weights")
    now = whole and step == progress.step and not (merge and (quantised or loop.training.precision == "bf16"))
    return None if now else checkpoint.checkpoint_path(loop.checkpoints, step)


def _export_trained(loop: Loop, job: TrainingJob, manifest: Manifest) -> Manifest:
    """Write the weights that become the model, and its manifest: all processes where they can, else the first one."""
    recipe, ranks, waits = job.recipe, job.ranks, job.recipe.training.timeouts
    merge = merges(recipe)
    ranks.at("reading the checkpoint for the export")
    source = _exported_checkpoint(loop, merge=merge)
    together, hashes = None, {}
    if source is not None:
        require_whole(source, loop.saver.ranks)
        together = shared_export(source, job.run.model, recipe, base=job.initial, dtype=export_dtype(recipe))
    if together is not None:
        hashes = together.write_files(ranks, start_s=waits.start, export_s=waits.export)
    ranks.at("exporting")
    if ranks.first:
        manifest = _export(_writer(loop, job, source, together, hashes), job.run.model, manifest)
        if together is not None:
            together.discard(job.run.model, hashes)
    ranks.wait(waits.export, "the export")
    return manifest


def _writer(
    loop: Loop, job: TrainingJob, source: Path | None, together: SharedExport | None, hashes: Mapping[str, str]
) -> Callable[[Path], None]:
    """Return what fills the model folder in the first process."""
    recipe, tokenizer = job.recipe, tokenizer_of(job.tokens)
    merge, kept = merges(recipe), export_dtype(recipe)
    if together is not None:
        return lambda folder: together.finish(folder, hashes, tokenizer=tokenizer)
    if source is None:
        model = loop.step.model
        return lambda folder: write_model(model, folder, tokenizer=tokenizer, base=job.initial, merge=merge, dtype=kept)
    return lambda folder: write_checkpoint(source, folder, recipe, tokenizer=tokenizer, base=job.initial, merge=merge)


def _export(write: Callable[[Path], None], folder: Path, manifest: Manifest) -> Manifest:
    """Write a model folder; the manifest goes in last, before the folder appears under its name."""
    with atomic_folder(folder, alone=True) as temporary:
        write(temporary)
        outputs = file_hashes(temporary)
        details = replace(ModelDetails.of(manifest, folder), identity=model_identity(str(temporary)))
        manifest = replace(manifest, outputs=outputs, details=details.to_json())
        write_manifest(temporary, manifest)
    return manifest
