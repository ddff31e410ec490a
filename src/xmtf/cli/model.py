"""``xmtf model``: the models of the work."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from xmtf.cli.terminal.printing import print_json, print_records
from xmtf.errors import UnknownNameError

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="List the released models.")


@app.callback()
def models() -> None:
    """List the released models."""


@app.command("list")
def list_models(
    family: Annotated[
        str | None, typer.Option(metavar="FAMILY", help="Only this family, such as BLOOMZ or mT0.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the models whose results were published, and their bases.

    Prints size, base, mixture and licence. Any of the ids works as `--model` of `xmtf generate` and `xmtf evaluate`,
    and as `model.base` of a recipe.

    Example: xmtf model list --family mT0
    """
    from xmtf.report.reference import pretrained_bases, published_models

    known = [*published_models().values(), *pretrained_bases().values()]
    families = {model.family for model in known}
    if family is not None and family not in families:
        raise UnknownNameError("model family", family, families, "--family")
    records = [asdict(model) for model in known if family in (None, model.family)]
    if as_json:
        print_json(records)
        return
    print_records(
        [
            {
                "model": record["name"],
                "id": record["hub_id"],
                "parameters": f"{record['billion_parameters']:g} B",
                "base": record["base"] or "-",
                "mixture": record["mixture"] or "-",
                "licence": record["licence"],
            }
            for record in records
        ]
    )
