"""Per-dataset fix-ups: small pure functions between a dataset as it is published and its templates.

The catalogue names an adapter by its key here. A version is part of every fingerprint: raise it when
the function changes what it returns. An adapter sees some rows of a split at a time (:mod:`xmtf.sources.stream`):
what of it depends on other rows is said here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from xmtf.errors import ConfigError, UnknownNameError
from xmtf.plugins import plugins
from xmtf.sources.adapters import code, instructions, questions, reasoning, sentences, translation, xp3
from xmtf.sources.adapters.base import Adapted, Adapter, PlacedAdapter, numbers
from xmtf.sources.reference import SourceRef

__all__ = ["ADAPTERS", "Adapted", "Entry", "adapt", "adapter_version", "choose_best", "look_up"]


@dataclass(frozen=True, slots=True)
class Entry:
    """An adapter.

    Attributes:
        function: Makes of some rows of a split what templates see.
        version: Of what it returns.
        placed: The function where it has to be told which number the first of these rows has in the split.
        best: Column of numbers and count: only so many rows of the split, those with the highest, get to it.
        group: Column of which equal values that follow each other belong together: they are never parted.
        keyed: Whether its rows are numbered by a key of theirs, which no two of a split may share.
        whole: Whether it has to be given all rows of a split at once.
    """

    function: Adapter
    version: int | str
    placed: PlacedAdapter | None = None
    best: tuple[str, int] | None = None
    group: str | None = None
    keyed: bool = False
    whole: bool = False

    def make(self, ref: SourceRef, table: pa.Table, first: int = 0) -> Adapted:
        """Apply the function to rows of which ``first`` is the number of the first one.

        Raises:
            SourceError: The table is not what it expects.
        """
        return self.function(ref, table) if self.placed is None else self.placed(ref, table, first)

    @property
    def not_best(self) -> str:
        """Reason of the rows that are not among the best."""
        column, count = self.best or ("", 0)
        return f"not among the {count} best by {column}"


ADAPTERS: dict[str, Entry] = {
    "afriqa": Entry(sentences.afriqa, 1),
    "afriqa-passage": Entry(sentences.afriqa_passage, 1),
    "apps": Entry(code.apps, 1, placed=code.apps),
    "belebele": Entry(questions.belebele, 1, keyed=True),
    "flores": Entry(xp3.flores, 2),
    "global-mmlu": Entry(questions.global_mmlu, 1, keyed=True),
    "gsm8k": Entry(reasoning.gsm8k, 1),
    "hidden-labels": Entry(xp3.hidden_labels, 1),
    "ifeval": Entry(instructions.ifeval, 1),
    "joined-text": Entry(translation.joined_text, 1),
    "mbpp": Entry(code.mbpp, 1),
    "mgsm": Entry(reasoning.mgsm, 1),
    "multi-eurlex": Entry(xp3.multi_eurlex, 1),
    "ntrex": Entry(translation.ntrex, 1),
    "ntrex-reversed": Entry(translation.ntrex_reversed, 1),
    "ntrex-headline": Entry(translation.ntrex_headline, 1, group="document"),
    "ntrex-headline-source": Entry(translation.ntrex_headline_source, 1, group="document"),
    "nusax-mt": Entry(translation.nusax_mt, 1),
    "options": Entry(questions.options, 1),
    "options-from-one": Entry(questions.options_from_one, 1),
    "paws-x": Entry(sentences.paws_x, 1),
    "tatoeba": Entry(xp3.tatoeba, 2),
    "tatoeba-inverted": Entry(xp3.tatoeba_inverted, 2),
    "tydiqa-goldp": Entry(sentences.tydiqa_goldp, 1),
    "wiki-lingua": Entry(xp3.wiki_lingua, 2),
    "wmt": Entry(translation.wmt, 1),
    "wmt-reversed": Entry(translation.wmt_reversed, 1),
    "wmt22": Entry(xp3.wmt22, 2, best=("laser_score", 50_000)),
    "wmt22-inverted": Entry(xp3.wmt22_inverted, 2, best=("laser_score", 50_000)),
    "xcopa": Entry(sentences.xcopa, 1),
    "xlcost": Entry(code.xlcost, 1),
}
"""By name."""


def adapt(ref: SourceRef, table: pa.Table) -> Adapted:
    """Apply the adapter of a source to a whole split, or return the table as it is where there is none.

    Raises:
        UnknownNameError: No such adapter.
        ConfigError: The plug-in of the adapter cannot be loaded, or gives something else.
        SourceError: The table is not what the adapter expects.
    """
    if ref.adapter is None:
        return Adapted(table)
    entry = look_up(ref.adapter)
    if entry.best is None:
        return entry.make(ref, table)
    column, count = entry.best
    mask = choose_best(numbers(ref, table, column), count)
    adapted = entry.make(ref, table.filter(pa.array(mask)))
    places = np.flatnonzero(mask).astype(np.int64)
    left_out = {entry.not_best: int(len(mask) - mask.sum())} if not mask.all() else {}
    return Adapted(adapted.table, places if adapted.rows is None else places[adapted.rows], left_out | adapted.dropped)


def choose_best(scores: np.ndarray, count: int) -> np.ndarray:
    """Return which rows have the highest numbers, bool ``[rows]``; of equal ones the first, those without one last."""
    mask = np.zeros(len(scores), dtype=bool)
    mask[np.argsort(-np.nan_to_num(scores, nan=-np.inf), kind="stable")[:count]] = True
    return mask


def adapter_version(name: str | None) -> int | str:
    """Return the version of an adapter, 0 for none; of a plug-in its package and version.

    Raises:
        UnknownNameError: No such adapter.
    """
    return 0 if name is None else look_up(name).version


def look_up(name: str) -> Entry:
    """Return an adapter, our own or a plug-in's; what a plug-in makes of rows may depend on all of them.

    Raises:
        UnknownNameError: There is no such.
    """
    if name in ADAPTERS:
        return ADAPTERS[name]
    found = plugins("adapters", frozenset(ADAPTERS))
    if name not in found:
        raise UnknownNameError("adapter", name, (*ADAPTERS, *found))
    plugin = found[name]

    def checked(ref: SourceRef, table: pa.Table) -> Adapted:
        adapted = plugin.load()(ref, table)
        if isinstance(adapted, Adapted):
            return adapted
        kind = type(adapted).__name__
        raise ConfigError(f"adapter {plugin.name!r} of the plug-in {plugin.package}: gives a {kind}, not an Adapted")

    return Entry(checked, plugin.signature, whole=True)
