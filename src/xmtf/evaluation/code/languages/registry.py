"""The languages that programs are judged in."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from xmtf.errors import ConfigError
from xmtf.evaluation.code.languages import python
from xmtf.evaluation.code.languages.toolchain import Toolchain

__all__ = ["LANGUAGES", "find_toolchains"]

LANGUAGES: dict[str, Callable[[], Toolchain]] = {"python": python.find}
"""What finds the toolchain of each language."""


def find_toolchains(languages: Iterable[str]) -> dict[str, Toolchain]:
    """Return the toolchains of languages.

    Raises:
        ConfigError: One is not installed; names all that are missing.
    """
    found, missing = {}, []
    for language in dict.fromkeys(languages):
        try:
            found[language] = LANGUAGES[language]()
        except ConfigError as error:
            missing.append(str(error))
    if missing:
        raise ConfigError("; ".join(missing))
    return found
