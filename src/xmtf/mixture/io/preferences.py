"""Pairs for preference tuning: the right answer choice of an example before each of the others.

They have the fields that TRL's trainers of preferences read: ``prompt``, ``chosen``, ``rejected``. An example with k
choices gives k - 1 pairs::

    inputs    Is 7 prime? Yes or no?      choices   Yes | No      targets   Yes
    pair      prompt  Is 7 prime? Yes or no?     chosen  " Yes"     rejected  " No"

As texts, one space is before an answer where the prompt does not end in white space: what a causal model learnt to
write. As messages the prompt is a turn of the user and the answers are turns of the assistant, for models with a chat
template.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeGuard

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xmtf.errors import ConfigError
from xmtf.execution import warn
from xmtf.json_types import JsonObject
from xmtf.mixture.io.read import select_examples

__all__ = ["PreferenceFields", "is_preference", "preference_pairs", "say_preferences"]

PreferenceFields = Literal["preferences", "preference-messages"]


def is_preference(fields: str) -> TypeGuard[PreferenceFields]:
    """Return whether an export is of pairs."""
    return fields in ("preferences", "preference-messages")


def preference_pairs(row: Mapping[str, Any], fields: PreferenceFields) -> list[JsonObject]:
    """Return the pairs of an example; none where it has no answer choices, or its target is none of them."""
    prompt, chosen = row["inputs"], row["targets"]
    choices = list(dict.fromkeys(row["choices"] or ()))
    if chosen not in choices:
        return []
    rejected = [choice for choice in choices if choice != chosen]
    if fields == "preference-messages":
        asked = [{"role": "user", "content": prompt}]
        return [{"prompt": asked, "chosen": _said(chosen), "rejected": _said(other)} for other in rejected]
    space = "" if prompt[-1:].isspace() else " "
    return [{"prompt": prompt, "chosen": space + chosen, "rejected": space + other} for other in rejected]


def _said(answer: str) -> list[JsonObject]:
    return [{"role": "assistant", "content": answer}]


def say_preferences(mixture: Path, filters: dict[str, str]) -> None:
    """Describe how many examples have answer choices to make pairs of.

    Raises:
        ConfigError: None has.
    """
    total = ranked = 0
    for table in select_examples(mixture, filters, columns=tuple(dict.fromkeys(("choices", "targets", *filters)))):
        total += table.num_rows
        ranked += _with_pairs(table.column("choices").combine_chunks(), table.column("targets").combine_chunks())
    if total and not ranked:
        raise ConfigError(
            f"{mixture}: none of {total:,} examples has its target among several answer choices, so there are no "
            f"pairs; select tasks of kind rank, or other filters"
        )
    warn(
        f"{ranked:,} of {total:,} examples have answer choices that include the target and at least one other; the "
        f"rest is skipped"
    )


def _with_pairs(choices: pa.Array, targets: pa.Array) -> int:
    """Return how many examples have both their target among the choices and another choice."""
    flat, rows = pc.list_flatten(choices), pc.list_parent_indices(choices)
    right = pc.equal(flat, targets.take(rows))
    return len(np.intersect1d(pc.filter(rows, right).to_numpy(), pc.filter(rows, pc.invert(right)).to_numpy()))
