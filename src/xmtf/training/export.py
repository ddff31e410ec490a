"""Checkpoints of a run, looked at and exported as model folders."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch

from xmtf.artefacts.checksums import check_outputs
from xmtf.artefacts.manifest_parts import ModelDetails, TrainCounts
from xmtf.artefacts.ownership import MARKER
from xmtf.errors import ConfigError, DataError, SourceError, UnknownNameError
from xmtf.execution import say
from xmtf.files import MANIFEST, Manifest, atomic_folder, read_json, read_manifest
from xmtf.models import save_model
from xmtf.models.bloom import Bloom
from xmtf.models.dtype import DTYPES
from xmtf.models.lora import merge_adapters
from xmtf.models.mt5 import MT5
from xmtf.models.save import check_model_replaced, describe_model, save_tensors
from xmtf.recipe import Recipe, load_recipe
from xmtf.run_folder import RunFolder, tokenizer_of
from xmtf.training.checkpoint.checkpoint import (
    checkpoint_folders,
    checkpoint_path,
    list_checkpoints,
    load_weights,
    read_progress,
    read_weights,
)
from xmtf.training.checkpoint.state import TrainingProgress, read_state, require_whole, torn
from xmtf.training.start import start_model

__all__ = [
    "export_checkpoint",
    "export_dtype",
    "is_the_model",
    "keep_tokenizer",
    "merges",
    "own_checkpoints",
    "own_training",
    "run_checkpoints",
    "write_checkpoint",
    "write_model",
]


def keep_tokenizer(tokens: Path, checkpoints: Path) -> None:
    """Copy the tokenizer of token files next to the checkpoints: exports need it, wherever the token files are then."""
    with atomic_folder(tokenizer_of(checkpoints)) as folder:
        shutil.copytree(tokenizer_of(tokens), folder, dirs_exist_ok=True)
        describe_model(folder, "tokenizer", ModelDetails())


def own_training(run_folder: Path) -> str | None:
    """Return the name of the training that a run folder is of, by what was trained there last; None where none is."""
    run = RunFolder(run_folder)
    marker = run.checkpoints / MARKER
    if marker.is_file():
        name = read_json(marker).get("training")
        return None if name is None else str(name)
    if not (run.model / MANIFEST).is_file():
        return None
    return ModelDetails.of(read_manifest(run.model), run.model).training


def run_checkpoints(run_folder: Path) -> dict[Path, TrainingProgress]:
    """Return the whole checkpoints of a run, oldest first, and how far each had come.

    Raises:
        SourceError: Not the folder of a run, or the run has none.
    """
    run = RunFolder(run_folder)
    folder = run.checkpoints
    if not folder.is_dir() and not run.is_run:
        raise SourceError(f"{run_folder}: not a run folder (it has no {run.recipe.name}); give one such as runs/demo")
    found = {path: read_progress(path) for path in list_checkpoints(folder)}
    if not found:
        raise SourceError(f"{folder}: no complete checkpoint; train the recipe first (xmtf train RECIPE)")
    return found


def own_checkpoints(run_folder: Path, *, needed: int | None = None) -> dict[Path, TrainingProgress]:
    """Return the whole checkpoints of a run's own training, oldest first.

    Args:
        run_folder: Folder of the run.
        needed: A step whose checkpoint has to be its own, where there is one.

    Raises:
        SourceError: Not the folder of a run, or the run has none.
        ConfigError: All of them, or that of the step, are of another training.
    """
    found = run_checkpoints(run_folder)
    own = {path: progress for path, progress in found.items() if _is_own(path, run_folder)}
    others = found.keys() - own.keys()
    if not own or (needed is not None and checkpoint_path(RunFolder(run_folder).checkpoints, needed) in others):
        raise ConfigError(
            f"{run_folder}: its checkpoints do not match its recipe.yaml; run the recipe again, or "
            "export one with --foreign, whose card then has no results"
        )
    return own


def export_checkpoint(
    run_folder: Path,
    out: Path,
    *,
    step: int | None = None,
    merge: bool = False,
    dtype: str = "auto",
    foreign: bool = False,
    replace: bool = False,
) -> Path:
    """Write the weights of a checkpoint as a model folder in Hugging Face format, with the run's tokenizer.

    Args:
        run_folder: Folder of the run, with ``recipe.yaml`` and ``checkpoints/``.
        out: Folder to write.
        step: Which checkpoint of the run's own training; default the newest.
        merge: Write full weights with the adapters added, whatever ``model.lora.merge`` says.
        dtype: ``fp32``, ``bf16`` or ``fp16``; ``auto`` is what the run computed in. Adapters alone stay in fp32.
        foreign: Take the checkpoint of another training that was left in the folder.
        replace: Whether it may take the place of a model that xmtf wrote.

    Returns:
        The checkpoint that was exported.

    Raises:
        SourceError: Not a run folder, or no checkpoint.
        DataError: The checkpoint was changed or cut short; names the file.
        UnknownNameError: No checkpoint of that step.
        ConfigError: ``out`` holds something other than a model; ``merge`` of a run without adapters.
    """
    check_model_replaced(out, replace=replace)
    run = RunFolder(run_folder)
    checkpoints = run_checkpoints(run_folder) if foreign else own_checkpoints(run_folder, needed=step)
    if step is None:
        _refuse_damaged(run.checkpoints, newest=next(reversed(run_checkpoints(run_folder))))
    path = next(reversed(checkpoints)) if step is None else checkpoint_path(run.checkpoints, step)
    if path not in checkpoints:
        steps = [str(progress.step) for progress in checkpoints.values()]
        raise UnknownNameError("step", str(step), steps, str(run.checkpoints))
    require_whole(path)
    recipe = load_recipe(run.recipe, kept=True).recipe
    if merge and recipe.model.lora is None:
        raise ConfigError(f"{run_folder}: has no trained adapters (model.lora), so there is nothing to merge")
    base = recipe.model.base or str(run.initial)
    kept = tokenizer_of(run.checkpoints)
    tokenizer = kept if kept.is_dir() else tokenizer_of(run.tokens)  # of runs of earlier versions
    if (tokenizer / MANIFEST).is_file():
        check_outputs(tokenizer)
    with atomic_folder(out, alone=True) as folder:
        options: Any = {"tokenizer": tokenizer, "merge": merge, "dtype": DTYPES.get(dtype)}
        write_checkpoint(path, folder, recipe, base=base, **options)
        state = read_state(path)
        describe_model(folder, "export", ModelDetails(training=state.fingerprint, step=state.progress.step))
    say(f"{out}: the weights after step {checkpoints[path].step}")
    return path


def _refuse_damaged(folder: Path, newest: Path) -> None:
    """Refuse to take an older checkpoint where a newer one is not whole."""
    folders = checkpoint_folders(folder)
    for path in folders[folders.index(newest) + 1 :]:
        lacks = torn(path)
        if lacks is not None:
            raise DataError(f"{path}: {lacks}; use an older checkpoint with --step N, or train again")


def is_the_model(run_folder: Path, export: Manifest) -> bool:
    """Return whether an exported checkpoint is that which became the run's model, whatever its number format."""
    run = RunFolder(run_folder)
    if not (run.model / MANIFEST).is_file() or load_recipe(run.recipe, kept=True).recipe.training.export != "last":
        return False
    model = read_manifest(run.model)
    exported = ModelDetails.of(export, run_folder)
    found = (ModelDetails.of(model, run.model).training, TrainCounts.of(model, run.model).step)
    return found == (exported.training, exported.step)


