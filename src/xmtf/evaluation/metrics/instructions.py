"""Instructions whose following a program can check, in any language: the 25 kinds of IFEval.

The reference of an item is the JSON text of its checks, as the adapter ``ifeval`` makes it of the dataset's columns::

    {"prompt": "Write a riddle in ...", "checks": [["length_constraints:number_words", {"num_words": 50, ...}]]}

``strict`` judges the answer as it stands, ``loose`` also without its first line, its last line and its asterisks, and
takes the best. The checks are our own, written from the descriptions of the instructions; what differs from Google's
program is listed in ``docs/evaluation.md``.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import product
from typing import Any

from xmtf.errors import DataError
from xmtf.evaluation.metrics.words import words
from xmtf.languages.codes import SENTENCE_MARKS, normalize_language
from xmtf.languages.identifier import accepted_languages, shared_identifier

__all__ = ["INSTRUCTIONS", "followed", "instruction_counts", "instruction_name", "prompt_followed"]

Given = Mapping[str, Any]
"""Arguments of an instruction, by the dataset's names."""

_SENTENCE_ENDS = re.compile(rf"[{re.escape(SENTENCE_MARKS)}]+[\"'»”’)\]]*(?=\s|$)|[。！？｡]+[」』”]?")
_CLOSED = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
_POSTSCRIPTS = {"P.S.": r"p\.\s?s\.", "P.P.S": r"p\.\s?p\.\s?s"}
_PREFIX = re.compile(r"^[a-z]{2,3}:(?=[a-z_]+:)")


def instruction_name(text: str) -> str:
    """Return the name of an instruction without the language that some translations put before it.

    >>> instruction_name("es:keywords:existence"), instruction_name("keywords:existence")
    ('keywords:existence', 'keywords:existence')
    """
    return _PREFIX.sub("", text.strip())


def followed(answer: str, reference: str, *, loose: bool) -> list[bool]:
    """Return of each instruction whether an answer follows it.

    Args:
        answer: What the model wrote.
        reference: JSON text with ``prompt`` and ``checks``.
        loose: Take the best of the answer and its seven variants.

    Raises:
        DataError: The reference is no such text, or names an instruction that nobody can check.
    """
    prompt, checks = _read(reference)
    variants = [text for text in (_variants(answer) if loose else (answer,)) if text.strip()]
    return [any(INSTRUCTIONS[name](text, given | {"prompt": prompt}) for text in variants) for name, given in checks]


def prompt_followed(answer: str, references: Sequence[str], *, loose: bool) -> float:
    """Return 1.0 where an answer follows all instructions of its prompt."""
    return float(all(followed(answer, references[0], loose=loose)))


def instruction_counts(answer: str, references: Sequence[str], *, loose: bool) -> list[float]:
    """Return how many instructions an answer follows, and how many there are."""
    found = followed(answer, references[0], loose=loose)
    return [float(sum(found)), float(len(found))]


@lru_cache(maxsize=4096)
def _read(reference: str) -> tuple[str, tuple[tuple[str, dict[str, Any]], ...]]:
    try:
        value = json.loads(reference)
        checks = tuple((instruction_name(name), dict(given)) for name, given in value["checks"])
        prompt = str(value["prompt"])
    except (ValueError, TypeError, KeyError):
        raise DataError(
            f"reference {reference[:80]!r}: the metrics ifeval_* need JSON with `prompt` and `checks`, which the "
            "adapter `ifeval` makes"
        ) from None
    unknown = [name for name, _ in checks if name not in INSTRUCTIONS]
    if unknown or not checks:
        raise DataError(f"reference {reference[:80]!r}: no check for {', '.join(unknown) or 'anything'}")
    return prompt, checks


def _variants(answer: str) -> list[str]:
    lines = answer.split("\n")
    cuts = [answer, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1]))]
    return [variant for cut, bare in product(cuts, (False, True)) if (variant := cut.replace("*", "") if bare else cut)]


def _compared(number: float, given: Given, relation: str, threshold: str) -> bool:
    """Return whether a number is less than, or at least, what an instruction asks for."""
    if given.get(relation) == "less than":
        return number < float(given[threshold])
    return number >= float(given[threshold])


def _times(keyword: str, text: str) -> int:
    """Return how often a word or phrase is in a text, in upper or lower case."""
    return len(re.findall(re.escape(_plain(keyword)), _plain(text)))


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _keywords(text: str, given: Given) -> bool:
    return all(_times(keyword, text) for keyword in given["keywords"])


def _keyword_frequency(text: str, given: Given) -> bool:
    return _compared(_times(given["keyword"], text), given, "relation", "frequency")


def _forbidden_words(text: str, given: Given) -> bool:
    plain = _plain(text)
    return not any(re.search(rf"\b{re.escape(_plain(word))}\b", plain) for word in given["forbidden_words"])


def _letter_frequency(text: str, given: Given) -> bool:
    return _compared(_plain(text).count(_plain(given["letter"])), given, "let_relation", "let_frequency")


def _language(text: str, given: Given) -> bool:
    return _is_in(text, normalize_language(given["language"]))


def _is_in(text: str, language: str) -> bool:
    return shared_identifier()(text.lower()).language in accepted_languages(language)


