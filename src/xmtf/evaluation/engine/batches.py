"""Which prompts are computed together, and as which arrays.

Requests that ask the same prompt are one group, so the prompt is computed once whatever the number of
templates, jobs or choices that share it. Groups are sorted by length, longest first, so a batch holds
little padding and a budget that is too large fails at the first batch and not at the last. The order
depends on the requests alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "PromptGroup",
    "alike_together",
    "batches",
    "common_length",
    "group_prompts",
    "members_of",
    "pad_left",
    "pad_right",
]

Ids = tuple[int, ...]

_MOST_CHOICE_POSITIONS = 512
"""Requests that ask more than this of one prompt are several groups: they are computed at once, and every
position is compared with every other."""


@dataclass(slots=True)
class PromptGroup:
    """One prompt and all the different choices that any request asks after it.

    Attributes:
        prompt: Token ids, at least one.
        choices: Token ids of each choice -> its place in the group.
        members: Index of each request that asks this prompt.
    """

    prompt: Ids
    choices: dict[Ids, int] = field(default_factory=dict)
    members: list[int] = field(default_factory=list)

    def add(self, member: int, choices: Iterable[Ids]) -> None:
        """Join a request and its choices to the group."""
        self.members.append(member)
        for choice in choices:
            self.choices.setdefault(choice, len(self.choices))

    @property
    def num_positions(self) -> int:
        """Positions that the model computes: the prompt, and each choice but its first token's."""
        return len(self.prompt) + sum(len(choice) - 1 for choice in self.choices)


def group_prompts(
    prompts: Sequence[Ids], choices: Sequence[Sequence[Ids]], members: Iterable[int]
) -> list[PromptGroup]:
    """Return groups of equal prompts, longest first, equal lengths in order of their ids.

    A prompt with very many choices is several groups; the choices of one request are always together.

    Args:
        prompts: Ids of the prompt of every request.
        choices: Ids of the choices of every request; empty for generation.
        members: Requests to take, as indexes into both.
    """
    found: list[PromptGroup] = []
    open_groups: dict[Ids, PromptGroup] = {}
    for member in members:
        prompt, asked = prompts[member], choices[member] if choices else ()
        group = open_groups.get(prompt)
        if group is None or group.num_positions - len(prompt) + sum(map(len, asked)) > _MOST_CHOICE_POSITIONS:
            group = open_groups[prompt] = PromptGroup(prompt)
            found.append(group)
        group.add(member, asked)
    return sorted(found, key=lambda group: (-len(group.prompt), -group.num_positions, group.prompt))


def batches(groups: Sequence[PromptGroup], batch_tokens: int, *, answer_tokens: int = 0) -> Iterator[list[PromptGroup]]:
    """Yield batches of groups, in order.

    A batch holds as many groups as fit ``batch_tokens`` positions with padding, at least one.

    Args:
        groups: In any order; those of about one length together leave little padding.
        batch_tokens: Positions computed together.
        answer_tokens: Positions of each generated answer.
    """
    batch: list[PromptGroup] = []
    width = extra = 0
    for group in groups:
        width = max(width, len(group.prompt))
        more = group.num_positions - len(group.prompt) + answer_tokens
        if batch and width * (len(batch) + 1) + extra + more > batch_tokens:
            yield batch
            batch, width, extra = [], len(group.prompt), 0
        batch.append(group)
        extra += more
    if batch:
        yield batch


def alike_together(groups: Sequence[PromptGroup], shortest: int) -> list[PromptGroup]:
    """Return groups with those side by side whose prompts begin with ``shortest`` tokens or more that are the same.

    Sets of such groups come in order of their longest prompts.
    """
    sets: list[list[PromptGroup]] = []
    for group in sorted(groups, key=lambda group: group.prompt):
        if sets and common_length(sets[-1][-1].prompt, group.prompt) >= shortest:
            sets[-1].append(group)
        else:
            sets.append([group])
    sets.sort(key=lambda alike: (-max(len(group.prompt) for group in alike), alike[0].prompt))
    return [group for alike in sets for group in alike]


def common_length(first: Ids, second: Ids) -> int:
    """Return how many tokens two prompts begin with that are the same."""
    for place, (ours, theirs) in enumerate(zip(first, second, strict=False)):
        if ours != theirs:
            return place
    return min(len(first), len(second))


def members_of(batch: Iterable[PromptGroup]) -> list[int]:
    """Return the requests that a batch answers."""
    return [member for group in batch for member in group.members]


def pad_left(rows: Sequence[Ids], pad: int, device: str) -> tuple[Tensor, Tensor]:
    """Return tokens and segment ids, int64 ``[R, T]``, the last token of every row in the last column.

    ``[[5, 6, 7], [8]]`` with pad 0 ::

        tokens       5 6 7    segment_ids  1 1 1
                     0 0 8                 0 0 1
    """
    return _pad(rows, pad, device, left=True)


def pad_right(rows: Sequence[Ids], pad: int, device: str) -> tuple[Tensor, Tensor]:
    """Return tokens and segment ids, int64 ``[R, T]``, the first token of every row in the first column."""
    return _pad(rows, pad, device, left=False)


def _pad(rows: Sequence[Ids], pad: int, device: str, *, left: bool) -> tuple[Tensor, Tensor]:
    width = max(len(row) for row in rows)
    tokens = np.full((len(rows), width), pad, dtype=np.int64)
    segments = np.zeros((len(rows), width), dtype=np.int64)
    for index, row in enumerate(rows):
        place = slice(width - len(row), width) if left else slice(0, len(row))
        tokens[index, place] = row
        segments[index, place] = 1
    return torch.from_numpy(tokens).to(device), torch.from_numpy(segments).to(device)
