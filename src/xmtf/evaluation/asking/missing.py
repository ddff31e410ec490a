"""What a journal has no answer to is asked, in the batches that a command without a journal would form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from xmtf.evaluation.asking.journal import Journal
from xmtf.evaluation.engine.answer import Answer, Known
from xmtf.execution import track

__all__ = ["answer_missing"]

Item = TypeVar("Item")
Ask = Callable[[Sequence[Item], Known], Iterable[Sequence[tuple[int, Answer]]]]
"""Asks items and yields, after each batch, the (index of an item, its answer) that it made; batches of which all
answers are known are left out."""


def answer_missing(
    journal: Journal, items: Mapping[str, Item], plan: str, ask: Ask[Item], *, label: str, unit: str
) -> None:
    """Ask what a journal has no answer to, and write the answers down batch by batch.

    Batches are formed of all items that no other plan has answered, before one looks at what is answered already; a
    batch is answered as a whole or asked as a whole. So the answers of a command that was killed and resumed are those
    of one that was not, to the last bit.

    Args:
        journal: The journal.
        items: What is asked, by its key.
        plan: Of which the batches are (:func:`xmtf.evaluation.asking.journal.plan_name`).
        ask: Asks items.
        label: What progress is called.
        unit: What an item is called there.
    """
    mine = {key: item for key, item in items.items() if not journal.is_settled(key, plan)}
    keys, known = list(mine), [journal.of_plan(key, plan) for key in mine]
    missing = known.count(None)
    if not missing:
        return
    with track(label, total=missing, unit=unit) as progress:
        for batch in ask(list(mine.values()), known.__getitem__):
            journal.add([(keys[index], answer) for index, answer in batch], plan)
            progress.advance(len(batch))
