"""What can go wrong, as one tree.

::

    XmtfError                       anything xmtf raises on purpose
    ├── UserError                   the user can fix it: one line, no traceback, exit 2
    │   ├── ConfigError             a recipe, an option or a catalogue entry is wrong
    │   ├── TemplateError           a template does not parse or fails on a row
    │   ├── SourceError             a dataset, split or file is missing or unreadable
    │   │   └── MissingSourceError  it is unavailable; retrying would not help
    │   ├── ServerError             a server does not answer, or answers in an unknown form
    │   ├── TranslationError        the same for a translation engine
    │   ├── MissingExtraError       an optional dependency is not installed
    │   └── UnknownNameError        a name is not known (carries the nearest known ones)
    ├── DataError                   an artefact does not match its manifest or its format
    └── LostProcessError            another process of the training ended, hangs, or did not come in time

Every message names the file, key, row or dataset and says what to do. Every class has a ``code`` that never changes,
which ``--json`` prints, and a ``remedy``, which ``docs/errors.md`` lists.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import ClassVar

__all__ = [
    "ConfigError",
    "DataError",
    "LostProcessError",
    "MissingExtraError",
    "MissingSourceError",
    "ServerError",
    "SourceError",
    "TemplateError",
    "TranslationError",
    "UnknownNameError",
    "UserError",
    "XmtfError",
    "nearest",
    "require",
]


class XmtfError(Exception):
    """Base of everything xmtf raises on purpose."""

    code: ClassVar[str] = "error"
    remedy: ClassVar[str] = "See the message."


class UserError(XmtfError):
    """The user can fix it: shown as one line without traceback, exit code 2."""

    code = "wrong-input"
    remedy = "Follow the message, then run the same command again; finished work is kept."


class ConfigError(UserError):
    """A recipe, an option or a catalogue entry is wrong."""

    code = "config"
    remedy = (
        "Change the key, option or catalogue entry that the "
        "message names; `xmtf recipe schema` and `--help` list all of them."
    )


class TemplateError(UserError):
    """A template does not parse, or fails on a row."""

    code = "template"
    remedy = (
        "Inspect the named row with `xmtf template render "
        "TASK --row N`, and at the file with `xmtf template lint FILE`."
    )


class SourceError(UserError):
    """A dataset, split or file is missing or unreadable."""

    code = "source"
    remedy = (
        "Check the path, or the name of dataset, subset and split; `xmtf doctor` prints which mirrors are searched."
    )


class ServerError(UserError):
    """A server does not answer, or answers in an unknown form."""

    code = "server"
    remedy = "Check that the server is running, its address, and the name of the model that it serves."


class TranslationError(UserError):
    """A translation engine does not answer, or answers in an unknown form."""

    code = "translation"
    remedy = "Check the engine's program, account and languages; finished translations are kept."


class MissingSourceError(SourceError):
    """A dataset or split is unavailable from here: not there, not given out, or without a network.

    Args:
        message: Names the split, where it was searched for and what to do.
        why: The reason alone, as a table of many of them shows it; default the message.
    """

    code = "missing-source"
    remedy = "Fetch it with `xmtf data fetch RECIPE`, name a mirror in XMTF_DATA_ROOT, or set `mixture.missing: skip`."

    def __init__(self, message: str, why: str = "") -> None:
        super().__init__(message)
        self.why = why or message


class MissingExtraError(UserError):
    """An optional dependency is not installed.

    Args:
        module: The module that could not be imported.
        extra: The extra of xmtf that brings it.
    """

    code = "missing-extra"
    remedy = "Install the extra that the message names; `xmtf doctor` lists all extras."

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(f"this needs the package `{module}`, which is not installed: pip install 'xmtf[{extra}]'")
        self.module = module
        self.extra = extra

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        """Pickle by the arguments: a worker process hands its errors back so."""
        return type(self), (self.module, self.extra)


class UnknownNameError(UserError):
    """A name is unknown; the message lists the nearest known names.

    Args:
        kind: What the name stands for ("task", "language", ...).
        name: The unknown name.
        known: The names that would have been understood.
        where: Where the name was read, such as ``recipes/demo.yaml: mixture.tasks.0``.
        near: The nearest names, where more is known than how they are spelt.
    """

    code = "unknown-name"
    remedy = "Use one of the suggested names; `xmtf task list`, `template list` and `recipe list` print all."

    def __init__(self, kind: str, name: str, known: Iterable[str], where: str = "", near: Sequence[str] = ()) -> None:
        known = sorted(known)
        near = [*near] or [repr(each) for each in nearest(name, known)]
        if near:
            hint = f"did you mean {' or '.join(near)}?"
        elif len(known) <= 12:
            hint = f"known: {', '.join(known) or 'none'}"
        else:
            hint = f"known: {', '.join(known[:12])} and {len(known) - 12} more"
        prefix = f"{where}: " if where else ""
        super().__init__(f"{prefix}unknown {kind} {name!r}; {hint}")
        self.kind = kind
        self.name = name
        self._arguments = (kind, name, tuple(known), where, tuple(near))

    def __reduce__(self) -> tuple[type[UnknownNameError], tuple[str, str, tuple[str, ...], str, tuple[str, ...]]]:
        """Pickle by the arguments: a worker process hands its errors back so."""
        return type(self), self._arguments


class DataError(XmtfError):
    """An artefact does not match its manifest or its format; the message names file and shard."""

    code = "data"
    remedy = "A file was changed or damaged: `xmtf verify RUN` lists which; delete what it names to have it rebuilt."


class LostProcessError(XmtfError):
    """Another process of the training ended, hangs, or did not come in time."""

    code = "lost-process"
    remedy = (
        "Look at what the process that is named printed last; the same command resumes from the newest checkpoint. "
        "`training.timeouts` says how long processes wait for each other."
    )


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Return the up to three known names most like ``name``, whatever their case, best first.

    >>> nearest("trainning", ["training", "tokens", "report"])
    ['training']
    >>> nearest("bloomz", ["BLOOMZ", "mT0"])
    ['BLOOMZ']
    """
    by_folded = {each.casefold(): each for each in known}
    return [by_folded[near] for near in difflib.get_close_matches(name.casefold(), by_folded, n=3, cutoff=0.6)]


def require(module: str, extra: str) -> ModuleType:
    """Import an optional dependency, or say which extra brings it.

    Raises:
        MissingExtraError: The module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and not module.startswith(error.name):
            raise
        raise MissingExtraError(module, extra) from None
