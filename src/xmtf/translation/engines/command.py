"""An engine that is any program: lines in on its standard input, as many lines out on its standard output."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Sequence

from xmtf.errors import ConfigError, TranslationError
from xmtf.translation.marks import StyleName

__all__ = ["CommandEngine", "run_lines"]

_TIMEOUT_S = 3600


class CommandEngine:
    """``command:mt --from {source} --to {target}``: no shell, one process per batch, one line per text."""

    styles: tuple[StyleName, ...] = ("xml", "braces", "square", "word")

    def __init__(self, command: str) -> None:
        """Take the command apart as a shell would, without running one.

        Raises:
            ConfigError: It is empty, has an open quote, or its program is not there.
        """
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise ConfigError(f"--engine command:{command}: {error}") from None
        if not self._words:
            raise ConfigError("--engine command: has no program; give `--engine 'command:PROGRAM ARGUMENTS'`")
        if shutil.which(self._words[0]) is None:
            raise ConfigError(f"--engine command: there is no program {self._words[0]!r}")
        self.name = f"command:{command}"
        self.version = ""

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[str]:
        """Run the program once; see :class:`xmtf.translation.engines.protocol.Engine`."""
        words = [word.replace("{source}", source).replace("{target}", target) for word in self._words]
        return run_lines(words, texts, self._words[0])


def run_lines(words: Sequence[str], texts: Sequence[str], name: str) -> list[str]:
    """Give lines to a program and return the lines that it prints.

    Args:
        words: Program and arguments.
        texts: Lines.
        name: Names the program in errors.

    Raises:
        TranslationError: It ends with an error, takes an hour, or prints no UTF-8.
    """
    data = "".join(f"{text}\n" for text in texts).encode()
    try:
        done = subprocess.run(words, input=data, capture_output=True, check=False, timeout=_TIMEOUT_S)
        printed = done.stdout.decode("utf-8")
    except subprocess.TimeoutExpired:
        raise TranslationError(f"{name}: no answer within {_TIMEOUT_S // 60} minutes") from None
    except UnicodeDecodeError as error:
        raise TranslationError(f"{name}: prints text that is not UTF-8 ({error})") from None
    except OSError as error:
        raise TranslationError(f"{name}: cannot be run ({error})") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise TranslationError(f"{name}: ended with {done.returncode}" + (f": {said[-1]}" if said else ""))
    return printed.removesuffix("\n").replace("\r\n", "\n").split("\n") if printed else []
