"""Run what README shows, in its order, in the current folder: what a new user's first ten minutes are.

    PATH=venv/bin:$PATH python scripts/readme_commands.py ../xmtf/README.md

Blocks of ``sh`` run line by line, blocks of ``python`` whole; `pip install` runs in the checkout, all else here, where
nothing lies at first. A command that fails ends it, and so does one that changes a model that an earlier one trained.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
_RUNS = ("sh", "python")


@dataclass(frozen=True, slots=True)
class Command:
    """One thing that a reader types: a line of a shell, or a program of Python."""

    text: str
    is_python: bool

    @property
    def line(self) -> list[str]:
        """The command as arguments."""
        return ["python", "-c", self.text] if self.is_python else ["bash", "-euo", "pipefail", "-c", self.text]

    @property
    def installs(self) -> bool:
        """Whether it is meant for the checkout."""
        return not self.is_python and self.text.startswith("pip install ")


def commands(page: str) -> list[Command]:
    r"""Return the commands of a page in order.

    >>> [command.text for command in commands("```sh\nxmtf doctor\n```\nthen\n```python\nimport xmtf\n```\n")]
    ['xmtf doctor', 'import xmtf\n']

    Raises:
        ValueError: A block is in another language, so that nothing would run it, or code is indented, not fenced.
    """
    found: list[Command] = []
    for language, body in _BLOCK.findall(page):
        if language not in _RUNS:
            raise ValueError(f"a block of {language or 'no language'!r}: {body[:60]!r}; blocks are one of {_RUNS}")
        lines = [body] if language == "python" else [line for line in body.splitlines() if line.strip()]
        found += [Command(line, language == "python") for line in lines]
    unfenced = re.findall(r"^(?: {4}|\t)\S.*$", _BLOCK.sub("", page), flags=re.MULTILINE)
    if unfenced:
        raise ValueError(f"code that is not fenced, and would not run: {unfenced[0].strip()!r}")
    return found


def main(readme: Path) -> int:
    """Run the commands of README; return the exit code of the first that failed."""
    here = Path()
    if any(here.iterdir()):
        print(f"{here.resolve()} is not empty")
        return 2
    trained: dict[Path, str] = {}
    todo = commands(readme.read_text(encoding="utf-8"))
    for command in todo:
        print(f"$ {command.text}", flush=True)
        code = subprocess.run(command.line, cwd=readme.resolve().parent if command.installs else here).returncode
        if code:
            print(f"exit code {code}: {command.text}")
            return code
        now = _models(here)
        changed = [path for path, known in trained.items() if now.get(path) != known]
        if changed:
            print(f"{changed[0]} is not as an earlier command left it, after: {command.text}")
            return 1
        trained = now
    print(f"README: {len(todo)} commands, {len(trained)} models, none trained twice")
    return 0


def _models(folder: Path) -> dict[Path, str]:
    """Return the hash of all weights under a folder, with the time at which they were written."""
    return {
        path: f"{path.stat().st_mtime_ns} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in sorted(folder.glob("**/model/model.safetensors"))
    }


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
