"""Quality and language of rendered texts: which examples a mixture leaves out for them, each with its reason.

Program text is left alone: letters, repetition and languages say nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xmtf.languages.codes import CODE
from xmtf.languages.identifier import accepted_languages, shared_identifier
from xmtf.mixture.select.ngrams import word_runs

__all__ = ["TextRules", "Unfit", "unfit_texts"]

_PROGRAMS = (CODE, "java", "jupyter-notebook", "python")
_LETTERS = 20
"""Targets with fewer letters are in no language that could be told."""
_CHARACTERS = 1000
"""Of a target, what the identifier reads."""
_REPEATED_WORDS = 5
_BLOCK_BYTES = 4 * 2**20
"""Texts that are looked at together: what bounds the memory."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class TextRules:
    """What rendered texts must fulfil; the keys are those of ``mixture.quality`` and ``mixture.identify``."""

    quality: Mapping[str, float] = field(default_factory=dict)
    identify: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Unfit:
    """Examples that a rule drops.

    Attributes:
        mask: bool ``[n]``.
        detail: What was found of the first one, or ``""``.
    """

    mask: Mask
    detail: str = ""


def unfit_texts(table: pa.Table, rules: TextRules) -> dict[str, Unfit]:
    """Return for each reason the examples that it drops; one example may have several.

    Args:
        table: Prompted examples.
        rules: The rules.
    """
    if not rules.quality and rules.identify is None:
        return {}
    judged = ~np.asarray(pc.is_in(_plain(table.column("language")), value_set=pa.array(_PROGRAMS)))
    found = dict(_quality(table, rules.quality)) if rules.quality else {}
    reasons = {reason: Unfit(mask & judged) for reason, mask in found.items()}
    if rules.identify is not None:
        reasons["target in another language"] = _other_language(table, judged, rules.identify["confidence"])
    return reasons


def _quality(table: pa.Table, rules: Mapping[str, float]) -> Iterator[tuple[str, Mask]]:
    """Yield (reason, mask) of each rule of quality, over inputs and targets together."""
    measured: dict[str, list[npt.NDArray[np.float64]]] = {name: [np.empty(0)] for name in rules}
    for texts in _blocks(table):
        for name in rules:
            measured[name].append(_MEASURES[name](texts))
    values = {name: np.concatenate(parts) for name, parts in measured.items()}
    if (least := rules.get("min_letters")) is not None:
        yield f"letters under {least:.0%} of the text", values["min_letters"] < least
    if (most := rules.get("max_repeated")) is not None:
        yield f"repetition over {most:.0%} of the text", values["max_repeated"] > most
    if (longest := rules.get("max_run")) is not None:
        yield f"over {longest:.0f} characters of ASCII without a space", values["max_run"] > longest


def _blocks(table: pa.Table) -> Iterator[pa.Array]:
    inputs, targets = table.column("inputs"), table.column("targets")
    step = max(1, _BLOCK_BYTES * table.num_rows // max(1, inputs.nbytes + targets.nbytes))
    for first in range(0, table.num_rows, step):
        parts = [column.slice(first, step).combine_chunks().cast(pa.large_string()) for column in (inputs, targets)]
        yield pc.binary_join_element_wise(*parts, pa.scalar("\n", pa.large_string()))


def _letter_share(texts: pa.Array) -> npt.NDArray[np.float64]:
    """Return the share of letters and their marks among the characters that are seen, 1 where there is none."""
    seen = _num_characters(texts, r"\s+")
    return np.where(seen > 0, _num_characters(texts, r"[^\pL\pM]+") / np.maximum(seen, 1), 1.0)


def _num_characters(texts: pa.Array, without: str) -> npt.NDArray[np.int64]:
    return np.asarray(pc.utf8_length(pc.replace_substring_regex(texts, without, "")), np.int64)


def _repeated_share(texts: pa.Array) -> npt.NDArray[np.float64]:
    """Return which share of the runs of five words (40 characters of scripts without spaces) stood before."""
    runs = word_runs(texts, _REPEATED_WORDS)
    total = np.bincount(runs.text_of_run, minlength=len(texts))
    order = np.lexsort((runs.hashes, runs.text_of_run))
    hashes, owners = runs.hashes[order], runs.text_of_run[order]
    again = np.zeros(len(order), bool)
    again[1:] = (hashes[1:] == hashes[:-1]) & (owners[1:] == owners[:-1])
    return np.asarray(np.bincount(owners[again], minlength=len(texts)) / np.maximum(total, 1), np.float64)


def _longest_run(texts: pa.Array) -> npt.NDArray[np.float64]:
    """Return the length of the longest run of ASCII without white space: addresses, encoded bytes."""
    words = pc.split_pattern_regex(texts, r"[^!-~]+")
    lengths = np.asarray(pc.binary_length(words.flatten()), np.int64)
    longest = np.zeros(len(texts), np.int64)
    np.maximum.at(longest, np.asarray(pc.list_parent_indices(words)), lengths)
    return longest.astype(np.float64)


_MEASURES = {"min_letters": _letter_share, "max_repeated": _repeated_share, "max_run": _longest_run}


def _other_language(table: pa.Table, judged: Mask, confidence: float) -> Unfit:
    """Return which targets are, as surely as that, in another language than theirs.

    Targets of few letters, and those in languages that the identifier does not know, are not judged.
    """
    identify = shared_identifier()
    languages = _plain(table.column("language")).dictionary_encode()
    accepted = [accepted_languages(code) for code in languages.dictionary.to_pylist()]
    known = np.array([bool(names & identify.languages) for names in accepted], bool)
    number = np.asarray(languages.indices)
    targets = table.column("targets").combine_chunks().cast(pa.large_string())
    letters = _num_characters(targets, r"[^\pL]+")
    places = np.flatnonzero(judged & known[number] & (letters >= _LETTERS) if len(known) else judged)
    texts = pc.utf8_slice_codeunits(targets.take(pa.array(places)), 0, _CHARACTERS).dictionary_encode()
    found = [identify(text) for text in texts.dictionary.to_pylist()]  # once for all templates of a row
    mask, detail = np.zeros(table.num_rows, bool), ""
    for place, text in zip(places.tolist(), np.asarray(texts.indices).tolist(), strict=True):
        sentence = found[text]
        if sentence.confidence >= confidence and sentence.language not in accepted[number[place]]:
            detail = detail or f"it is in {sentence.language} with confidence {sentence.confidence:.2f}"
            mask[place] = True
    return Unfit(mask, detail)


def _plain(column: pa.ChunkedArray) -> pa.Array:
    whole = column.combine_chunks()
    return whole.dictionary_decode() if pa.types.is_dictionary(whole.type) else whole
