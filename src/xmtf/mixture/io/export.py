"""Write a mixture in the layout of xP3: one JSONL file for each (dataset, subset, split, template)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import orjson

from xmtf.artefacts.ownership import check_ours
from xmtf.conversations.messages import Conversation
from xmtf.files import atomic_folder
from xmtf.mixture.io.preferences import is_preference, preference_pairs, say_preferences
from xmtf.mixture.io.read import select_examples
from xmtf.mixture.io.released import released_name
from xmtf.records import MESSAGES, PROMPTED_COLUMNS

__all__ = ["ExportFields", "ExportNames", "export_jsonl", "file_name"]

ExportNames = Literal["hub", "released"]
"""Whether files and datasets are called as the hub calls them today, or as in the released xP3, xP3x and P3."""

ExportFields = Literal["xp3", "xp3x", "all", "messages", "preferences", "preference-messages"]

_FIELDS: dict[ExportFields, dict[str, str]] = {
    "xp3": {"inputs": "inputs", "targets": "targets"},
    "xp3x": {
        "inputs": "inputs", "targets": "targets", "language": "language", "split": "split", "template": "template",
        "dataset": "dataset", "config": "subset",
    },
    "all": {name: name for name in PROMPTED_COLUMNS},
    "messages": {},
    "preferences": {},
    "preference-messages": {},
}  # fmt: skip

MESSAGES_FILE = "messages.jsonl"
"""File of an export of conversations."""
PREFERENCES_FILE = "preferences.jsonl"
"""File of an export of pairs."""

_OPEN_FILES = 256
"""Files written at the same time."""


def export_jsonl(
    mixture: Path,
    out: Path,
    *,
    fields: ExportFields = "xp3",
    names: ExportNames = "hub",
    filters: dict[str, str],
) -> dict[str, int]:
    """Write ``<language>/xp3_<dataset>_<config>_<split>_<template>.jsonl``; return the lines of each file.

    Args:
        mixture: Folder of the mixture.
        out: New folder for the files.
        fields: ``xp3`` writes inputs and targets; ``xp3x`` adds language, split, template, dataset and config;
            ``all`` writes every column under our names. ``messages`` writes one file, ``messages.jsonl``, that TRL
            trains on: ``messages`` and, where there are any, ``tools``; of a prompted example a turn of the user and
            one of the assistant; ``preferences`` and ``preference-messages`` one file of pairs
            (:mod:`xmtf.mixture.io.preferences`).
        names: ``released`` calls files, languages, datasets and configurations as the original does
            (:mod:`xmtf.mixture.io.released`); with ``all`` it is about the files alone.
        filters: Column -> pattern (see :func:`xmtf.mixture.io.read.select_examples`).

    Raises:
        ConfigError: ``out`` is a file, or a folder that is not empty; a task has no released name; pairs are wanted and
            no example has several answer choices.
    """
    check_ours(out, "an export of a mixture", ())
    if is_preference(fields):
        say_preferences(mixture, filters)
    counts: dict[str, int] = {}
    with atomic_folder(out, alone=True) as folder, ExitStack() as stack:
        files: dict[str, Any] = {}
        for name, lines, count in _chunks(mixture, fields, names, filters):
            if name not in files:
                if len(files) >= _OPEN_FILES:
                    files.pop(next(iter(files))).close()
                (folder / name).parent.mkdir(exist_ok=True)
                files[name] = stack.enter_context((folder / name).open("ab"))
            files[name].write(lines)
            counts[name] = counts.get(name, 0) + count
    return counts


def _message_chunks(mixture: Path, filters: dict[str, str]) -> Iterator[tuple[str, bytes, int]]:
    """Yield the lines of conversations, all in one file, as :func:`_chunks`.

    Those with tools or calls of tools come first: readers find the type of each column in the first rows, and files
    whose columns differ cannot be read together.
    """
    for with_tools in (True, False):
        for table in select_examples(mixture, filters, columns=(*PROMPTED_COLUMNS, MESSAGES)):
            found = [each for row in table.to_pylist() if _has_tools(each := _conversation(row)) == with_tools]
            if found:
                yield MESSAGES_FILE, b"".join(orjson.dumps(each.fields()) + b"\n" for each in found), len(found)


def _has_tools(conversation: Conversation) -> bool:
    return conversation.tools is not None or any("tool_calls" in turn for turn in conversation.messages)


def _conversation(row: dict[str, Any]) -> Conversation:
    text = row[MESSAGES]
    return Conversation.asked(row["inputs"], row["targets"]) if text is None else Conversation.of_json(text)


def file_name(language: str, dataset: str, subset: str, split: str, template: str) -> str:
    """Return the path of a file of xP3; a missing subset is the word ``None``.

    >>> file_name("fr", "facebook/xnli", "fr", "train", "does it follow")
    'fr/xp3_facebook_xnli_fr_train_does_it_follow.jsonl'
    """
    name = f"xp3_{dataset}_{subset or None}_{split}_{template}.jsonl"
    return f"{language}/{name.replace('/', '_').replace(' ', '_')}"


def _chunks(
    mixture: Path, fields: ExportFields, names: ExportNames, filters: dict[str, str]
) -> Iterator[tuple[str, bytes, int]]:
    """Yield (file, its next lines, their number)."""
    if fields == "messages":
        yield from _message_chunks(mixture, filters)
        return
    if is_preference(fields):
        for table in select_examples(mixture, filters):
            pairs = [pair for row in table.to_pylist() for pair in preference_pairs(row, fields)]
            yield PREFERENCES_FILE, b"".join(orjson.dumps(pair) + b"\n" for pair in pairs), len(pairs)
        return
    for table in select_examples(mixture, filters):
        lines: dict[str, list[bytes]] = {}
        wanted = _FIELDS[fields]
        for row in table.to_pylist():
            if names == "released":
                released = released_name(row)
                path = released.path
                called = {"language": released.language, "dataset": released.dataset, "subset": released.config}
            else:
                path = file_name(*(row[name] for name in ("language", "dataset", "subset", "split", "template")))
                called = {}
            source = row if fields == "all" else row | called
            record = {name: source[column] for name, column in wanted.items()}
            if fields == "xp3x":
                record["config"] = record["config"] or None
            lines.setdefault(path, []).append(orjson.dumps(record))
        for path in sorted(lines):
            yield path, b"\n".join(lines[path]) + b"\n", len(lines[path])
