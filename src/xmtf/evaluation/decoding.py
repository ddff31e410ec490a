"""The loop of greedy decoding; apart from :mod:`xmtf.evaluation.generate` because it imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from xmtf.evaluation.batches import Ids
from xmtf.evaluation.forward import continue_state, read_prompts
from xmtf.evaluation.generate import Continuation
from xmtf.models.interface import CausalModel, EncoderDecoderModel

__all__ = ["decode_greedily"]


@torch.inference_mode()
def decode_greedily(
    model: CausalModel | EncoderDecoderModel,
    prompts: Sequence[Ids],
    *,
    eos: int,
    pad: int,
    num_ids: int,
    max_new_tokens: int,
    prefix_lm: bool = False,
) -> list[Continuation]:
    """Return the most likely next token, again and again, for a batch of prompts.

    Args:
        model: The model.
        prompts: Token ids, at least one each.
        eos: Ends an answer; not part of it.
        pad: Id of padding.
        num_ids: Ids of the tokenizer; the rows of a larger embedding stand for no text.
        max_new_tokens: Most tokens of an answer.
        prefix_lm: Bidirectional attention over the prompts.
    """
    state = read_prompts(model, prompts, pad=pad, prefix_lm=prefix_lm)
    answers = [_Answer([]) for _ in prompts]
    rows = list(range(len(prompts)))
    for step in range(max_new_tokens):
        logits_RV = model.logits(state.last_GH)[:, :num_ids].float()
        finite = torch.isfinite(logits_RV).all(dim=-1).tolist()
        tokens = logits_RV.argmax(dim=-1).tolist()
        for row, token, usable in zip(rows, tokens, finite, strict=True):
            answers[row].take(token, eos, usable)
        live = [place for place, row in enumerate(rows) if answers[row].live]
        if not live or step + 1 == max_new_tokens:
            break
        chosen = None
        if 2 * len(live) <= len(rows):
            rows, tokens = [rows[place] for place in live], [tokens[place] for place in live]
            chosen = torch.tensor(live, dtype=torch.int64, device=logits_RV.device)
        tokens_R1 = torch.tensor(tokens, dtype=torch.int64, device=logits_RV.device)[:, None]
        _, state = continue_state(model, state, chosen, tokens_R1, torch.ones_like(tokens_R1))
    return [Continuation(tuple(answer.ids), answer.ended, answer.error) for answer in answers]


@dataclass(slots=True)
class _Answer:
    ids: list[int]
    ended: bool = False
    error: str | None = None

    @property
    def live(self) -> bool:
        return not self.ended and self.error is None

    def take(self, token: int, eos: int, usable: bool) -> None:
        if not self.live:
            return
        if not usable:
            self.error = "non-finite score"
        elif token == eos:
            self.ended = True
        else:
            self.ids.append(token)
