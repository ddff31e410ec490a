"""The language of each example and of its prompt, where the rows of a task say theirs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from xmtf.provenance import constant_columns
from xmtf.records import Provenance
from xmtf.tasks.prompting.fitness import OTHER_PROMPT, Fitness
from xmtf.tasks.prompting.rows import SliceRows
from xmtf.tasks.selection import takes_prompt
from xmtf.tasks.task import Slice
from xmtf.templates import Template

__all__ = ["OfRows"]


@dataclass(frozen=True, slots=True)
class OfRows:
    """What the examples of one template share, and their languages.

    Attributes:
        provenance: What they share.
        languages: Code of the language of each row, or None where all are in that of the task.
        is_wordless: Whether the prompt is in the language of the row.
        unasked: Codes of the languages whose rows do not get this template.
    """

    provenance: Provenance
    languages: pa.DictionaryArray | None = None
    is_wordless: bool = False
    unasked: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def of(cls, slice_: Slice, template: Template, rows: SliceRows) -> OfRows:
        """Return what is known of the examples of a template on some rows."""
        provenance = slice_.provenance(template)
        if rows.languages is None:
            return cls(provenance)
        taken = slice_.row_languages
        is_wordless = slice_.task.kind == "conversation" or template.is_wordless
        patterns = ("*",) if taken is None else taken.prompts
        codes = rows.languages.dictionary.to_pylist()
        unasked = frozenset(
            code for code in codes if not takes_prompt(template, code, patterns, is_wordless=is_wordless)
        )
        return cls(provenance, rows.languages, is_wordless, unasked)

    def judge(self, fitness: Fitness, rows: npt.NDArray[np.int64]) -> None:
        """Drop rows that do not get this template: it is written in a language that is not asked for with theirs."""
        if self.languages is None or not self.unasked:
            return
        numbers = [at for at, code in enumerate(self.languages.dictionary.to_pylist()) if code in self.unasked]
        hit = fitness.mask & np.isin(np.asarray(self.languages.indices), numbers)
        if hit.any():
            fitness.drop(OTHER_PROMPT, rows[hit], f"the prompt is in {self.provenance.prompt_language}")
            fitness.mask &= ~hit

    def columns(self, num_rows: int, places: npt.NDArray[np.int64] | None = None) -> dict[str, pa.Array]:
        """Return the columns of the provenance.

        Args:
            num_rows: Number of examples.
            places: Place of the row of each; None where they are all rows in order.
        """
        columns = constant_columns(self.provenance, num_rows)
        if self.languages is not None:
            languages = self.languages if places is None else self.languages.take(pa.array(places))
            columns["language"] = languages.dictionary_decode()
            if self.is_wordless:
                columns["prompt_language"] = columns["language"]
        return columns
