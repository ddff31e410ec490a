"""The strongest short training loop on transformers that we know: what a careful person writes in an afternoon.

Pairs are sorted by length, so that batches hardly pad; the body reads whole batches; the head and its loss are
computed at target positions alone. Nothing is packed. ``bench/train.py`` measures it beside ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.nn import functional

Pairs = list[tuple[list[int], list[int]]]
BATCH_POSITIONS = 1024
"""Positions of a batch at most; 512 looked slower."""


def batches(pairs: Pairs, width: Callable[[tuple[list[int], list[int]]], int]) -> Iterator[Pairs]:
    """Yield runs of pairs of about one length, longest first."""
    batch: Pairs = []
    for pair in sorted(pairs, key=width, reverse=True):
        if batch and (len(batch) + 1) * width(batch[0]) > BATCH_POSITIONS:
            yield batch
            batch = []
        batch.append(pair)
    yield batch


def table(rows: list[list[int]], filler: int) -> torch.Tensor:
    width = max(map(len, rows))
    return torch.tensor([row + [filler] * (width - len(row)) for row in rows])


def causal_batch(batch: Pairs) -> dict[str, torch.Tensor]:
    chosen = [[False] * (len(inputs) - 1) + [True] * len(targets) + [False] for inputs, targets in batch]
    return {
        "tokens": table([inputs + targets for inputs, targets in batch], 3),
        "mask": table([[1] * (len(inputs) + len(targets)) for inputs, targets in batch], 0),
        "chosen": table(chosen, False),
        "labels": torch.tensor([token for _, targets in batch for token in targets]),
    }


def causal_loss(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    hidden = model.base_model(batch["tokens"], attention_mask=batch["mask"], use_cache=False).last_hidden_state
    return functional.cross_entropy(model.lm_head(hidden[batch["chosen"]]), batch["labels"], reduction="sum")


def encoder_decoder_batch(batch: Pairs) -> dict[str, torch.Tensor]:
    return {
        "tokens": table([inputs for inputs, _ in batch], 0),
        "mask": table([[1] * len(inputs) for inputs, _ in batch], 0),
        "answers": table([[0, *targets[:-1]] for _, targets in batch], 0),
        "chosen": table([[True] * len(targets) for _, targets in batch], False),
        "labels": torch.tensor([token for _, targets in batch for token in targets]),
    }


def encoder_decoder_loss(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    mask = batch["mask"]
    encoded = model.encoder(batch["tokens"], attention_mask=mask).last_hidden_state
    asked = {"encoder_hidden_states": encoded, "encoder_attention_mask": mask}
    hidden = model.decoder(batch["answers"], **asked, use_cache=False).last_hidden_state
    return functional.cross_entropy(model.lm_head(hidden[batch["chosen"]]), batch["labels"], reduction="sum")


def training_pass(model: Any, pairs: Pairs, *, encoder_decoder: bool) -> Callable[[], float]:
    """Return what goes forward and backward over all pairs and returns the mean loss of a target."""
    num_targets = sum(len(targets) for _, targets in pairs)
    if encoder_decoder:
        made = [encoder_decoder_batch(batch) for batch in batches(pairs, lambda pair: len(pair[0]))]
    else:
        made = [causal_batch(batch) for batch in batches(pairs, lambda pair: len(pair[0]) + len(pair[1]))]
    loss_of = encoder_decoder_loss if encoder_decoder else causal_loss

    def work() -> float:
        model.zero_grad(set_to_none=True)
        total = 0.0
        for batch in made:
            loss = loss_of(model, batch) / num_targets
            loss.backward()
            total += loss.item()
        return total

    return work
