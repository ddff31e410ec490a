"""Files of package folders, served by their exact names: a path is looked up among them, and never joined."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from xmtf.loopback.checks import refusal

__all__ = ["LOOK", "Pages"]

LOOK = Path(__file__).with_name("look")
"""What all pages of ours have: colours, letters and controls; how elements are made; light and dark."""

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".webmanifest": "application/manifest+json",
}
"""Kinds of files that are served; all others are not."""


class Pages:
    """The files of folders and their subfolders, as if they lay in one."""

    def __init__(self, *folders: Path) -> None:
        """List them; what is not there now is not served.

        Args:
            folders: Of a package.
        """
        self._files = {
            path.relative_to(folder).as_posix(): path
            for folder in folders
            for path in sorted(folder.rglob("*"))
            if path.suffix in _TYPES and path.is_file() and not path.is_symlink()
        }

    def answer(self, name: str) -> Response:
        """Return a file by its name, such as ``js/rows.js``."""
        path = self._files.get(name)
        if path is None:
            return refusal(404, "not-found", "there is no such file")
        return Response(path.read_bytes(), media_type=_TYPES[path.suffix])

    async def endpoint(self, request: Request) -> Response:
        """Answer ``/static/{name:path}``."""
        return self.answer(str(request.path_params["name"]))
