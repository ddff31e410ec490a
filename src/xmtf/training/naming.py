"""What names a training: the keys of its recipe and the inputs that what it learns depends on.

Checkpoints are gone on from under the same name alone, and a finished model is kept while its fingerprint stays.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from xmtf.files import MANIFEST, content_hash, read_manifest
from xmtf.models.files.references import parse_reference
from xmtf.recipe.schema import Recipe

__all__ = ["learning_section", "model_fingerprint", "model_reference_hash", "training_name"]

_ELSEWHERE = (
    "activation_checkpointing", "attention", "device", "export", "keep_checkpoints", "log_every",
    "max_skipped_steps", "micro_batch_rows", "parallel", "save_every", "save_in_background", "threads", "trackers",
    "validate_every", "validation_examples", "validation_rows", "validation_suites", "validation_texts",
    "wall_clock_limit",
)  # fmt: skip
"""Keys of the training section that leave what is learnt as it is (micro-batches and layouts: to rounding)."""
_CHOOSING = ("save_every", "validate_every", "validation_examples", "validation_rows", "validation_suites")
"""Keys that decide which weights are the best."""


def learning_section(recipe: Recipe) -> dict[str, Any]:
    """Return what the trained weights depend on, of the recipe."""
    training = {key: value for key, value in recipe.section("training").items() if key not in _ELSEWHERE}
    return {"training": training, "model": recipe.section("model"), "seed": recipe.seed}


def training_name(recipe: Recipe, inputs: dict[str, str]) -> str:
    """Return what names a training among checkpoints: a run goes on from those of its own name alone.

    Args:
        recipe: Its seed, ``model`` and ``training`` sections count, without keys that leave what is learnt as it is.
        inputs: ``tokens``: fingerprint of the token files; ``initial``: :func:`model_reference_hash` of the start.
    """
    return content_hash(_resumable(learning_section(recipe)) | inputs)


def model_fingerprint(recipe: Recipe, inputs: dict[str, str]) -> str:
    """Return the fingerprint of the finished model: what was learnt, and which weights of it are exported.

    Args:
        recipe: What :func:`training_name` counts, the number of steps and what decides which weights are the best.
        inputs: As for :func:`training_name`.
    """
    return content_hash({"recipe": learning_section(recipe) | _choosing_section(recipe), "inputs": inputs})


def _choosing_section(recipe: Recipe) -> dict[str, Any]:
    """Return what else the exported weights depend on: nothing where they are the last."""
    if recipe.training.export == "last":
        return {}
    section = recipe.section("training")
    return {"export": {key: section[key] for key in _CHOOSING} | {"evaluation": recipe.section("evaluation")}}


def _resumable(section: dict[str, Any]) -> dict[str, Any]:
    """Return ``section`` without the number of steps where the schedule ignores it: such a run can be extended."""
    training = dict(section["training"])
    if training["schedule"]["name"] in ("constant", "inverse_sqrt"):
        training = {key: value for key, value in training.items() if key not in ("steps", "tokens")}
    model = dict(section["model"])
    if model.get("lora"):
        model["lora"] = {key: value for key, value in model["lora"].items() if key != "merge"}
    return section | {"training": training, "model": model}


def model_reference_hash(reference: str) -> str:
    """Return a hash of the model behind a reference, without reading whole weights.

    A folder of ours counts by its manifest, other folders and files by names, sizes and the first and last MiB of
    each file, a hub id by its text.
    """
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
