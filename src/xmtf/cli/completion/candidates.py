"""The words that may be at the cursor."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence

from xmtf.json_types import JsonObject

__all__ = ["candidates", "split_line"]

_ANYWHERE: dict[str, JsonObject] = {
    "--help": {"values": [], "kind": "flag", "many": False},
    "--quiet": {"values": [], "kind": "flag", "many": False},
    "--verbose": {"values": [], "kind": "flag", "many": False},
    "--log-level": {"values": ["debug", "info", "warning", "error"], "kind": "text", "many": False},
}
"""Options that are before a verb or anywhere behind it."""
_TEXT: JsonObject = {"values": [], "kind": "text", "many": True}


def split_line(line: str) -> list[str]:
    """Return the words of a command line up to the cursor, the last of which is being written.

    >>> split_line("xmtf run "), split_line("xmtf run 'my rec")
    (['xmtf', 'run', ''], ['xmtf', 'run', 'my rec'])
    """
    for ending in ("", "'", '"'):
        try:
            words = shlex.split(line + ending)
        except ValueError:
            continue
        is_new = not words or (not ending and line[-1:].isspace() and not line.endswith("\\ "))
        return [*words, ""] if is_new else words
    return line.split()


def candidates(index: JsonObject, words: Sequence[str]) -> tuple[list[str], bool]:
    """Return what may be in the place of the last word, and whether names of files may.

    Args:
        index: From :mod:`xmtf.cli.completion.index`.
        words: Behind the program, up to the cursor; the last is being written, and may be empty.
    """
    *before, word = words
    verb, rest = _verb_of(index, before)
    if verb is None:
        return _next_words(index, rest, word), False
    known = index["verbs"][verb]
    options: dict[str, JsonObject] = {**known["options"], **_ANYWHERE}
    waiting = _waiting(options, rest)
    if waiting is not None:
        return _values(index, waiting, word)
    if word.startswith("--") and "=" in word:
        name, _, begun = word.partition("=")
        found, files = _values(index, options.get(name, _TEXT), begun)
        return [f"{name}={value}" for value in found], files
    if word.startswith("-"):
        given = set(rest)
        return _begin(word, (name for name, about in options.items() if about["many"] or name not in given)), False
    arguments = known["arguments"]
    place = len(_positional(options, rest))
    if place < len(arguments):
        return _values(index, arguments[place], word)
    return _values(index, arguments[-1], word) if arguments and arguments[-1]["many"] else ([], False)


def _verb_of(index: JsonObject, before: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the verb that is already written and the words behind it, or None and the words that begin one."""
    names = [word for word in before if not word.startswith("-")]
    for count in (1, 2):
        if " ".join(names[:count]) in index["verbs"] and len(names) >= count:
            last = [place for place, word in enumerate(before) if not word.startswith("-")][count - 1]
            return " ".join(names[:count]), list(before[last + 1 :])
    return None, names


def _next_words(index: JsonObject, begun: Sequence[str], word: str) -> list[str]:
    """Return the nouns, or the verbs of the noun that is written; options where a dash is."""
    if word.startswith("-"):
        return _begin(word, [*_ANYWHERE, "--version"])
    parts = [verb.split() for verb in index["verbs"]]
    depth = len(begun)
    return _begin(word, [verb[depth] for verb in parts if len(verb) > depth and verb[:depth] == list(begun)])


def _waiting(options: Mapping[str, JsonObject], rest: Sequence[str]) -> JsonObject | None:
    """Return the option whose value is being written, or None."""
    about = options.get(rest[-1]) if rest else None
    return None if about is None or about["kind"] == "flag" else about


def _positional(options: Mapping[str, JsonObject], rest: Sequence[str]) -> list[str]:
    found = []
    left = iter(rest)
    for word in left:
        if not word.startswith("-"):
            found.append(word)
        elif word in options and options[word]["kind"] != "flag":
            next(left, None)
    return found


def _values(index: JsonObject, about: JsonObject, word: str) -> tuple[list[str], bool]:
    if about["values"]:
        return _begin(word, about["values"]), False
    if about["kind"] == "keys":
        return _keys(index["keys"], word), False
    if about["kind"] == "recipe":
        return _begin(word, index["recipes"]), True
    return [], about["kind"] == "path"


def _keys(keys: Mapping[str, Sequence[str]], word: str) -> list[str]:
    """Return keys up to their next dot, or the values of the key that is written.

    >>> _keys({"training.steps": [], "training.seed": [], "execution.engine": ["pool", "ray"]}, "tr")
    ['training.']
    >>> _keys({"execution.engine": ["pool", "ray"]}, "execution.engine=r")
    ['execution.engine=ray']
    """
    key, equals, begun = word.partition("=")
    if equals:
        return [f"{key}={value}" for value in keys.get(key, ()) if value.startswith(begun)]
    found = []
    for name in keys:
        if name.startswith(word):
            section, dot, _ = name[len(word) :].partition(".")
            found.append(word + section + (dot or "="))
    return list(dict.fromkeys(found))


def _begin(word: str, names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name for name in names if name.startswith(word)))
