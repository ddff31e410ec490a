"""The strongest short loop for rank classification on transformers that we know.

Prompts are sorted by length, so that batches hardly pad, and each is read once into the model's cache, from which
all its choices read on; the head is computed where a choice token is predicted and nowhere else. The whole
vocabulary is gone through at once. ``bench/evaluate.py`` measures it beside ours.
"""

from __future__ import annotations

from typing import Any

import torch

Ids = tuple[int, ...]
Question = tuple[Ids, list[Ids]]
"""A prompt and its choices."""


def padded(rows: list[Ids], *, left: bool) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(map(len, rows))
    tokens, mask = torch.zeros(2, len(rows), width, dtype=torch.int64).unbind()
    for index, row in enumerate(rows):
        place = slice(width - len(row), width) if left else slice(0, len(row))
        tokens[index, place], mask[index, place] = torch.tensor(row), 1
    return tokens, mask


def log_probabilities(model: Any, hidden: torch.Tensor, rows: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Return the log-probability of each token after the hidden state of its row."""
    logits = model.lm_head(hidden).float()
    return logits[rows, tokens] - logits.logsumexp(dim=-1)[rows]


@torch.inference_mode()
def rank(model: Any, questions: list[Question], batch: int) -> list[list[float]]:
    """Return the sum of log-probabilities of every choice of every question."""
    scores: list[list[float]] = [[] for _ in questions]
    order = sorted(range(len(questions)), key=lambda index: len(questions[index][0]))
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        for index, found in zip(chosen, rank_batch(model, [questions[index] for index in chosen]), strict=True):
            scores[index] = found
    return scores


def rank_batch(model: Any, questions: list[Question]) -> list[list[float]]:
    body = model.base_model
    tokens, mask = padded([prompt for prompt, _ in questions], left=True)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    place = {} if model.config.model_type == "bloom" else {"position_ids": positions}
    read = body(tokens, attention_mask=mask, use_cache=True, **place)
    choices = [choice for _, choices in questions for choice in choices]
    row_of = torch.tensor([row for row, (_, choices) in enumerate(questions) for _ in choices])
    firsts = torch.tensor([choice[0] for choice in choices])
    sums = log_probabilities(model, read.last_hidden_state[:, -1], row_of, firsts)
    long = [index for index, choice in enumerate(choices) if len(choice) > 1]
    if long:
        rows = row_of[long]
        cache = read.past_key_values
        cache.batch_select_indices(rows)
        behind, is_token = padded([choices[index][:-1] for index in long], left=False)
        after, _ = padded([choices[index][1:] for index in long], left=False)
        if place:
            place = {"position_ids": positions[rows, -1:] + is_token.cumsum(1)}
        together = torch.cat([mask[rows], is_token], dim=1)
        hidden = body(behind, attention_mask=together, past_key_values=cache, **place).last_hidden_state
        real = is_token.bool()
        each = torch.arange(int(real.sum()))
        found = log_probabilities(model, hidden[real], each, after[real])
        owners = torch.tensor(long)[:, None].expand_as(after)[real]
        sums.index_add_(0, owners, found)
    found_choices = iter(sums.tolist())
    return [[next(found_choices) for _ in choices] for _, choices in questions]
