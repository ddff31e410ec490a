"""``xmtf copy``: finished folders to and from remote storage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xmtf.cli.terminal.options import PrintJson
from xmtf.cli.terminal.printing import print_json, print_text
from xmtf.errors import ConfigError

__all__ = ["copy"]


def copy(
    source: Annotated[str, typer.Argument(help="Finished folder (mixture, tokens, model, results), or an address.")],
    target: Annotated[str, typer.Argument(help="Address such as s3://bucket/demo, gs://, hf://; or a new folder.")],
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite a finished folder at the address.")] = False,
    as_json: PrintJson = False,
) -> None:
    """Copy a finished folder to remote storage, or from there.

    The manifest is copied last: an upload that was cut short is not a result, and is rejected when it is copied back.
    Downloads are compared with the manifest, file by file. Credentials come from the environment.

    Example: xmtf copy runs/demo/mixture s3://bucket/demo/mixture
    Example: xmtf copy s3://bucket/demo/mixture runs/demo/mixture
    """
    from xmtf.remote.storage import copy_down, copy_up, is_remote

    if is_remote(source) == is_remote(target):
        raise ConfigError("xmtf copy: one of the two is a folder here, the other an address such as s3://bucket/demo")
    if is_remote(target):
        files = copy_up(Path(source), target, replace=replace)
    elif replace:
        raise ConfigError("xmtf copy: --replace is for an address; a folder here is never overwritten")
    else:
        files = copy_down(source, Path(target))
    size = sum(count for _, count in files)
    if as_json:
        print_json({"source": source, "target": target, "files": len(files), "bytes": size})
    else:
        print_text(f"{target}: {len(files):,} files, {size:,} bytes")
