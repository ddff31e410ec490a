"""The reference of the command line: every verb with its arguments, options, defaults and example."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import typer

from docs_pages.markdown import directive, listing, prose, table
from xmtf.cli import app as command_line

__all__ = ["verb_pages"]

_EXAMPLE = re.compile(r"^Example: ", re.MULTILINE)


def verb_pages() -> dict[str, str]:
    """Return name -> text of a page for each noun, and ``index``."""
    pages: dict[str, str] = {}
    rows = []
    for noun, (_, summary) in command_line.COMMANDS.items():
        command = typer.main.get_command(command_line.build_app(noun)).commands[noun]
        verbs = list(_verbs(command, f"xmtf {noun}"))
        pages[noun] = f"# xmtf {noun}\n\n{prose(summary)}\n\n" + "\n".join(_verb(*verb, noun) for verb in verbs)
        rows += [(f"[`{name}`]({noun}.md#{_anchor(name)})", prose(_first_sentence(each))) for name, each in verbs]
    pages["index"] = _index(rows, list(pages))
    return pages


def _index(rows: list[tuple[str, str]], nouns: list[str]) -> str:
    return (
        f"# Every verb\n\nMade from the code. An option `--name` of `xmtf noun verb` may also be given by the "
        f"variable `XMTF_NOUN_VERB_NAME`; [how much is printed](../../command-line.md) is set by options that "
        f"every verb takes.\n\n"
        f"{table(('verb', 'what it does'), rows)}\n"
        + directive("toctree", "", "\n".join(nouns), hidden="true").replace(":hidden: true", ":hidden:")
    )


def _verbs(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    if hasattr(command, "commands"):
        for name, child in command.commands.items():
            yield from _verbs(child, f"{path} {name}")
    else:
        yield path, command


def _anchor(name: str) -> str:
    return f"verb-{name.replace(' ', '-')}"


def _first_sentence(command: Any) -> str:
    return inspect.cleandoc(command.help or "").partition("\n\n")[0].replace("\n", " ")


def _verb(path: str, command: Any, noun: str) -> str:
    """Return the section of a verb; that of a noun without verbs has the page's heading above it."""
    text, _, example = _EXAMPLE.sub("\0", inspect.cleandoc(command.help or "").replace("\b\n", "")).partition("\0")
    about = "\n\n".join(prose(" ".join(part.split())) for part in text.strip().split("\n\n"))
    with command.make_context(path, [], resilient_parsing=True) as context:
        usage = " ".join([path, *command.collect_usage_pieces(context)])
        entries = list(_entries(command, context))
    examples = example.replace("\0", "")
    heading = f"## {path}" if path != f"xmtf {noun}" else "## Usage"
    return "\n".join(
        [
            f"({_anchor(path)})=\n{heading}\n",
            about + "\n",
            listing(usage + (f"\n\n{examples}" if examples else ""), "bash"),
            directive("program", path),
            *entries,
        ]
    )


def _entries(command: Any, context: Any) -> Iterator[str]:
    """Yield arguments and options as help lists them."""
    rows: list[tuple[str, str]] = []
    formatter = context.make_formatter()
    formatter.write_dl = lambda found, *rest, **more: rows.extend(found)
    command.format_help(context, formatter)
    for names, about in (row for row in rows if "--help" not in row[0]):
        yield directive("option", names.replace(" / ", ", "), prose(" ".join(about.split())) or "\\-")
