"""Training that began elsewhere, continued here: weights and moments of universal and T5X checkpoints.

What is written is an ordinary checkpoint of a recipe's run, under parameter names and in whole
tensors, so it loads under any layout that training knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from xmtf.artefacts.ownership import free_name, refuse_loss
from xmtf.errors import ConfigError, DataError
from xmtf.models.bloom import Bloom
from xmtf.models.convert.convert import detect_format
from xmtf.models.convert.integrity import Integrity
from xmtf.models.convert.megatron import read_arguments
from xmtf.models.convert.shape import Like, bloom_config, read_like
from xmtf.models.convert.t5x import find_t5x
from xmtf.models.convert.universal import MOMENTS, find_universal
from xmtf.models.mt5 import MT5
from xmtf.recipe import LoadedRecipe
from xmtf.run_folder import tokenizer_of
from xmtf.training.checkpoint import checkpoint
from xmtf.training.checkpoint.optimizer_state import load_optimizer_tensors
from xmtf.training.checkpoint.state import TrainingProgress
from xmtf.training.export import keep_tokenizer
from xmtf.training.loop.validation import Measure
from xmtf.training.naming import identify_training
from xmtf.training.optim.optimizer import build_optimizer
from xmtf.training.planning.memory import row_positions
from xmtf.training.trainer import claim_checkpoints, write_initial

__all__ = ["import_state"]


def import_state(
    source: Path,
    loaded: LoadedRecipe,
    *,
    tokens: Path,
    step: int = 0,
    adam_steps: int | None = None,
    measures: Sequence[Measure] = (),
    replace: bool = False,
) -> tuple[Path, Integrity]:
    """Write weights and optimizer state of another program as a checkpoint of a run; ``xmtf train`` resumes from it.

    Args:
        source: Folder of a universal checkpoint of a BLOOM, or of a T5X checkpoint of an mT5.
        loaded: The recipe; its model has the same shape, and its optimizer is ``adamw``, of T5X ``adafactor``.
        tokens: Folder of token files that it will train on.
        step: Where training continues in the recipe's data: 0 begins it, as BLOOMZ began with BLOOM's weights.
        adam_steps: Updates that Adam's moments have seen, for their bias correction; default the checkpoint's own
            count, where its ``mp_rank`` file can be read. T5X always says how many there were.
        measures: What the suites of ``training.validation_suites`` are measured with.
        replace: Whether a checkpoint of that step is replaced, or those of another training stay next to it.

    Returns:
        The checkpoint, and what was found in the source.

    Raises:
        ConfigError: Another optimizer, nothing says how many updates there were, or a checkpoint would be lost.
        SourceError: No such checkpoint.
        DataError: Files are missing, torn, or not of the recipe's shape.
    """
    recipe, kind = loaded.recipe, detect_format(str(source))
    wanted = "adafactor" if kind == "t5x" else "adamw"
    if recipe.training.optimizer.name != wanted:
        raise ConfigError(
            f"{loaded.path}: training.optimizer.name is {recipe.training.optimizer.name!r}; {source} has the moments "
            f"of `{wanted}`"
        )
    updates = 0.0 if kind == "t5x" else _adam_updates(source, adam_steps)
    path = checkpoint.checkpoint_path(loaded.run.checkpoints, step)
    if path.exists() and not replace:
        refuse_loss(loaded.run_folder, [f"the checkpoint {path.name}"], f"run_folder={free_name(loaded.run_folder)}")
    initial = recipe.model.base
    if initial is None:
        initial = str(loaded.run.initial)
        write_initial(recipe, tokenizer_of(tokens), loaded.run.initial)
    like = read_like(initial, offline=recipe.offline)
    dtype = torch.bfloat16 if recipe.training.precision == "bf16_pure" else torch.float32
    found = _t5x(source, like, dtype) if kind == "t5x" else _universal(source, like, updates, dtype)
    optimizer = build_optimizer(found.model, recipe.training.optimizer)
    load_optimizer_tensors(found.model, optimizer, found.moments)
    identity = identify_training(loaded, tokens=tokens, initial=initial, measures=measures)
    positions = recipe.training.global_batch_rows * row_positions(recipe, found.model.family)
    claim_checkpoints(loaded.run.checkpoints, identity.name)
    keep_tokenizer(tokens, loaded.run.checkpoints)
    path = checkpoint.save(
        loaded.run.checkpoints,
        found.model,
        optimizer,
        TrainingProgress(step=step, tokens=step * positions),
        identity.name,
    )
    return path, found.report


@dataclass(frozen=True, slots=True)
class _Found:
    model: Bloom | MT5
    moments: dict[str, Tensor]
    report: Integrity


def _adam_updates(source: Path, given: int | None) -> float:
    updates = given if given is not None else read_arguments(source).get("iteration")
    if updates is None:
        raise ConfigError(f"{source}: the number of Adam updates is not in its files; give --adam-steps N")
    return float(updates)


def _universal(source: Path, like: Like, updates: float, dtype: torch.dtype) -> _Found:
    """Read a BLOOM; tensors are mapped into memory from their files, only an embedding that is padded is copied."""
    found = find_universal(source)
    assert like.config is not None
    rows, hidden_size = found.shape()
    rows = max(rows, like.config.get("vocab_size", 0))
    arguments = read_arguments(source)
    config = bloom_config(
        source, like, vocab_rows=rows, hidden_size=hidden_size, num_layers=found.num_layers, arguments=arguments
    )
    report = Integrity(
        str(source), "universal", num_layers=config.num_layers, vocab_rows=rows, vocab_size=like.vocab_size
    )
    with torch.device("meta"):
        model = Bloom(config)
    _take(model, found.tensors(config, report), report, dtype)
    moments = {f"{name}/step": torch.tensor(updates) for name, _ in model.named_parameters()}
    for name, parameter in model.named_parameters():
        padded = parameter.shape[0] if name == "word_embeddings.weight" else None
        for kind in MOMENTS:
            moments[f"{name}/{kind}"] = found.read(name, kind, padded).to(dtype)
    return _Found(model, moments, report)


def _t5x(source: Path, like: Like, dtype: torch.dtype) -> _Found:
    found = find_t5x(source)
    config = found.config(like.config)
    assert like.config is not None
    if config.vocab_size != like.config["vocab_size"]:
        raise DataError(
            f"{source}: its embedding has {config.vocab_size} rows, the model of the recipe "
            f"{like.config['vocab_size']}; set model.vocab_size"
        )
    report = Integrity(
        str(source),
        "t5x",
        num_layers=config.num_layers,
        vocab_rows=config.vocab_size,
        vocab_size=like.vocab_size,
    )
    with torch.device("meta"):
        model = MT5(config)
    _take(model, found.tensors(config, report), report, dtype)
    model.tie()
    moments = {f"{name}/step": torch.tensor(float(found.step)) for name, _ in model.named_parameters()}
    for name, parameter in model.named_parameters():
        for key, value in found.second_moments(name, parameter.shape).items():
            moments[f"{name}/{key}"] = value.float()
    return _Found(model, moments, report)


def _take(model: Bloom | MT5, tensors: Iterable[tuple[str, Tensor]], report: Integrity, dtype: torch.dtype) -> None:
    state = {name: tensor.to(dtype) for name, tensor in tensors}
    report.require_whole()
    model.load_state_dict(state, strict=False, assign=True)
