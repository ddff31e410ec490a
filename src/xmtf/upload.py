"""Publish a folder on the Hugging Face hub: checked before anything is sent.

A model or a mixture is a folder with a card. What would be sent can be listed without a network; the
card goes through the hub's own parser first, and a repository that was asked to be private is never
filled while it is public.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from xmtf.errors import ConfigError, DataError, UserError
from xmtf.run_folder import HUB_RESULTS

if TYPE_CHECKING:
    from huggingface_hub import HfApi

__all__ = ["MIXTURE_FILES", "Upload", "check_target", "plan_upload", "push"]

MIXTURE_FILES = ("README.md", "manifest.json", "composition.jsonl", "slices.jsonl", "language=*/part-*.parquet")
"""What of a mixture is published: not the lists of examples that were left out of it."""
_CARD = "README.md"
_PARTS = {
    "dataset": ["language=*/part-*.parquet"],
    "model": ["model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json"],
}
"""Files that come in changing numbers: those of an earlier upload that are not sent now would be read with the new."""

Kind = Literal["model", "dataset"]


@dataclass(frozen=True, slots=True)
class Upload:
    """What would be sent where.

    Attributes:
        folder: The folder.
        repo: Hub id, ``owner/name`` or ``name``.
        kind: ``model`` or ``dataset``.
        private: Whether only its owner may see it.
        files: Name and bytes of each file.
    """

    folder: Path
    repo: str
    kind: Kind
    private: bool
    files: tuple[tuple[str, int], ...]

    def lines(self) -> list[str]:
        """Return the list of files for people."""
        sizes = [f"{size:>14,}  {name}" for name, size in self.files]
        total = sum(size for _, size in self.files)
        where = f"{'private ' if self.private else ''}{self.kind} {self.repo}"
        return [
            *sizes,
            f"{total:>14,}  bytes in {len(self.files)} files would be uploaded to the {where}; the card is valid",
        ]


def check_target(repo: str, *, dry_run: bool) -> None:
    """Refuse what cannot end well before any long work starts.

    Raises:
        ConfigError: Not the id of a repository.
        UserError: There is no token, or the hub must not be asked.
    """
    from huggingface_hub import constants, errors, get_token
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # public, documented

    try:
        validate_repo_id(repo)
    except errors.HFValidationError as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"--push-to-hub {repo!r}: not a repository id, such as me/demo ({reason})") from None
    if dry_run:
        return
    if constants.HF_HUB_OFFLINE:
        raise UserError("--push-to-hub: HF_HUB_OFFLINE is set, so nothing can be sent; unset it, or add --dry-run")
    if get_token() is None:
        raise UserError("--push-to-hub: no token for the hub; run `hf auth login` or set HF_TOKEN, or add --dry-run")


def plan_upload(
    folder: Path, repo: str, kind: Kind, *, private: bool = False, patterns: Sequence[str] = ("*",)
) -> Upload:
    """List what of a folder would be sent, and check its card.

    Args:
        folder: A model or a mixture.
        repo: Hub id.
        kind: ``model`` or ``dataset``.
        private: Whether only its owner may see it.
        patterns: Names of files, relative to the folder, that are sent; of hidden ones the results in the
            hub's own format alone.

    Raises:
        DataError: There is nothing to send, or the card is missing or not valid.
    """
    found = sorted((path, path.relative_to(folder).as_posix()) for path in folder.rglob("*") if path.is_file())
    files = tuple(
        (name, path.stat().st_size)
        for path, name in found
        if (name == HUB_RESULTS or not any(part.startswith(".") for part in Path(name).parts))
        and any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    )
    if len(files) < 2:
        raise DataError(f"{folder}: nothing to upload; build it first")
    _check_card(folder / _CARD, kind)
    return Upload(folder, repo, kind, private, files)


def push(upload: Upload, api: HfApi | None = None) -> str:
    """Make the repository where there is none, and send what is not there yet; return its address.

    Parts of an earlier upload that the folder does not have are deleted with the same commit.

    Raises:
        UserError: The hub refuses, or cannot be reached.
    """
    from huggingface_hub import HfApi

    api = api or HfApi()
    with _told(upload):
        url = api.create_repo(upload.repo, repo_type=upload.kind, private=upload.private or None, exist_ok=True)
        if upload.private and not api.repo_info(url.repo_id, repo_type=upload.kind).private:
            raise ConfigError(f"{upload.repo}: already exists and is public; nothing was uploaded. Give another id")
        api.upload_folder(
            repo_id=url.repo_id,
            repo_type=upload.kind,
            folder_path=upload.folder,
            allow_patterns=[name for name, _ in upload.files],
            delete_patterns=_PARTS[upload.kind],
            commit_message=f"Upload {upload.kind} with xmtf",
        )
    return str(url)


def _check_card(path: Path, kind: Kind) -> None:
    from huggingface_hub import DatasetCard, ModelCard
    from yaml import YAMLError

    if not path.exists():
        raise DataError(f"{path}: missing; every {kind} that is published has a card")
    text = path.read_text(encoding="utf-8")
    if not text.startswith("---\n"):
        raise DataError(f"{path}: the card has no header that the hub can read")
    try:
        (DatasetCard if kind == "dataset" else ModelCard)(text)
    except (ValueError, TypeError, KeyError, YAMLError) as error:
        raise DataError(f"{path}: the hub could not read this card ({_first_line(error)})") from None


@contextmanager
def _told(upload: Upload) -> Iterator[None]:
    """Turn what the hub's client raises into one line."""
    from huggingface_hub import errors

    # HTTPError is the root of the errors of whichever HTTP library the client uses.
    http_error: type[Exception] = vars(errors)["HTTPError"]
    try:
        yield
    except errors.OfflineModeIsEnabled:
        raise UserError(f"{upload.repo}: HF_HUB_OFFLINE is set, so nothing can be sent") from None
    except errors.HfHubHTTPError as error:
        raise UserError(f"{upload.repo}: {_refusal(error)}") from None
    except RuntimeError as error:  # of one of several files that are sent side by side
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
        refused = _refusal(cause) if isinstance(cause, errors.HfHubHTTPError) else _first_line(cause)
        raise UserError(f"{upload.repo}: {_first_line(error)} {refused}") from None
    except (OSError, http_error) as error:
        raise UserError(f"{upload.repo}: the hub cannot be reached ({_first_line(error)})") from None


def _refusal(error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 401:
        return "the hub rejects this token; run `hf auth login` or set HF_TOKEN"
    if status == 403:
        return "this token has no write access to it; use one with write access, or another id"
    return f"the hub refused ({_first_line(error)})"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
