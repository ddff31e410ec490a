"""Which languages a corpus really holds, alongside those that it declares.

Sentences are identified one by one. Short sentences and related languages are told apart badly, so
every count is given twice: of all sentences, and of the reliable ones, whose language got a confidence of
at least ``reliable`` and is usually written in the script that the sentence is in.

The original ran cld3 over English sentence splitting and counted unreliable sentences too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from xmtf.analysis.corpus import Passages
from xmtf.analysis.sentences import split_sentences
from xmtf.languages.codes import CODE, get_language
from xmtf.languages.identifier import NO_LANGUAGE, Identifier, Sentence

__all__ = ["LanguageCounts", "identify_languages"]


@dataclass(slots=True)
class LanguageCounts:
    """Sentences by declared and detected language.

    Attributes:
        everything: (declared, detected) -> sentences.
        reliable: The same, of reliable sentences alone.
    """

    everything: Counter[tuple[str, str]] = field(default_factory=Counter)
    reliable: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, declared: str, sentence: Sentence, reliable: float) -> None:
        """Count one sentence."""
        self.everything[declared, sentence.language] += 1
        if sentence.confidence >= reliable and sentence.in_its_script:
            self.reliable[declared, sentence.language] += 1

    def matrix(self) -> list[dict[str, Any]]:
        """Return ``declared, detected, sentences, reliable``, by declared language and falling count."""
        cells = sorted(self.everything.items(), key=lambda item: (item[0][0], -item[1], item[0][1]))
        return [
            {
                "declared": declared,
                "detected": detected,
                "sentences": count,
                "reliable": self.reliable[declared, detected],
            }
            for (declared, detected), count in cells
        ]

    def totals(self) -> list[dict[str, object]]:
        """Return what was detected over the whole corpus, largest first.

        ``percent`` is of all sentences, ``percent_reliable`` of the reliable ones, ``percent_declared`` of the
        sentences that declare this language.
        """
        detected, reliable, declared = Counter[str](), Counter[str](), Counter[str]()
        for (says, found), count in self.everything.items():
            detected[found] += count
            declared[says] += count
            reliable[found] += self.reliable[says, found]
        languages = sorted(detected | declared, key=lambda code: (-detected[code], code))
        return [
            {
                "language": code,
                "name": "no language" if code == NO_LANGUAGE else get_language(code).name,
                "sentences": detected[code],
                "percent": _percent(detected[code], detected.total()),
                "reliable": reliable[code],
                "percent_reliable": _percent(reliable[code], reliable.total()),
                "percent_declared": _percent(declared[code], declared.total()),
            }
            for code in languages
        ]

    def agreement(self) -> list[dict[str, object]]:
        """Return for each declared language how many of its sentences are in it, and what else is most often there."""
        records = []
        for code in sorted({declared for declared, _ in self.everything}):
            found = Counter({other: count for (says, other), count in self.everything.items() if says == code})
            sure = Counter({other: count for (says, other), count in self.reliable.items() if says == code})
            others = [other for other, _ in (sure or found).most_common(4) if other != code][:3]
            records.append(
                {
                    "declared": code,
                    "sentences": found.total(),
                    "percent_same": _percent(found[code], found.total()),
                    "reliable": sure.total(),
                    "percent_same_reliable": _percent(sure[code], sure.total()),
                    "also": " ".join(others),
                }
            )
        return records


def identify_languages(
    passages: Iterable[Passages], *, reliable: float = 0.9, counts: LanguageCounts | None = None
) -> Iterator[LanguageCounts]:
    """Count sentences by declared and detected language; yield the counts so far after each piece.

    Program text is left out: it is in no language.

    Args:
        passages: From :func:`xmtf.analysis.corpus.read_corpus`.
        reliable: Confidence from which a sentence counts as reliable.
        counts: Counts to add to.

    Raises:
        MissingExtraError: The package py3langid is not installed.
    """
    counts = counts if counts is not None else LanguageCounts()
    identify = Identifier()
    for part in passages:
        for text, declared in zip(part.texts, part.languages, strict=True):
            if declared == CODE:
                continue
            for sentence in split_sentences(text):
                counts.add(declared, identify(sentence), reliable)
        yield counts


def _percent(count: int, total: int) -> float:
    return round(100 * count / total, 4) if total else 0.0
