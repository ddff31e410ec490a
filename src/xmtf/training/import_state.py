"""Training that began elsewhere, gone on with here: weights and Adam's moments of a universal checkpoint.

What is written is an ordinary checkpoint of a recipe's run, under parameter names and in whole
tensors, so it loads under any layout that training knows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from xmtf.errors import ConfigError
from xmtf.files import read_manifest
from xmtf.models.bloom import Bloom, BloomConfig
from xmtf.models.convert.integrity import Integrity
from xmtf.models.convert.megatron import read_arguments
from xmtf.models.convert.shape import bloom_config, read_like
from xmtf.models.convert.universal import MOMENTS, Universal, find_universal
from xmtf.recipe import LoadedRecipe, Recipe
from xmtf.training import checkpoint
from xmtf.training.memory import row_positions
from xmtf.training.optimizer import build_optimizer, load_optimizer_tensors
from xmtf.training.state import Progress
from xmtf.training.trainer import model_reference_hash, training_name, write_initial

__all__ = ["import_universal"]


def import_universal(
    source: Path, loaded: LoadedRecipe, *, tokens: Path, step: int = 0, adam_steps: int | None = None
) -> tuple[Path, Integrity]:
    """Write a universal checkpoint as a checkpoint of a recipe's run; ``xmtf train`` goes on from it.

    Tensors are mapped into memory from their files; only an embedding that is padded is copied.

    Args:
        source: Folder of the universal checkpoint of a BLOOM.
        loaded: The recipe; its model has the same shape, and its optimizer is ``adamw``.
        tokens: Folder of token files that it will train on.
        step: Where training goes on in the recipe's data: 0 begins it, as BLOOMZ began with BLOOM's weights.
        adam_steps: Updates that the moments have seen, for their bias correction; default the checkpoint's own
            count, where its ``mp_rank`` file can be read.

    Returns:
        The checkpoint, and what was found in the source.

    Raises:
        ConfigError: Another optimizer, or nothing says how many updates there were.
        SourceError: No universal checkpoint.
        DataError: Files are missing, torn, or not of the recipe's shape.
    """
    recipe = loaded.recipe
    if recipe.training.optimizer.name != "adamw":
        raise ConfigError(
            f"{loaded.path}: training.optimizer.name is {recipe.training.optimizer.name!r}; a universal checkpoint "
            "holds the moments of `adamw`"
        )
    arguments = read_arguments(source)
    updates = adam_steps if adam_steps is not None else arguments.get("iteration")
    if updates is None:
        raise ConfigError(
            f"{source}: its files do not say how many updates Adam's moments have seen; give --adam-steps N"
        )
    initial = recipe.model.base
    if initial is None:
        initial = str(loaded.run_folder / "initial")
        write_initial(recipe, tokens / "tokenizer", loaded.run_folder / "initial")
    found = find_universal(source)
    config, report = _shape(source, found, initial, recipe.offline, arguments)
    dtype = torch.bfloat16 if recipe.training.precision == "bf16_pure" else torch.float32
    model = _model(found, config, report, dtype)
    optimizer = build_optimizer(model, recipe.training.optimizer)
    load_optimizer_tensors(model, optimizer, _moments(found, model, float(updates), dtype))
    inputs = {"tokens": read_manifest(tokens).fingerprint, "initial": model_reference_hash(initial)}
    path = checkpoint.save(
        loaded.run_folder / "checkpoints", model, optimizer, _progress(recipe, step), training_name(recipe, inputs)
    )
    return path, report


def _shape(
    source: Path, found: Universal, initial: str, offline: bool, arguments: dict[str, Any]
) -> tuple[BloomConfig, Integrity]:
    like = read_like(initial, offline=offline)
    assert like.config is not None
    rows, hidden_size = found.shape()
    rows = max(rows, like.config.get("vocab_size", 0))
    config = bloom_config(
        source, like, vocab_rows=rows, hidden_size=hidden_size, num_layers=found.num_layers, arguments=arguments
    )
    report = Integrity(
        str(source), "universal", num_layers=config.num_layers, vocab_rows=rows, vocab_size=like.vocab_size
    )
    return config, report


def _model(found: Universal, config: BloomConfig, report: Integrity, dtype: torch.dtype) -> Bloom:
    state = {name: tensor.to(dtype) for name, tensor in found.tensors(config, report)}
    report.require_whole()
    with torch.device("meta"):
        model = Bloom(config)
    model.load_state_dict(state, assign=True)
    return model


def _moments(found: Universal, model: Bloom, updates: float, dtype: torch.dtype) -> dict[str, Tensor]:
    moments = {f"{name}/step": torch.tensor(updates) for name, _ in model.named_parameters()}
    for name, parameter in model.named_parameters():
        rows = parameter.shape[0] if name == "word_embeddings.weight" else None
        for kind in MOMENTS:
            moments[f"{name}/{kind}"] = found.read(name, kind, rows).to(dtype)
    return moments


def _progress(recipe: Recipe, step: int) -> Progress:
    return Progress(step=step, tokens=step * recipe.training.global_batch_rows * row_positions(recipe, "causal"))
