"""Files of the hub, and all those of a revision."""

from __future__ import annotations

from dataclasses import dataclass

from xmtf.sources.hub.client import endpoint, library

__all__ = ["HubFile", "Listing"]


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file on the hub.

    Attributes:
        path: In its repository.
        size: Bytes.
        blob: Git's hash of its content, or of what stands for it.
        sha256: Of its content, where the hub keeps it as a large file, else ``""``.
    """

    path: str
    size: int
    blob: str
    sha256: str = ""

    @property
    def name(self) -> str:
        """What the hub's cache calls its content."""
        return self.sha256 or self.blob


@dataclass(frozen=True, slots=True)
class Listing:
    """All files of a revision of a dataset.

    Attributes:
        dataset: Hub id.
        revision: Branch or other reference.
        commit: The commit that it stood for.
        files: Path -> file.
        gated: Whether the hub gives the files out on request.
    """

    dataset: str
    revision: str
    commit: str
    files: dict[str, HubFile]
    gated: bool = False

    def url(self, file: HubFile) -> str:
        """Return where a file is downloaded from."""
        return str(
            library().hf_hub_url(
                self.dataset, file.path, repo_type="dataset", revision=self.commit, endpoint=endpoint()
            )
        )