def _is_own(path: Path, run_folder: Path) -> bool:
    return own_training(run_folder) in (None, read_state(path).fingerprint)


def write_checkpoint(
    path: Path,
    folder: Path,
    recipe: Recipe,
    *,
    base: str,
    tokenizer: Path,
    merge: bool = False,
    dtype: torch.dtype | None = None,
) -> None:
    """Write the weights of a checkpoint as a model folder.

    Of BLOOM and mT5 no more of them are held than one file takes, 5 GB; adapters and models of transformers are put
    together in memory.

    Args:
        path: The checkpoint, written under any layout.
        folder: Where to write.
        recipe: What was trained.
        base: What training started from.
        tokenizer: Folder of its tokenizer.
        merge: Merge adapters, whatever the recipe says.
        dtype: Number format of full weights; default that which the run computed in.
    """
    dtype = dtype or export_dtype(recipe)
    options: Any = {"seed": recipe.seed, "offline": recipe.offline}
    adapted = recipe.model.model_copy(update={"quantize": None})  # adapters go onto the base in full precision
    start = start_model(base, adapted, in_pieces=adapted.lora is None, **options)
    if start.stored is not None and isinstance(start.model, Bloom | MT5):
        save_tensors(read_weights(path, start.model), start.model.config, folder, tokenizer=tokenizer, dtype=dtype)
        return
    model = start_model(base, adapted, **options).model
    load_weights(path, model)
    write_model(model, folder, tokenizer=tokenizer, base=base, merge=merge or merges(recipe), dtype=dtype)


def write_model(
    model: Any, folder: Path, *, tokenizer: Path, base: str, merge: bool, dtype: torch.dtype | None = None
) -> None:
    """Write a trained model: full weights, or its adapters alone.

    Args:
        model: The model; with ``merge`` its adapters become part of its weights.
        folder: Where to write.
        tokenizer: Folder of its tokenizer.
        base: What training started from.
        merge: Whether adapters are merged.
        dtype: Number format of full weights; default what they are.
    """
    model.eval()
    with torch.no_grad():
        if merge:
            merge_adapters(model)
        save_model(model, folder, tokenizer=tokenizer, base=base, dtype=dtype)


def export_dtype(recipe: Recipe) -> torch.dtype:
    """Return what a run's model is written in: what it was computed in."""
    return torch.float32 if recipe.training.precision == "fp32" else torch.bfloat16


def merges(recipe: Recipe) -> bool:
    """Return whether a recipe needs its adapters merged into the export."""
    return recipe.model.lora is not None and recipe.model.lora.merge
