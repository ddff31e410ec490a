"""Help as a terminal of 80 columns shows it."""

import os
import re
import subprocess
import sys
from typing import get_args

import pytest
import typer
from typer.testing import CliRunner

from xmtf.cli.app import COMMANDS, build_app
from xmtf.evaluation.code.settings import Ask
from xmtf.evaluation.interchange.every_eval_ever import RELATIONSHIPS
from xmtf.evaluation.interchange.read import FORMATS
from xmtf.parallel.topology.gpus import GPUS
from xmtf.runs.pipeline import STAGES
from xmtf.tasks.task import Role

OF_TEXT = {"  --stop TEXT", "  --answer-after TEXT", "  --title TEXT"}
CLOSED_SETS = {
    ("run",): {"--until": STAGES},
    ("plan",): {"--gpu": tuple(GPUS), "--kernels": ("gpu", "cpu")},
    ("evaluate", "import"): {"--layout": FORMATS},
    ("evaluate", "export"): {"--relationship": RELATIONSHIPS, "--layout": ("t-zero", "every-eval-ever")},
    ("evaluate", "code"): {"--ask": (*get_args(Ask), ",".join(get_args(Ask)))},
    ("evaluate", "rank"): {"--also": ("pmi,lm_eval",), "--chat": ("auto", "on", "off")},
    ("report", "tables"): {"--format": ("md", "csv", "tex")},
    ("task", "list"): {"--role": get_args(Role)},
    ("analyze", "languages"): {"--side": ("inputs", "targets", "both")},
}
"""Options of closed sets whose values are also written down elsewhere."""


def verbs():
    for noun in COMMANDS:
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
    assert not re.search(r"<(str|path|int|float|list)\b|\b(STR|INTEGER|FLOAT)\b", about)
    assert set(re.findall(r"^  -[-, a-z]*--\S+ TEXT\b", about, flags=re.MULTILINE)) <= OF_TEXT
    assert "..." not in commands  # every summary is whole


@pytest.mark.parametrize("words", CLOSED_SETS, ids=" ".join)
def test_closed_sets_show_their_values(words):
    shown = helped(*words)
    for option, values in CLOSED_SETS[words].items():
        assert re.search(rf"{option} {re.escape('|'.join(values))}\s", shown)


def test_the_help_tested_is_that_of_a_pipe():
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    command = [sys.executable, "-m", "xmtf", "report", "--help"]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert result.stdout == helped("report")


def test_the_list_of_nouns_is_whole():
    assert "..." not in helped().partition("Commands:")[2]


def test_long_options_are_not_cut():
    assert "--space-before-targets / --no-space-before-targets" in helped("data", "pack")
