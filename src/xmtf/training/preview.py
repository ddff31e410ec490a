"""What training would do, without doing it: the first example and its row, the layout, the memory.

Works without weights and without network: the model's shape lives on the meta device. Where the
recipe starts from a model on the hub, the shape comes from the recipe's own keys, else from its
configuration.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from xmtf.files import MANIFEST, read_json
from xmtf.models import SpecialTokens, build_model, model_family
from xmtf.models.bloom import Bloom, BloomConfig
from xmtf.models.build import padded_vocab_size
from xmtf.models.device import choose_device
from xmtf.models.family import family_of_config
from xmtf.models.files.references import find_config
from xmtf.models.hub.load import hub_shape
from xmtf.models.interface import Family
from xmtf.models.mt5 import MT5, MT5Config
from xmtf.parallel.topology.constraints import check_constraints, num_micro_batches
from xmtf.parallel.topology.parallel_dims import ParallelDims
from xmtf.recipe import LoadedRecipe, Recipe
from xmtf.tokens import CausalBatch, open_loader, peek_row
from xmtf.training.loss.batches import examples_of_row
from xmtf.training.planning.candidate import Candidate
from xmtf.training.planning.memory import estimate_memory, row_positions
from xmtf.training.planning.zero_choice import pool_here, with_zero
from xmtf.training.start import adapt_model

if TYPE_CHECKING:
    from xmtf.models import Model
    from xmtf.tokens import Loader

__all__ = ["dry_run", "family_without_network", "meta_model"]

_SAMPLED = (
    "rows: there are no token files yet; this row has a few examples of the first tasks, with a tokenizer trained on "
    "them if the recipe trains one. `xmtf run ... --until tokens` builds the actual ones"
)


def dry_run(loaded: LoadedRecipe, *, tokens: Path | None = None, sampled: bool = False, lacking: str = "") -> str:
    """Return a description of what training would do, as text.

    Args:
        loaded: The recipe.
        tokens: Folder of token files; without it, or where it is unfinished, rows are not shown.
        sampled: Whether they are of a few rows alone: what is shown is then no row of the training to come.
        lacking: Why there are no token files of rows, where there are none.

    Raises:
        UserError: The recipe, the tokens or the shape do not fit together.
    """
    family = family_without_network(loaded.recipe)
    parts = [_layout(loaded.recipe, family)]
    loader = None
    if tokens is not None and (tokens / MANIFEST).exists():
        loader = open_loader(tokens, loaded, family=family)
        parts = [_first_example(loader), peek_row(loader, 0), *([_SAMPLED] if sampled else []), *parts]
    else:
        why = f" ({lacking})" if lacking else ""
        parts.append(f"rows: no token files yet, so none is shown{why}; `xmtf run ... --until tokens` builds them")
    vocab_size = None if loader is None or sampled else loader.tokenizer.vocab_size
    parts.append(_model_lines(loaded.recipe, family, vocab_size))
    return "\n\n".join(parts)


def family_without_network(recipe: Recipe) -> Family:
    """Return the family: as the recipe's ``architecture`` says, else as the base's configuration does."""
    if recipe.model.architecture in ("bloom", "mt5"):
        return "encoder-decoder" if recipe.model.architecture == "mt5" else "causal"
    return model_family(recipe.model, offline=recipe.offline)


def meta_model(recipe: Recipe, vocab_size: int | None) -> Model | None:
    """Return the model's shape on the meta device, or None where it takes the weights to know it.

    These are GGUF files, quantised weights, and encoder-decoders of transformers.
    """
    config = recipe.model
    if config.hidden_size is not None and config.num_layers is not None and config.num_heads is not None:
        rows = config.vocab_size or vocab_size or recipe.tokens.tokenizer.train_vocab_size
        if rows is None:
            return None
        shape = config.model_copy(update={"base": None, "vocab_size": padded_vocab_size(rows, config.vocab_size)})
        return build_model(shape, vocab_size=rows, special=SpecialTokens(pad=0, eos=1, bos=None), seed=0, device="meta")
    assert config.base is not None
    return _meta_of_base(config.base, recipe.offline)


def _meta_of_base(base: str, offline: bool) -> Model | None:
    path = find_config(base, offline=offline)
    if path.suffix == ".gguf":
        return None
    values = read_json(path)
    with torch.device("meta"):
        if values.get("model_type") == "bloom":
            return Bloom(BloomConfig.from_json(values))
        if values.get("model_type") == "mt5":
            return MT5(MT5Config.from_json(values, tied=bool(values.get("tie_word_embeddings"))))
    if family_of_config(values) == "encoder-decoder" or "quantization_config" in values:
        return None
    return hub_shape(path.parent)


def _first_example(loader: Loader) -> str:
    batch = loader.rows(0, 1)
    inputs, targets = next(examples_of_row(batch, 0))
    decode = loader.tokenizer.decode
    if isinstance(batch, CausalBatch) and batch.turns is not None:
        here = batch.segment_ids[0] == 1
        return _first_conversation(loader, batch.tokens[0][here], batch.turns[0][here])
    return (
        "first example\n"
        f"begin    {loader.tokenizer.begin_text} before inputs\n"
        f"inputs   {decode(inputs.tolist())!r}\n"
        f"targets  {decode(targets.tolist())!r}\n"
        f"tokens   {inputs.tolist()} + {targets.tolist()}"
    )


def _first_conversation(loader: Loader, tokens: NDArray[np.int64], turns: NDArray[np.uint8]) -> str:
    """Show an example of rows that hold conversations: its tokens, which of them are learnt, and what they say."""
    edges = np.flatnonzero(np.diff(turns.astype(np.int32), prepend=0, append=0))
    spans = [(int(a), int(b)) for a, b in pairwise(edges) if turns[a]]
    decode = loader.tokenizer.decode
    learnt = [decode(tokens[a:b].tolist(), keep_special=True) for a, b in spans]
    return (
        "first example\n"
        f"text     {decode(tokens.tolist(), keep_special=True)!r}\n"
        f"learnt   {' | '.join(map(repr, learnt))}\n"
        f"tokens   {tokens.tolist()}\n"
        f"mask     {(turns > 0).astype(int).tolist()}"
    )


def _layout(recipe: Recipe, family: Family) -> str:
    training, optimizer = recipe.training, recipe.training.optimizer
    positions = training.global_batch_rows * row_positions(recipe, family)
    steps = training.steps if training.steps is not None else -(-(training.tokens or 0) // positions)
    dims = _degrees(recipe)
    packing, num_micro = recipe.tokens.packing, num_micro_batches(training, dims.data)
    row = f"{packing.sequence_length:,} tokens"
    if family == "encoder-decoder":
        row = f"{row} of inputs and {packing.target_length or packing.sequence_length:,} of targets"
    clip = "no clipping" if optimizer.clip_norm is None else f"gradient norm clipped at {optimizer.clip_norm:g}"
    decay = optimizer.weight_decay if optimizer.name != "adafactor" else 0.0
    return "\n".join(
        (
            "layout",
            f"steps      {steps:,} of {training.global_batch_rows:,} rows, "
            f"{num_micro:,} micro-batches of {training.global_batch_rows // num_micro:,}",
            f"processes  {'one' if dims.total == 1 else f'{dims.total}: {dims}'}",
            f"row        {row}, packing {packing.policy}",
            f"tokens     {steps * positions:,} positions in total, {positions:,} per step",
            f"loss       {training.loss}, z-loss {training.z_loss:g}{', prefix LM' if training.prefix_lm else ''}",
            f"optimizer  {optimizer.name}, learning rate {optimizer.learning_rate:g} {training.schedule.name}, "
            f"warm-up {training.schedule.warmup:,} steps, weight decay {decay:g}, {clip}",
            f"precision  {training.precision}, dropout {recipe.model.dropout:g}, activation checkpointing "
            f"{'on' if training.activation_checkpointing else 'off'}",
        )
    )


def _degrees(recipe: Recipe) -> ParallelDims:
    """Return the smallest layout that the recipe asks for: one replica where it does not say how many."""
    parallel = recipe.training.parallel
    return ParallelDims(parallel.pp, parallel.dp_replicate or 1, parallel.dp_shard, parallel.tp)


def _model_lines(recipe: Recipe, family: Family, vocab_size: int | None) -> str:
    start = recipe.model.base or "random weights"
    model = meta_model(recipe, vocab_size)
    if model is None:
        return f"model\nstart      {start}, {family}; its size is known once it is loaded"
    adapt_model(model, recipe.model, seed=recipe.seed)
    dims = _degrees(recipe)
    check_constraints(model, recipe.training, dims)
    device = choose_device(recipe.training.device, "training.device")
    recipe = with_zero(model, recipe, dims, pool_here(dims.total, device))
    estimate = estimate_memory(model, recipe, Candidate.of(recipe, dims))
    size = estimate.size
    adapters = f"; {size.trained:,} train, in adapters" if size.frozen else ""
    return "\n".join(
        (
            "model",
            f"start      {start}, {family}",
            f"size       {size.total:,} parameters: body {size.body:,}, embedding {size.embedding:,}, "
            f"head {size.head:,}{'' if size.head else ' (it is the embedding)'}{adapters}",
            f"memory     {estimate}, estimated for one process{'' if dims.total == 1 else f' of {dims.total}'}",
        )
    )
