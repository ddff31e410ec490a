"""How verbs publish a folder on the hub, or list what would be sent."""

from __future__ import annotations

from xmtf.cli.terminal.printing import print_json, print_text
from xmtf.upload import Upload, push

__all__ = ["print_published", "published_json"]


def print_published(upload: Upload, *, dry_run: bool, as_json: bool) -> None:
    """Send a folder and print its address, or under ``dry_run`` print the files that would be sent."""
    if as_json:
        print_json(published_json(upload, dry_run=dry_run))
        return
    for line in upload.lines() if dry_run else [push(upload)]:
        print_text(line)


def published_json(upload: Upload, *, dry_run: bool) -> dict[str, object]:
    """Send a folder, unless ``dry_run``, and return what was sent or would be."""
    address = None if dry_run else push(upload)
    files = [{"name": name, "bytes": size} for name, size in upload.files]
    return {"repository": upload.repo, "private": upload.private, "address": address, "files": files}
