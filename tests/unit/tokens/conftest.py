"""A small mixture on disk, and a recipe over it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xmtf.files import Manifest, file_sha256, write_manifest
from xmtf.recipe.load import LoadedRecipe, load_recipe
from xmtf.records import PROMPTED_COLUMNS
from xmtf.tokens import tokenize_mixture

RECIPE = """
name: small
mixture: {tasks: [{}], validation_fraction: 0.1}
model: {architecture: bloom, hidden_size: 64, num_layers: 2, num_heads: 2}
training: {steps: 10, global_batch_rows: 8}
tokens: {tokenizer: {train_vocab_size: 400}, packing: {sequence_length: 64}}
execution: {engine: inline}
"""

SENTENCES = {
    "en": ("Name the capital of country number {}:", "city {} of the north"),
    "fr": ("Quelle est la capitale du pays numéro {} ?", "la ville {}"),
    "hi": ("देश {} की राजधानी क्या है?", "नगर {}"),
}


def prompted_row(
    language: str, inputs: str, targets: str, cluster: str, row: int, task: str = "capitals"
) -> dict[str, object]:
    known = {
        "inputs": inputs,
        "targets": targets,
        "choices": None,
        "language": language,
        "prompt_language": language,
        "translation": "none",
        "task": task,
        "cluster": cluster,
        "dataset": "own",
        "subset": "",
        "split": "train",
        "template": "ask",
        "row": row,
    }
    return {column: known[column] for column in PROMPTED_COLUMNS}


def write_mixture(folder: Path, rows: dict[str, list[tuple[str, ...]]], shard_rows: int = 100) -> Path:
    """Write (inputs, targets, cluster) of each language as a finished mixture, or with the number and the task too."""
    outputs = {}
    for language, texts in rows.items():
        table = pa.Table.from_pylist(
            [prompted_row(language, *text[:3], row, *text[3:]) for row, text in enumerate(texts)]
        )
        (folder / f"language={language}").mkdir(parents=True)
        for first in range(0, len(texts), shard_rows):
            path = folder / f"language={language}" / f"part-{first // shard_rows:05d}.parquet"
            pq.write_table(table.slice(first, shard_rows), path)
            outputs[str(path.relative_to(folder))] = file_sha256(path)
    write_manifest(folder, Manifest("mixture", "fingerprint of the mixture", outputs=outputs))
    return folder


def capitals() -> dict[str, list[tuple[str, ...]]]:
    counts = {"en": 250, "fr": 120, "hi": 40}
    return {
        language: [
            (SENTENCES[language][0].format(i), SENTENCES[language][1].format(i), "facts" if i % 3 else "topic")
            for i in range(count)
        ]
        for language, count in counts.items()
    }


@pytest.fixture(scope="session")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished mixture; read-only."""
    return write_mixture(tmp_path_factory.mktemp("mixture") / "mixture", capitals())


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[..., LoadedRecipe]:
    """Return the recipe with overrides."""
    return partial(_load, tmp_path)


def _load(folder: Path, *overrides: str) -> LoadedRecipe:
    path = folder / "recipe.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    return load_recipe(path, overrides)


@pytest.fixture(scope="session")
def tokens(mixture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the token folder of the mixture for a causal model; read-only."""
    folder = tmp_path_factory.mktemp("tokens")
    tokenize_mixture(_load(folder), mixture, folder / "tokens", family="causal")
    return folder / "tokens"


@pytest.fixture(scope="session")
def tokens_of_mt5(mixture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the token folder of the mixture for an encoder-decoder; read-only."""
    folder = tmp_path_factory.mktemp("tokens")
    tokenize_mixture(_load(folder), mixture, folder / "tokens", family="encoder-decoder")
    return folder / "tokens"
