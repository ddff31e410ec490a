"""What help shows for the value of an option: the values of a closed set, else a word that names what is given."""

from __future__ import annotations

__all__ = ["metavar_of"]

_KINDS = {"path": "PATH", "list[Path]": "PATH", "int": "N"}
"""Types whose values are named alike, whatever the option."""
_WORDS = {
    "account": "NAME",
    "answer-after": "TEXT",
    "batch-tokens": "TOKENS",
    "by": "COLUMNS",
    "catalogue": "NAME",
    "checkpoint": "ID|FOLDER",
    "cluster": "PATTERN",
    "columns": "COLUMN,COLUMN",
    "cpu-partition": "NAME",
    "dataset": "ID",
    "efficiency": "FRACTION",
    "extra-body": "JSON",
    "from": "LANGUAGE",
    "host": "ADDRESS",
    "input": "NAME=FILE",
    "k": "K,...",
    "label": "NAME",
    "label-column": "COLUMN",
    "labels": "NAME,...",
    "language-column": "COLUMN",
    "layout": "DIMS",
    "like": "ID|FOLDER",
    "max-cost": "AMOUNT",
    "mem": "SIZE",
    "memory": "SIZE",
    "metrics": "METRIC,...",
    "model-id": "DEVELOPER/NAME",
    "multiplier": "LANGUAGE=FACTOR",
    "only": "FIGURE,...",
    "option": "OPTION",
    "organization": "NAME",
    "parallel": "LANGUAGE=FILE",
    "partition": "NAME",
    "price": "INPUT,OUTPUT",
    "prompt-languages": "LANGUAGE,...",
    "push-to-hub": "ID",
    "relative-to": "LANGUAGE",
    "reliable": "CONFIDENCE",
    "request-timeout": "SECONDS",
    "reviewer": "NAME",
    "scorer": "[NAME=]command:...",
    "shot-language": "LANGUAGE",
    "shot-split": "SPLIT",
    "stop": "TEXT",
    "subsets": "SUBSET,...",
    "suite": "SUITE,...",
    "temperatures": "T,...",
    "template": "PATTERN",
    "text-column": "COLUMN",
    "time": "TIME",
    "timeout-s": "SECONDS",
    "title": "TEXT",
    "to": "LANGUAGE,...",
    "tokenizer": "ID|FOLDER",
    "top-p": "P",
}
"""Name of an option -> word for its value, where the name itself is none."""


def metavar_of(name: str, kind: str) -> str:
    """Return what help shows for the value of an option.

    >>> metavar_of("--split", "<str>"), metavar_of("--limit", "<int range>"), metavar_of("--dtype", "<auto|bf16>")
    ('SPLIT', 'N', 'auto|bf16')

    Args:
        name: The option as it is typed.
        kind: Its type as typer displays it.
    """
    kind = kind.strip("<>").removesuffix(" range")
    name = name.lstrip("-")
    if "|" in kind:
        return kind
    return _KINDS.get(kind) or _WORDS.get(name) or name.upper()