def _sentences(text: str, given: Given) -> bool:
    pieces = [piece for piece in _SENTENCE_ENDS.split(text) if any(map(str.isalnum, piece))]
    return _compared(len(pieces), given, "relation", "num_sentences")


def _words(text: str, given: Given) -> bool:
    return _compared(len(words(text)), given, "relation", "num_words")


def _paragraphs(text: str, given: Given) -> bool:
    parts = re.split(r"\s?\*\*\*\s?", text)
    inner = parts[1:-1]
    ends = [part for part in (parts[0], *parts[len(parts) - 1 :][: len(parts) > 1]) if part.strip()]
    return all(part.strip() for part in inner) and len(inner) + len(ends) == int(given["num_paragraphs"])


def _first_word(text: str, given: Given) -> bool:
    parts = [part.strip() for part in re.split(r"\n\n+", text) if part.strip()]
    place = int(given["nth_paragraph"]) - 1
    if len(parts) != int(given["num_paragraphs"]) or not 0 <= place < len(parts):
        return False
    first = re.match(r"[^\s.,?!\"']+", parts[place].lstrip("\"'"))
    return first is not None and _plain(first[0]) == _plain(given["first_word"])


def _placeholders(text: str, given: Given) -> bool:
    return len(re.findall(r"\[[^\]\n]*\]", text)) >= int(given["num_placeholders"])


def _postscript(text: str, given: Given) -> bool:
    marker = given["postscript_marker"]
    return re.search(_POSTSCRIPTS.get(marker, re.escape(_plain(marker))), _plain(text)) is not None


def _bullets(text: str, given: Given) -> bool:
    lines = [line.lstrip() for line in text.splitlines()]
    starred = sum(len(line) > 1 and line[0] == "*" and line[1] != "*" for line in lines)
    return starred + sum(line.startswith("-") for line in lines) == int(given["num_bullets"])


def _one_of_three(text: str, given: Given) -> bool:
    return any(option in text for option in _CLOSED)


def _highlights(text: str, given: Given) -> bool:
    marked = [*re.findall(r"\*([^\n*]*)\*", text), *re.findall(r"\*\*([^\n*]*)\*\*", text)]
    return sum(bool(each.strip()) for each in marked) >= int(given["num_highlights"])


def _sections(text: str, given: Given) -> bool:
    return len(re.findall(rf"{re.escape(given['section_spliter'].strip())}\s?\d+", text)) >= int(given["num_sections"])


def _json(text: str, given: Given) -> bool:
    bare = re.sub(r"^```(?:json)?|```$", "", text.strip(), flags=re.IGNORECASE).strip()
    try:
        json.loads(bare)
    except ValueError:
        return False
    return True


def _title(text: str, given: Given) -> bool:
    return any(title.strip("<> ") for title in re.findall(r"<<[^\n]+>>", text))


def _two_answers(text: str, given: Given) -> bool:
    parts = [part.strip() for part in text.split("******")]
    told = [part for part in parts if part]
    return all(parts[1:-1]) and len(told) == 2 and told[0] != told[1]


def _repeats(text: str, given: Given) -> bool:
    return _plain(text).strip().startswith(_plain(given.get("prompt_to_repeat") or given["prompt"]).strip())


def _ends_with(text: str, given: Given) -> bool:
    return _plain(text).strip().strip('"').endswith(_plain(given["end_phrase"]).strip())


def _quoted(text: str, given: Given) -> bool:
    bare = text.strip()
    return len(bare) > 1 and bare[0] == bare[-1] == '"'


def _capital_words(text: str, given: Given) -> bool:
    number = sum(word.isupper() for word in re.findall(r"[^\W_]+(?:[-'’][^\W_]+)*", text))
    return _compared(number, given, "capital_relation", "capital_frequency")


def _english_capitals(text: str, given: Given) -> bool:
    return text.isupper() and _is_in(text, "en")


def _english_lowercase(text: str, given: Given) -> bool:
    return text.islower() and _is_in(text, "en")


def _no_comma(text: str, given: Given) -> bool:
    return not set(text) & set(",،，、")


INSTRUCTIONS: dict[str, Callable[[str, Given], bool]] = {
    "keywords:existence": _keywords,
    "keywords:frequency": _keyword_frequency,
    "keywords:forbidden_words": _forbidden_words,
    "keywords:letter_frequency": _letter_frequency,
    "language:response_language": _language,
    "length_constraints:number_sentences": _sentences,
    "length_constraints:number_paragraphs": _paragraphs,
    "length_constraints:number_words": _words,
    "length_constraints:nth_paragraph_first_word": _first_word,
    "detectable_content:number_placeholders": _placeholders,
    "detectable_content:postscript": _postscript,
    "detectable_format:number_bullet_lists": _bullets,
    "detectable_format:constrained_response": _one_of_three,
    "detectable_format:number_highlighted_sections": _highlights,
    "detectable_format:multiple_sections": _sections,
    "detectable_format:json_format": _json,
    "detectable_format:title": _title,
    "combination:two_responses": _two_answers,
    "combination:repeat_prompt": _repeats,
    "startend:end_checker": _ends_with,
    "startend:quotation": _quoted,
    "change_case:capital_word_frequency": _capital_words,
    "change_case:english_capital": _english_capitals,
    "change_case:english_lowercase": _english_lowercase,
    "punctuation:no_comma": _no_comma,
}
"""Id of an instruction in the dataset -> whether a text follows it."""
