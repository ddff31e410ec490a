"""All that the server holds while it runs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from xmtf.errors import UnknownNameError, UserError
from xmtf.extras import MODELS, require_extra
from xmtf.studio.opened import Models, Suggesting
from xmtf.studio.place import Place
from xmtf.studio.process.worker import Worker
from xmtf.studio.rows import RowReader
from xmtf.studio.stored import Stored
from xmtf.tokens import Tokenizer, load_tokenizer
from xmtf.translation.glossary import read_glossary

__all__ = ["Options", "Session"]

RENDER_S = 10.0
LINT_S = 120.0
MEMORY_MIB = 1024


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line names; a browser chooses among it, and can name nothing else.

    Attributes:
        tokenizers: Tokenizers whose tokens are counted.
        models: Models that can be tried.
        engines: Engines that suggest translations.
        glossary: Terms for them, or None.
        memory: Translation memory, or None for one next to each file.
        reviewer: Who reviews, where the page does not say.
        offline: Never touch the network.
    """

    tokenizers: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    engines: tuple[str, ...] = ()
    glossary: Path | None = None
    memory: Path | None = None
    reviewer: str = ""
    offline: bool = False


@dataclass(slots=True)
class Session:
    """What the parts of the interface work on.

    Attributes:
        place: What is served.
        options: What a browser may choose from.
        stored: Files by version.
        rows: Rows of tasks.
        worker: Renders, and checks what is typed.
        checker: Checks whole files, which takes longer.
        suggesting: Engines.
        models: Models that were tried.
    """

    place: Place
    options: Options = Options()
    stored: Stored = field(default_factory=Stored)
    rows: RowReader = field(default_factory=RowReader)
    worker: Worker = field(default_factory=lambda: Worker(limit_s=RENDER_S, memory_mib=MEMORY_MIB))
    checker: Worker = field(default_factory=lambda: Worker(limit_s=LINT_S, memory_mib=MEMORY_MIB))
    suggesting: Suggesting = field(default_factory=Suggesting)
    models: Models = field(default_factory=Models)
    counted: dict[tuple[str, str], Mapping[str, int]] = field(default_factory=dict)
    """Key and version of a file -> what lint found in it."""
    reopen: Callable[[], Place] | None = None
    """Looks again which files there are; None where they stay the same."""

    def look_again(self) -> None:
        """Serve files that were added since, and no longer those that are gone; where none is left, the old ones.

        Those that are gone then say so where they are asked for.
        """
        if self.reopen is None:
            return
        with contextlib.suppress(UserError):
            self.place = self.reopen()

    def tokenizer(self, name: str) -> Tokenizer:
        """Return one of the tokenizers by its name, read once.

        Raises:
            UnknownNameError: The command line names no such one.
        """
        if name not in self.options.tokenizers:
            raise UnknownNameError("tokenizer", name, self.options.tokenizers, "--tokenizer")
        return _tokenizer(name, self.options.offline)

    def check(self) -> None:
        """Read what the command line names and is small, so that a mistake in it is said at once.

        Raises:
            UserError: A tokenizer or the glossary cannot be read, or models are named and what runs them is missing.
        """
        for name in self.options.tokenizers:
            self.tokenizer(name)
        if self.options.glossary is not None:
            read_glossary(self.options.glossary, "en")
        if self.options.models:
            require_extra(MODELS)

    def close(self) -> None:
        """End the processes."""
        self.worker.close()
        self.checker.close()


@lru_cache(maxsize=4)
def _tokenizer(name: str, offline: bool) -> Tokenizer:
    return load_tokenizer(name, offline=offline)
