"""Tiny models, rows and loops that all tests of layouts share."""

from types import SimpleNamespace

import numpy as np
import torch

from xmtf.models import SpecialTokens, build_model
from xmtf.recipe.schema import Recipe
from xmtf.training.assembly import LoopInputs, LoopOutputs, training_loop
from xmtf.training.loop.events import Log
from xmtf.training.start import Start, adapt_model

VOCABULARY = 300  # padded to 384
LAYOUTS = {
    "single": {},
    "FSDP2 x2": {"dp_shard": 2},
    "TP x2": {"tp": 2},
    "PP x2": {"pp": 2},
    "FSDP2 x TP x4": {"dp_shard": 2, "tp": 2},
    "DP x2": {"dp_replicate": 2},
    "interleaved PP x2": {"pp": 2, "schedule": "interleaved"},
    "zero bubble PP x2": {"pp": 2, "schedule": "zero_bubble"},
    "zero bubble PP x4": {"pp": 4, "schedule": "zero_bubble"},
    "zero bubble TP x PP x4": {"tp": 2, "pp": 2, "schedule": "zero_bubble"},
    "zero bubble DP x PP x4": {"dp_replicate": 2, "pp": 2, "schedule": "zero_bubble"},
    "FSDP2 x PP x4": {"dp_shard": 2, "pp": 2},
    "TP x PP x4": {"tp": 2, "pp": 2},
    "DP x PP x4": {"dp_replicate": 2, "pp": 2},
    "replicas x FSDP2 x4": {"dp_replicate": 2, "dp_shard": 2},
    "FSDP2 x3": {"dp_shard": 3},
    "PP x4": {"pp": 4},
    "ZeRO-1 x2": {"dp_shard": 2, "zero": 1},
    "ZeRO-1 x PP x4": {"dp_shard": 2, "pp": 2, "zero": 1},
}


def size(layout):
    dims = LAYOUTS[layout]
    return np.prod([dims.get(axis, 1) for axis in ("pp", "dp_replicate", "dp_shard", "tp")], dtype=int)


def make_recipe(architecture, layout, *, model=None, **training):
    values = {"steps": 4, "global_batch_rows": 12, "micro_batch_rows": 1, "device": "cpu", "threads": 1}
    values |= {"log_every": 1, "optimizer": {"learning_rate": 0.01}, "parallel": LAYOUTS[layout]} | training
    shape = {"architecture": architecture, "hidden_size": 132, "num_layers": 3, "num_heads": 2, "head_size": None}
    return Recipe.model_validate(
        {
            "name": "tiny",
            "mixture": {"tasks": [{}]},
            "model": shape | {"dropout": 0.0} | (model or {}),
            "training": values,
        }
    )


class Rows:
    """Packed rows of either family, of a length that no layout divides; a pure function of the row's index."""

    group_names = (("en", "nli"), ("fr", "qa"))
    tokens_per_row = 23

    def __init__(self, family, rows_per_step=12):
        self.family, self.rows_per_step = family, rows_per_step

    def available(self, most):
        return most

    def batch(self, step, *, micro, num_micro):
        each = self.rows_per_step // num_micro
        first = step * self.rows_per_step + micro * each
        rows = [self._row(index) for index in range(first, first + each)]
        names = rows[0].keys()
        return SimpleNamespace(**{name: np.stack([row[name] for row in rows]) for name in names})

    def _row(self, index):
        rng = np.random.default_rng([11, index])
        return self._causal(rng) if self.family == "causal" else self._pair(rng)

    def _causal(self, rng):
        length = self.tokens_per_row + 1
        tokens, segments = np.zeros(length, np.int64), np.zeros(length, np.int32)
        is_input, start, segment = np.zeros(length, bool), 0, 1
        while (end := start + (inputs := rng.integers(1, 5)) + rng.integers(1, 5)) <= length and segment <= 4:
            tokens[start:end] = rng.integers(4, VOCABULARY, end - start)
            segments[start:end], is_input[start : start + inputs] = segment, True
            start, segment = end, segment + 1
        groups = np.where(np.arange(4) < segment - 1, np.arange(4) % 2, -1).astype(np.int32)
        return {"tokens": tokens, "segment_ids": segments, "is_input": is_input, "groups": groups}

    def _pair(self, rng):
        lengths = rng.integers(2, 6, (3, 2))
        encoder, decoder = self._side(rng, lengths[:, 0], 19), self._side(rng, lengths[:, 1], 17)
        shifted = np.where(decoder[1] == np.roll(decoder[1], 1), np.roll(decoder[0], 1), 0)
        shifted[0] = 0
        return {
            "encoder_tokens": encoder[0],
            "encoder_segment_ids": encoder[1],
            "decoder_inputs": shifted,
            "decoder_targets": decoder[0],
            "decoder_segment_ids": decoder[1],
            "groups": np.array([0, 1, 0], np.int32),
        }

    @staticmethod
    def _side(rng, lengths, total):
        segments = np.repeat(np.arange(1, 4), lengths)
        segments = np.concatenate([segments, np.zeros(total - len(segments), int)]).astype(np.int32)
        return np.where(segments, rng.integers(4, VOCABULARY, total), 0), segments


