"""Help as a terminal of 80 columns shows it."""

import os
import re
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from xmtf.cli.app import _COMMANDS, build_app


def verbs():
    for noun in _COMMANDS:
        command = typer.main.get_command(build_app(noun)).commands[noun]
        yield from ([noun, verb] for verb in getattr(command, "commands", {}) if verb != "harness")
        yield [noun]


def helped(*words):
    app = build_app(words[0] if words else None)
    width = 80 - 2  # what click leaves of a terminal of 80; of the runner's own 80 it leaves nothing
    return CliRunner().invoke(app, [*words, "--help"], prog_name="xmtf", terminal_width=width).output


@pytest.mark.parametrize("words", list(verbs()), ids=" ".join)
def test_help_fits_80_columns_and_shows_an_example(words):
    about, _, commands = helped(*words).partition("Commands:")
    examples = [line for line in about.splitlines() if line.startswith("  Example: ")]
    assert [line for line in about.splitlines() if len(line) > 80 and line not in examples] == []
    assert all(line.startswith(f"  Example: xmtf {' '.join(words)}") for line in examples)
    assert examples or commands
    assert not re.search(r"<(str|path|int|float|list)\b", about)  # a value is a word, or the set of its values
    assert "..." not in commands  # every summary is whole


def test_the_help_tested_is_that_of_a_pipe():
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    command = [sys.executable, "-m", "xmtf", "report", "--help"]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert result.stdout == helped("report")


def test_the_list_of_nouns_is_whole():
    assert "..." not in helped().partition("Commands:")[2]


def test_long_options_are_not_cut():
    assert "--space-before-targets / --no-space-before-targets" in helped("data", "pack")
