"""Options that verbs share: fields of a dataclass become options of the verb."""

from dataclasses import dataclass
from typing import Annotated

import typer
from typer.testing import CliRunner

from xmtf.cli.terminal.options import with_options


@dataclass(frozen=True)
class Common:
    model: Annotated[str, typer.Option(help="Which.")]
    space: Annotated[bool | None, typer.Option("--space/--no-space")] = None
    stop: Annotated[list[str] | None, typer.Option()] = None


def app_that_shows(shown):
    app = typer.Typer()

    @app.command()
    @with_options
    def rank(
        *, folder: Annotated[str, typer.Argument()] = ".", common: Common, limit: Annotated[int, typer.Option()] = 3
    ) -> None:
        """Rank something."""
        shown.append((folder, common, limit))

    return app


def test_fields_are_given_as_options_and_arrive_as_the_dataclass():
    shown = []
    line = ["there", "--model", "m", "--no-space", "--stop", "a", "--stop", "b", "--limit", "4"]
    assert CliRunner().invoke(app_that_shows(shown), line).exit_code == 0
    assert CliRunner().invoke(app_that_shows(shown), ["--model", "m"]).exit_code == 0
    assert shown == [("there", Common("m", False, ["a", "b"]), 4), (".", Common("m"), 3)]


def test_a_field_without_default_is_required_and_help_keeps_the_order():
    missing = CliRunner().invoke(app_that_shows([]), [])
    assert missing.exit_code == 2
    assert "--model" in missing.output
    text = CliRunner().invoke(app_that_shows([]), ["--help"]).output
    assert "Rank something." in text
    assert text.index("--model") < text.index("--space") < text.index("--stop") < text.index("--limit")
