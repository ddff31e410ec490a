"""Runs the commands of tutorials: ``python -m docs_pages.tutorials docs/tutorials [NAME...]``.

Blocks ``bash`` of a page are carried out in order, in an empty folder, in this process; blocks of code with a caption
are files, blocks ``python`` programs. ``console`` and ``text`` are for the reader: they need a network or a cluster, or
show what is printed. Pretrained models and engines are replaced by toys.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from docs_pages.toys import save_toy_chat_model, write_toy_engine
from xmtf.cli.app import _run

__all__ = ["Block", "blocks", "commands", "run_page"]

_BLOCK = re.compile(r"^```(?P<head>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_SMALL = "execution.engine=inline training.threads=1 training.steps=12 report.figures=[svg]"
"""Overrides of every recipe, unless a command has its own: one process, few steps."""
_CODE = re.compile(r"# exit code (\d+)")


class CommandFailedError(Exception):
    """A command of a page ended with another code than 0."""


class Block:
    """One block of code of a page."""

    def __init__(self, head: str, body: str) -> None:
        options = re.match(r"(?::\w+: .*\n)*", body)
        assert options is not None
        self.kind = head.rpartition(" ")[2].strip("{}")
        self.caption = (re.findall(r"^:caption: (\S+)$", options[0], re.MULTILINE) or [""])[0]
        self.body = body[options.end() :].lstrip("\n")


def blocks(text: str) -> list[Block]:
    """Return the blocks of a page that name a language."""
    return [Block(match["head"], match["body"]) for match in _BLOCK.finditer(text) if match["head"].strip()]


def commands(body: str) -> Iterator[str]:
    """Yield the commands of a block, a here-document and continued lines as one each."""
    lines = iter(body.splitlines())
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        while line.endswith("\\"):
            line = line[:-1] + next(lines)
        end = re.search(r"<<'(\w+)'$", line)
        if end:
            for inner in lines:
                line += f"\n{inner}"
                if inner == end[1]:
                    break
        yield line


def run_page(page: Path, toys: dict[str, str]) -> int:
    """Carry out a page in the current folder and return how many commands it has.

    Raises:
        CommandFailedError: A command did not succeed.
    """
    done = 0
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.caption:
            Path(block.caption).write_text(_with_toys(block.body, toys), encoding="utf-8")
        elif block.kind == "python":
            _call([sys.executable, "-c", block.body], block.body)
            done += 1
        elif block.kind == "bash":
            for command in commands(block.body):
                _command(_with_toys(command, toys))
                done += 1
    return done


def _with_toys(text: str, toys: dict[str, str]) -> str:
    for name, toy in toys.items():
        text = text.replace(name, toy)
    return text


def _command(line: str) -> None:
    """Carry out a line: xmtf in this process, ``export``, and everything else in a shell."""
    words = shlex.split(os.path.expandvars(line), comments=True) if line.startswith(("xmtf ", "export ")) else []
    expected = int((_CODE.findall(line) or ["0"])[0])
    if line.startswith("export "):
        name, _, value = words[1].partition("=")
        os.environ[name] = value
    elif words:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            code = _run(words[1:])
        if code != expected:
            raise CommandFailedError(f"{line}\nended with {code}:\n{printed.getvalue()[-3000:]}")
        if "SHOW" in os.environ:
            print(f"$ {line}\n{printed.getvalue()}")
    else:
        _call(["bash", "-c", line], line)


def _call(command: list[str], line: str) -> None:
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        raise CommandFailedError(
            f"{line}\nended with {found.returncode}:\n{found.stdout[-1000:]}{found.stderr[-2000:]}"
        )


def main(folder: Path, names: list[str]) -> int:
    """Carry out the pages of a folder, each in an empty folder of its own."""
    os.environ |= {
        "TQDM_DISABLE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "XMTF_OVERRIDES": _SMALL,
        "XMTF_PROGRESS": "off",
        "HF_HUB_OFFLINE": "1",
    }
    failures = 0
    with tempfile.TemporaryDirectory() as made:
        toys = {
            "HuggingFaceTB/SmolLM2-135M-Instruct": str(save_toy_chat_model(Path(made) / "chat-model")),
            "transformers:facebook/nllb-200-distilled-600M": write_toy_engine(Path(made) / "engine.py"),
        }
        for page in sorted(folder.resolve().glob("*.md")):
            if page.stem == "index" or (names and page.stem not in names):
                continue
            work = Path(made) / page.stem
            work.mkdir()
            os.chdir(work)
            start = time.process_time()
            try:
                print(f"{page.stem}: {run_page(page, toys)} commands, {time.process_time() - start:.0f} CPU s")
            except CommandFailedError as failure:
                failures += 1
                print(f"{page.stem}: FAILED\n{failure}")
        os.chdir("/")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
