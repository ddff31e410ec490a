"""The languages that programs are judged in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from xmtf.errors import ConfigError
from xmtf.evaluation.code.languages import cpp, go, java, javascript, python, rust
from xmtf.evaluation.code.languages.toolchain import Toolchain

__all__ = ["LANGUAGES", "check_modules", "check_tests", "find_toolchains", "language_named"]

LANGUAGES: dict[str, Callable[[Path | None], Toolchain]] = {
    "python": python.find,
    "javascript": javascript.find,
    "java": java.find,
    "go": go.find,
    "cpp": cpp.find,
    "rust": rust.find,
}
"""What finds the toolchain of each language; takes the folder of modules, or None."""

_ALSO = {"py": "python", "humaneval": "python", "js": "javascript", "node": "javascript", "golang": "go", "c++": "cpp"}
_ALSO |= {"rs": "rust"}


def language_named(name: str) -> str | None:
    """Return the language that a data set calls so, or None where programs in it are not judged.

    >>> language_named("CPP"), language_named("JavaScript"), language_named("Ruby")
    ('cpp', 'javascript', None)
    """
    name = _ALSO.get(name.lower(), name.lower())
    return name if name in LANGUAGES else None


def find_toolchains(languages: Iterable[str], modules: Path | None = None) -> dict[str, Toolchain]:
    """Return the toolchains of languages.

    Args:
        languages: Their names.
        modules: Folder of modules that programs use, or None.

    Raises:
        ConfigError: One is not installed; names all that are missing.
    """
    found, missing = {}, []
    for language in dict.fromkeys(languages):
        try:
            found[language] = LANGUAGES[language](modules)
        except ConfigError as error:
            missing.append(str(error))
    if missing:
        raise ConfigError("; ".join(missing))
    return found


def check_modules(texts: Mapping[str, Iterable[str]], modules: Path | None) -> None:
    """Refuse problems that need what is not there: their programs would count as wrong.

    Args:
        texts: Program texts of the problems, by language.
        modules: Folder of modules that programs use, or None.

    Raises:
        ConfigError: Names what is missing.
    """
    for language, given in texts.items():
        missing, what, remedy = _missing(language, list(given), modules)
        if missing:
            raise ConfigError(f"{language} problems use {what} that are not installed ({', '.join(missing)}); {remedy}")


def _missing(language: str, texts: list[str], modules: Path | None) -> tuple[list[str], str, str]:
    """Return what is missing, what it is called, and what to do."""
    if language == "go":
        return go.missing_modules(texts, modules), "modules", "give --modules DIR, with go.mod and vendor in DIR/go"
    if language == "rust":
        return (
            rust.missing_crates(texts, modules),
            "crates",
            "give --modules DIR, with a built cargo project in DIR/rust",
        )
    if language == "cpp":
        return cpp.missing_headers(texts), "headers", "install their packages, such as libboost-dev or libssl-dev"
    return [], "", ""


def check_tests(language: str, tests: str, where: str) -> None:
    """Refuse tests that would pass without a test.

    Raises:
        ConfigError: There is none.
    """
    checks = {"go": go.check_tests, "rust": rust.check_tests}
    if language in checks:
        checks[language](tests, where)
    elif not tests.strip():
        raise ConfigError(f"{where}: there are no tests")
