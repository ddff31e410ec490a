"""``xmtf template serve``: the studio in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xmtf.cli.terminal.options import Offline
from xmtf.cli.terminal.printing import print_text
from xmtf.execution import say
from xmtf.extras import EXTRAS, require_extra
from xmtf.recipe import load_task_recipe
from xmtf.tasks import load_catalogue

_PORT = 8765


def serve(
    place: Annotated[
        str, typer.Argument(metavar="TASK|FOLDER|FILE", help="Also a key of our collections; default: all of ours.")
    ] = "",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: any free port.")] = _PORT,
    host: Annotated[str, typer.Option(help="Address to listen on; a warning is printed unless it is local.")] = (
        "127.0.0.1"
    ),
    out: Annotated[
        Path | None, typer.Option("--out", help="Collection folder to save changes to; default: the files themselves.")
    ] = None,
    task: Annotated[str | None, typer.Option("--task", help="Task whose rows are shown.")] = None,
    recipe: Annotated[
        Path | None, typer.Option("--recipe", help="Include this recipe's catalogues and own tasks.")
    ] = None,
    tokenizer: Annotated[
        list[str] | None, typer.Option("--tokenizer", help="Count tokens with this tokenizer; may be repeated.")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", help="Model to try, or openai:URL#NAME; may be repeated."),
    ] = None,
    engine: Annotated[
        list[str] | None, typer.Option("--engine", help="Engine that suggests translations; may be repeated.")
    ] = None,
    glossary: Annotated[
        Path | None, typer.Option("--glossary", help="YAML: language -> term: translation; see docs/translation.md.")
    ] = None,
    memory: Annotated[
        Path | None, typer.Option("--memory", help="Translation memory; default: one next to each file.")
    ] = None,
    reviewer: Annotated[str, typer.Option("--reviewer", help="Name of the reviewer; can be changed on the page.")] = "",
    offline: Offline = False,
) -> None:
    """Serve a studio for templates in the browser.

    Browse rows and prompts; write, translate, review and try templates.

    Open the printed address in a browser on this machine. Ctrl-C stops the server.

    Example: xmtf template serve xnli --out mine
    Example: xmtf template serve mine --tokenizer bigscience/bloomz-560m --engine apertium
    """
    require_extra(EXTRAS["studio"])
    from xmtf.recipe.starting import STARTED_RECIPE
    from xmtf.studio.start import Options, start

    options = Options(
        tuple(tokenizer or ()),
        tuple(model or ()),
        tuple(engine or ()),
        glossary,
        memory,
        reviewer.strip(),
        offline,
    )
    beside = Path(place) / STARTED_RECIPE if place else None
    if recipe is None and beside is not None and beside.is_file():
        recipe = beside
        say(f"showing rows of the own tasks of {recipe}")
    catalogue = load_catalogue(load_task_recipe(recipe) if recipe is not None else None)
    start(place, catalogue.tasks, options, host=host, port=port, out=out, task=task, show=print_text)
    say("stopped")
