"""The strongest short loop for greedy texts on transformers that we know.

Prompts are sorted by length, so that batches hardly pad; a batch is read once, with the head at its last position
alone; then one token a step. Keys and values are written into buffers made once, where transformers' own cache copies
all of them at every step; rows that have ended leave the batch. ``bench/generate.py``
measures it beside ours.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

Ids = tuple[int, ...]


class Buffers(DynamicLayer):
    """Keys and values of a layer in buffers with room for ``most`` positions."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.length = most, 0

    def update(self, key_states: Any, value_states: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
        """Add new keys and values; return all."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            rows, heads, _, size = key_states.shape
            self.keys, self.values = key_states.new_zeros(2, rows, heads, self.most, size).unbind()
        end = self.length + key_states.shape[2]
        self.keys[:, :, self.length : end], self.values[:, :, self.length : end] = key_states, value_states
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def get_seq_length(self) -> int:
        """Return the positions held."""
        return self.length

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return how many keys a mask has, and which is the first."""
        return self.length + query_length, 0

    def choose(self, rows: torch.Tensor) -> None:
        """Keep chosen rows."""
        self.keys, self.values = self.keys[rows], self.values[rows]


@torch.inference_mode()
def write(model: Any, prompts: list[Ids], most: int, ends: set[int], batch: int) -> list[list[int]]:
    """Return the most likely tokens after every prompt, up to an end or to ``most``."""
    texts: list[list[int]] = [[] for _ in prompts]
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        for index, text in zip(chosen, write_batch(model, [prompts[at] for at in chosen], most, ends), strict=True):
            texts[index] = text
    return texts


def write_batch(model: Any, prompts: list[Ids], most: int, ends: set[int]) -> list[list[int]]:
    width = max(map(len, prompts))
    tokens, mask = torch.zeros(2, len(prompts), width, dtype=torch.int64).unbind()
    for row, prompt in enumerate(prompts):
        tokens[row, width - len(prompt) :], mask[row, width - len(prompt) :] = torch.tensor(prompt), 1
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    cache = DynamicCache()
    cache.layers = [Buffers(width + most) for _ in range(model.config.num_hidden_layers)]
    texts: list[list[int]] = [[] for _ in prompts]
    rows = list(range(len(prompts)))
    for _ in range(most):
        read = model.base_model(tokens, attention_mask=mask, position_ids=positions, past_key_values=cache)
        found = model.lm_head(read.last_hidden_state[:, -1]).argmax(-1).tolist()
        ended = {row for row, token in zip(rows, found, strict=True) if token in ends}
        for row, token in zip(rows, found, strict=True):
            if row not in ended:
                texts[row].append(token)
        if ended:
            places = [place for place, row in enumerate(rows) if row not in ended]
            if not places:
                break
            rows, found = [rows[place] for place in places], [found[place] for place in places]
            chosen = torch.tensor(places)
            mask, positions = mask[chosen], positions[chosen]
            for layer in cache.layers:
                layer.choose(chosen)
        tokens = torch.tensor(found)[:, None]
        mask = torch.cat([mask, torch.ones_like(tokens)], dim=1)
        positions = positions[:, -1:] + 1
    return texts
