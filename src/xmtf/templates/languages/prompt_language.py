"""In which language a prompt is written, where neither its entry, its name nor its file says so.

The script of the literal text comes first: a prompt in Arabic letters is no English one, whatever its metadata copied
from the original. Which language of a script it is, the name of the subset says (``xquad.ar``), or the identifier over
all literal text of the file, or the script alone. Latin text is identified over all literal text of the file, also
where its metadata say English, which is what promptsource puts there; what cannot be told is English, and lint says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from xmtf.errors import UnknownNameError
from xmtf.extras import EXTRAS, missing_modules
from xmtf.languages.codes import get_language, main_script, normalize_language
from xmtf.languages.identifier import shared_identifier
from xmtf.versions import package_versions

__all__ = ["Guess", "identifier_version", "literal_text", "prompt_language"]


_ENGLISH = frozenset(
    (
        "the",
        "of",
        "is",
        "to",
        "and",
        "that",
        "this",
        "for",
        "it",
        "you",
        "what",
        "which",
        "or",
        "not",
        "be",
        "with",
        "are",
    )
)
_ENGLISH_SHARE = 0.15


class Guess(NamedTuple):
    """The language of a prompt.

    Attributes:
        code: Its code.
        is_assumed: Whether nothing tells it.
        told_by: The identifier that told it, with its version, or ``""``.
    """

    code: str
    is_assumed: bool = False
    told_by: str = ""


_JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}|\|\|\|", re.DOTALL)
_WORDS = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z]{4})?(?![A-Za-z])")
_BY_SCRIPT = {
    "Arab": "ar", "Armn": "hy", "Beng": "bn", "Cyrl": "ru", "Deva": "hi", "Ethi": "am", "Geor": "ka", "Grek": "el",
    "Gujr": "gu", "Guru": "pa", "Hang": "ko", "Hani": "zh", "Hebr": "he", "Hira": "ja", "Kana": "ja", "Khmr": "km",
    "Knda": "kn", "Laoo": "lo", "Mlym": "ml", "Mymr": "my", "Orya": "or", "Sinh": "si", "Taml": "ta", "Telu": "te",
    "Thai": "th", "Tibt": "bo",
}  # fmt: skip
"""The language that is written most in a script."""
_OF_LANGUAGE = {"Jpan": {"Hira", "Kana", "Hani"}, "Kore": {"Hang"}, "Hans": {"Hani"}, "Hant": {"Hani"}}
_LETTERS, _CONFIDENCE = 60, 0.9
"""Letters of a file, and the identifier's confidence, from which on it is believed."""


def literal_text(*sources: str | None) -> str:
    """Return what Jinja sources say whatever the row is.

    >>> literal_text("{{premise}} So {{hypothesis}}? ||| {{x}}", "Yes ||| No").split()
    ['So', '?', 'Yes', 'No']
    """
    return " ".join(_JINJA.sub(" ", source) for source in sources if source)


def prompt_language(text: str, of_file: str, said: str | None, names: Sequence[str]) -> Guess:
    """Return the language of a prompt that has no key and no suffix of its own.

    Args:
        text: Its literal text.
        of_file: The literal text of all prompts of its file.
        said: The language of its metadata, which translations may have copied from their original.
        names: Of dataset and subset.
    """
    script = main_script(text) or main_script(of_file)
    if script in _BY_SCRIPT:
        named = [code for code in (*_codes(names), *([said] if said else ())) if _is_written_in(code, script)]
        found = None if named else _identified(of_file)
        if found is not None and _is_written_in(found, script):
            return Guess(found, told_by=identifier_version())
        return Guess((named or [_BY_SCRIPT[script]])[0])
    if said is not None and (said != "en" or script != "Latn" or _reads_english(of_file)):
        return Guess(said)
    found = _identified(of_file) if script == "Latn" else None
    if found is not None and _is_written_in(found, "Latn"):
        return Guess(found, told_by=identifier_version())
    return Guess("en", is_assumed=said is None)


@cache
def identifier_version() -> str:
    """Return name and version of the identifier: another one may tell another language."""
    (module,) = EXTRAS["langid"]
    return f"{module} {package_versions([module]).get(module, '')}".strip()


def _reads_english(text: str) -> bool:
    """Return whether so many words are those that every English text has that nothing needs to be identified.

    >>> _reads_english("Which of these is the answer to the question?"), _reads_english("Baca teks ini dan jawablah")
    (True, False)
    """
    words = re.findall(r"[a-z']+", text.lower())
    return sum(word in _ENGLISH for word in words) >= _ENGLISH_SHARE * len(words)


def _is_written_in(code: str, script: str) -> bool:
    own = get_language(code).script
    return own == script or script in _OF_LANGUAGE.get(own, ())


def _codes(names: Sequence[str]) -> list[str]:
    """Return the languages that names end in: ``ar`` of ``xquad.ar``, ``zh`` of ``wiki_lingua_zh``."""
    found = []
    for name in reversed(names):
        last = re.split(r"[./]", name)[-1]
        for part in dict.fromkeys((last, last.rpartition("_")[2])):
            if _WORDS.fullmatch(part):
                try:
                    found.append(normalize_language(part))
                except UnknownNameError:
                    continue
    return found


@cache
def _identified(text: str) -> str | None:
    """Return what the identifier finds, or None where it is not installed, not sure, or has too little to read."""
    if sum(map(str.isalpha, text)) < _LETTERS or missing_modules(EXTRAS["langid"]):
        return None
    found = shared_identifier()(" ".join(text.split()))
    return found.language if found.confidence >= _CONFIDENCE and found.in_its_script else None
