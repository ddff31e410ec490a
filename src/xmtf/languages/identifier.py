"""In which language a text is, by the model of py3langid; analyses of data and evaluations ask the same one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache

from xmtf.errors import UnknownNameError, require
from xmtf.languages.codes import get_language, main_script, normalize_language, same_language

__all__ = ["NO_LANGUAGE", "Identifier", "Sentence", "accepted_languages", "shared_identifier"]

NO_LANGUAGE = "zxx"
"""Code of what is not a language: numbers, markup."""

_SAME_SCRIPT = {"Jpan": {"Hira", "Kana", "Hani"}, "Kore": {"Hang", "Hani"}, "Hans": {"Hani"}, "Hant": {"Hani"}}
_TOLD_APART_BADLY = (("no", "nn", "da"), ("hr", "bs", "sr", "sr-Latn"), ("id", "ms"))


@dataclass(frozen=True, slots=True)
class Sentence:
    """What a sentence was found to be.

    Attributes:
        language: Code of the most likely language.
        confidence: Its probability among all languages known, 0 to 1.
        in_its_script: Whether the sentence is written in the usual script of that language.
    """

    language: str
    confidence: float
    in_its_script: bool


class Identifier:
    """Tells the language of a sentence, by py3langid's model of 140 languages."""

    def __init__(self) -> None:
        langid = require("py3langid.langid", "langid")
        self._model = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
        self.languages = frozenset(_code_of(str(label)) for label in self._model.nb_classes) - {NO_LANGUAGE}
        """Codes of the languages that it can find."""

    def __call__(self, sentence: str) -> Sentence:
        """Return the most likely language of a sentence."""
        label, confidence = self._model.classify(sentence)
        code = _code_of(label)
        return Sentence(code, float(confidence), _fits(code, main_script(sentence)))


@lru_cache(maxsize=1)
def shared_identifier() -> Identifier:
    """Return one identifier for everybody: its model takes a second to read.

    Raises:
        MissingExtraError: The package py3langid is not installed.
    """
    return Identifier()


@cache
def accepted_languages(code: str) -> frozenset[str]:
    """Return the languages that pass for one: its other codes, and relatives that no identifier tells apart well.

    >>> sorted(accepted_languages("hr")), sorted(accepted_languages("fr"))
    (['bs', 'hr', 'sr', 'sr-Latn'], ['fr'])
    >>> sorted(accepted_languages("zh-Hant")), sorted(accepted_languages("nb"))
    (['zh', 'zh-Hant'], ['da', 'nb', 'nn', 'no'])
    """
    names = {*same_language(code), code.partition("-")[0]}
    alike = next((group for group in _TOLD_APART_BADLY if names & set(group)), ())
    return frozenset((*names, *alike))


@cache
def _code_of(label: str) -> str:
    if label == NO_LANGUAGE:
        return label
    try:
        return normalize_language(label)
    except UnknownNameError:
        return label


@cache
def _fits(code: str, script: str) -> bool:
    if code == NO_LANGUAGE:
        return False
    usual = get_language(code).script
    return script == usual or script in _SAME_SCRIPT.get(usual, set())
