"""A tiny model with the protocol of models/interface.py, literal batches and a loader over them."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from xmtf.files import Manifest, file_sha256, write_manifest
from xmtf.recipe.schema import Recipe
from xmtf.records import PROMPTED_COLUMNS
from xmtf.tokens import tokenize_mixture


class TinyCausal(nn.Module):
    """Mixes each token with the mean of its segment so far; head tied to the embedding."""

    family = "causal"
    max_positions = None

    def __init__(self, vocab_size=11, hidden_size=8, dropout=0.0, logit_scale=1.0, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.vocab_size, self.hidden_size, self.logit_scale = vocab_size, hidden_size, logit_scale
        self.factor = 1.0  # of hidden states; NaN spoils a step
        self.embedding = nn.Embedding(vocab_size, hidden_size)
        self.norm = nn.LayerNorm(hidden_size)
        self.mix = nn.Linear(hidden_size, hidden_size)
        self.dropout = dropout

    def hidden_states(self, tokens_RT, *, segment_ids_RT=None, is_input_RT=None, cache=None):
        embedded = self.norm(self.embedding(tokens_RT))
        same = (segment_ids_RT[:, :, None] == segment_ids_RT[:, None, :]).tril().to(embedded.dtype)
        mean = same @ embedded / same.sum(-1, keepdim=True)
        mixed = nn.functional.dropout(torch.tanh(self.mix(mean).to(embedded.dtype)), self.dropout, self.training)
        return (embedded + mixed) * self.factor

    def logits(self, hidden_PH):
        return hidden_PH @ self.embedding.weight.T * self.logit_scale

    def head_weight(self):
        return self.embedding.weight


@dataclass(frozen=True)
class TinyLoader:
    """Rows drawn from a seed and the index of the row: a pure function, as the real loader's."""

    rows_per_step: int = 4
    tokens_per_row: int = 12
    vocab_size: int = 11
    group_names: tuple = (("en", "nli"), ("fr", "qa"))

    def available(self, most):
        return most

    def batch(self, step, *, micro, num_micro):
        per_micro = self.rows_per_step // num_micro
        first = step * self.rows_per_step + micro * per_micro
        rows = [self.row(index) for index in range(first, first + per_micro)]
        tokens, segments, is_input = (np.stack(part) for part in zip(*rows, strict=True))
        groups = np.where(np.arange(4)[None] < segments.max(1)[:, None], np.arange(4)[None] % 2, -1)
        return SimpleNamespace(tokens=tokens, segment_ids=segments, is_input=is_input, groups=groups.astype(np.int32))

    def row(self, index):
        rng = np.random.default_rng([7, index])
        tokens = np.zeros(self.tokens_per_row + 1, np.int64)
        segments = np.zeros(self.tokens_per_row + 1, np.int32)
        is_input = np.zeros(self.tokens_per_row + 1, bool)
        start, segment = 0, 1
        while True:
            num_inputs, num_targets = rng.integers(1, 4), rng.integers(1, 4)
            end = start + num_inputs + num_targets
            if end > self.tokens_per_row + 1 or segment > 4:
                return tokens, segments, is_input
            tokens[start:end] = rng.integers(3, self.vocab_size, end - start)
            segments[start:end] = segment
            is_input[start : start + num_inputs] = True
            start, segment = end, segment + 1


@pytest.fixture
def tiny_model():
    return TinyCausal


@pytest.fixture
def tiny_loader():
    return TinyLoader


@pytest.fixture
def recipe():
    """Make a recipe whose training section has the given keys."""

    def make(dropout=0.0, **training):
        values = {"steps": 6, "global_batch_rows": 4, "micro_batch_rows": 2, "device": "cpu", "threads": 1}
        shape = {"architecture": "bloom", "hidden_size": 8, "num_layers": 1, "num_heads": 1, "dropout": dropout}
        return Recipe.model_validate(
            {
                "name": "tiny",
                "mixture": {"tasks": [{}]},
                "model": shape,
                "training": values | {"optimizer": {"learning_rate": 0.01}, "log_every": 2} | training,
            }
        )

    return make


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("XMTF_PROGRESS", "off")


def prompted(language, number):
    known = dict.fromkeys(PROMPTED_COLUMNS, "") | {"choices": None, "translation": "none", "cluster": "facts"}
    return known | {
        "inputs": f"Capital of number {number}?",
        "targets": f"city {number}",
        "language": language,
        "row": number,
    }


def tokenized(folder, loaded, family):
    outputs = {}
    for language in ("en", "fr"):
        path = folder / "mixture" / f"language={language}" / "part-00000.parquet"
        path.parent.mkdir(parents=True)
        rows = [prompted(language, number) for number in range(60)]
        schema = pa.schema(
            [(name, pa.int64() if name == "row" else pa.string()) for name in PROMPTED_COLUMNS if name != "choices"]
            + [("choices", pa.list_(pa.string()))]
        )
        pq.write_table(pa.Table.from_pylist(rows, schema=schema).select(PROMPTED_COLUMNS), path)
        outputs[str(path.relative_to(folder / "mixture"))] = file_sha256(path)
    write_manifest(folder / "mixture", Manifest("mixture", "f", outputs=outputs))
    tokenize_mixture(loaded, folder / "mixture", folder / "tokens", family=family, base=None)


@pytest.fixture(scope="session")
def make_tokens():
    """Write the token files of a small mixture in two languages under a folder."""
    return tokenized