def make_model(recipe):
    special = SpecialTokens(pad=0, eos=1, bos=None)
    return build_model(recipe.model, vocab_size=VOCABULARY, special=special, seed=5)


def make_llama():
    """Return a model of transformers with a tied head and two blocks."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from xmtf.models.hub.head import find_head
    from xmtf.models.hub.model import HubModel

    torch.manual_seed(3)
    shape = {"hidden_size": 36, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 2}
    network = LlamaForCausalLM(LlamaConfig(vocab_size=384, tie_word_embeddings=True, **shape)).eval()
    return HubModel(network, find_head(network, "llama"), "llama")


def make_umt5():
    """Return an encoder-decoder of transformers with a tied head."""
    from transformers import UMT5Config, UMT5ForConditionalGeneration

    from xmtf.models.hub.encoder_decoder import HubEncoderDecoder
    from xmtf.models.hub.head import find_encoder_decoder_head

    torch.manual_seed(3)
    shape = {"d_model": 36, "d_kv": 8, "d_ff": 40, "num_layers": 2, "num_decoder_layers": 3, "num_heads": 2}
    network = UMT5ForConditionalGeneration(UMT5Config(vocab_size=384, decoder_start_token_id=0, **shape)).eval()
    return HubEncoderDecoder(network, find_encoder_decoder_head(network, "umt5"), "umt5")


def make_qwen3():
    """Return a model of transformers whose heads have norms, with fewer heads of keys and a head of its own."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from xmtf.models.hub.head import find_head
    from xmtf.models.hub.model import HubModel

    torch.manual_seed(3)
    shape = {"hidden_size": 36, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4}
    shape |= {"num_key_value_heads": 2, "head_dim": 8, "tie_word_embeddings": False}
    network = Qwen3ForCausalLM(Qwen3Config(vocab_size=384, **shape)).eval()
    return HubModel(network, find_head(network, "qwen3"), "qwen3")


def make_neox():
    """Return a model of transformers whose plan names a dropout before the blocks: positions are not shared."""
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    from xmtf.models.hub.head import find_head
    from xmtf.models.hub.model import HubModel

    torch.manual_seed(3)
    shape = {"hidden_size": 36, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 2}
    network = GPTNeoXForCausalLM(GPTNeoXConfig(vocab_size=384, **shape)).eval()
    return HubModel(network, find_head(network, "neox"), "neox")


HUB = {
    "llama": ("bloom", make_llama),
    "qwen3": ("bloom", make_qwen3),
    "neox": ("bloom", make_neox),
    "umt5": ("mt5", make_umt5),
}
"""Models of transformers -> our own of the same family, and what makes them."""


def make_loop(ranks, folder, architecture, layout, validation=False, **training):
    """Return the loop of a tiny model; keys of the training section, and of the model's as ``model``."""
    family, make = HUB.get(architecture, (architecture, None))
    recipe = make_recipe(family, layout, **training)
    model = make_model(recipe) if make is None else make()
    adapt_model(model, recipe.model, seed=3)
    rows = Rows(model.family, recipe.training.global_batch_rows)
    inputs = LoopInputs(rows, rows if validation else None)
    outputs = LoopOutputs(folder / "checkpoints", Log(folder / f"log-{ranks.rank}.jsonl"), "f", ranks)
    return training_loop(Start(model, model.family), recipe, inputs, outputs)


def losses(ranks, folder, architecture, layout, num_steps, **training):
    """Train some steps without the loop; return each step's loss and gradient norm."""
    loop = make_loop(ranks, folder, architecture, layout, **training)
    outcomes = [loop.step(step, loop.feed.get(step)) for step in range(num_steps)]
    loop.feed.close()
    return [(outcome.loss, outcome.grad_norm) for outcome in outcomes]
