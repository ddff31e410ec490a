"""Whether answers are in the language that was asked for, alongside how good they are.

A model that writes fluent English where Swahili was asked for has a low chrF, and so has one that writes bad Swahili.
The identifier is tried on the references first: where it does not find their language, its word on the answers is worth
nothing, and nothing is measured::

    asked for   references found to be   answers found to be   in the language
    sw          98 % sw                  en, sw, sw            2 of 3
    id          60 % ms, 38 % id         ms, en                1 of 2    nobody tells Indonesian and Malay apart well
    xh          55 % zu                  zu, xh                not measurable
    wo          -                        fr, fr                not measurable: the identifier does not know it
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from xmtf.errors import MissingExtraError
from xmtf.intervals import wilson
from xmtf.languages.codes import CODE, main_script
from xmtf.languages.identifier import NO_LANGUAGE, accepted_languages, shared_identifier
from xmtf.records import AnswerLanguage

__all__ = ["Found", "answer_languages", "sum_up"]

_LETTERS = 20
"""Shorter texts are not judged."""
_KNOWN = 0.9
"""Share of the references whose language the identifier has to find."""
_REFERENCES = 200
"""References of a job that it is tried on, evenly spaced."""
_CHARACTERS = 2000
"""Of a text, what is read."""


class Found(NamedTuple):
    """What was found of one answer.

    Attributes:
        language: Code of its language; None where it is too short, in none, or nobody looked.
        script: ISO 15924 code of its script, or None where it has no letter.
        in_language: Whether that is the language asked for; None where it cannot be told.
    """

    language: str | None
    script: str | None
    in_language: bool | None


def answer_languages(
    texts: Sequence[str | None], references: Sequence[Sequence[str]], language: str
) -> tuple[list[Found], AnswerLanguage]:
    """Find the language of the answers of a job.

    Args:
        texts: Answers; None where there is none.
        references: Right answers to each.
        language: Code of the language that was asked for.

    Returns:
        What was found of each, and all together; its ``gap`` says why nothing was measured.
    """
    scripts = [main_script(text) or None if text else None for text in texts]
    try:
        shared_identifier()
    except MissingExtraError:
        return _nothing(scripts, "not measured: py3langid is not installed (pip install 'xmtf[langid]')")
    accepted = accepted_languages(language)
    languages = [_language_of(text) if text else None for text in texts]
    share, gap = _tried_on(references, language, accepted)
    found = [
        Found(each, script, None if gap or each is None else each in accepted)
        for each, script in zip(languages, scripts, strict=True)
    ]
    return found, sum_up(found, share, gap)


def sum_up(found: Sequence[Found], references: float | None, gap: str) -> AnswerLanguage:
    """Return the share of answers in the language among those that were judged.

    Args:
        found: What was found of each.
        references: Share of the references whose language was found, or None.
        gap: Why nothing was measured, or ``""``.
    """
    judged = [one.in_language for one in found if one.in_language is not None]
    if not judged:
        return AnswerLanguage(None, None, None, 0, references, gap or "no answer is long enough")
    share = sum(judged) / len(judged)
    return AnswerLanguage(share, *wilson(share, len(judged)), len(judged), references)


def _nothing(scripts: Sequence[str | None], gap: str) -> tuple[list[Found], AnswerLanguage]:
    return [Found(None, script, None) for script in scripts], AnswerLanguage(None, None, None, 0, None, gap)


def _tried_on(references: Sequence[Sequence[str]], language: str, accepted: frozenset[str]) -> tuple[float | None, str]:
    """Return the share of references whose language is found, and why answers cannot be judged, or ``""``."""
    if language == CODE:
        return None, "not measurable: programs have no natural language"
    if not accepted & shared_identifier().languages:
        return None, f"not measurable: the identifier does not know {language}"
    firsts = [each[0] for each in references if each and _letters(each[0]) >= _LETTERS]
    if not firsts:
        return None, f"not measurable: no reference has {_LETTERS} letters"
    step = -(-len(firsts) // _REFERENCES)
    found = [_language_of(text) in accepted for text in firsts[::step]]
    share = sum(found) / len(found)
    gap = f"not measurable: the identifier finds {100 * share:.0f} % of the references to be in {language}"
    return share, "" if share >= _KNOWN else gap


@lru_cache(maxsize=2**16)
def _language_of(text: str) -> str | None:
    """Return the code of the language of a text, or None where it is too short or in none."""
    if _letters(text) < _LETTERS:
        return None
    language = shared_identifier()(text[:_CHARACTERS]).language
    return None if language == NO_LANGUAGE else language


def _letters(text: str) -> int:
    return sum(map(str.isalpha, text[:_CHARACTERS]))
