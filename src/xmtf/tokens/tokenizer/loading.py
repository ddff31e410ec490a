"""Find and read a tokenizer: a folder, a ``tokenizer.json``, a GGUF file or a hub id.

Whatever holds a ``tokenizer.json`` is read without transformers; older folders and GGUF files go
through it once and become the same thing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from xmtf.errors import ConfigError, DataError, SourceError, require
from xmtf.files import read_json
from xmtf.gguf.header import GgufFile, read_gguf
from xmtf.tokens.tokenizer.spiece import SPIECE_FILE, read_spiece
from xmtf.tokens.tokenizer.tokenizer import (
    CONFIG_FILE,
    KEPT_KEYS,
    MORE_TEMPLATES,
    TEMPLATE_FILE,
    TOKENIZER_FILE,
    Tokenizer,
)

__all__ = ["hub_tokenizer_files", "load_tokenizer", "tokenizer_files"]

_SPECIAL = ("eos", "pad", "bos")
_TOLD_IN = ("special_tokens_map.json", CONFIG_FILE, "config.json", "generation_config.json")
"""Files that name the special tokens, the first two by name and the others by number."""
_HUB_FILES = ["tokenizer*", "vocab*", "merges.txt", "*.model", TEMPLATE_FILE, f"{MORE_TEMPLATES}/*.jinja", *_TOLD_IN]
_LEFT_PADDED = ("Llama", "CodeLlama", "Gemma", "Cohere", "XLNet", "Bloom")
"""Classes of transformers that pad on the left where their configuration does not say; the others on the right."""
_T5_EXTRA_IDS = 100
_GGUF_BEGINS = {"llama": True, "bert": True, "t5": False}
"""Whether llama.cpp puts a begin of text before a text, by kind of vocabulary, where a file does not say."""


def load_tokenizer(ref: str | Path, *, offline: bool = False) -> Tokenizer:
    """Read a tokenizer.

    A tokenizer without a padding token pads with its end-of-text token: rows know their padding by
    segment, so nothing is lost.

    Args:
        ref: Folder, ``tokenizer.json``, GGUF file, or hub id (``id`` or ``id@revision``).
        offline: Use only what the hub's cache on this machine holds.

    Raises:
        SourceError: Nothing there; names where it looked.
        ConfigError: What is there does not do: no end-of-text token, or not readable.
    """
    path = Path(ref)
    if path.is_dir():
        return _from_folder(path, str(ref))
    if path.suffix == ".gguf" and path.is_file():
        return _from_gguf(path, str(ref))
    if path.is_file() and path.name == SPIECE_FILE:
        return _from_spiece(path, str(ref))
    if path.is_file():
        return _from_json(path, path.parent, str(ref))
    if path.is_absolute() or path.suffix in (".json", ".gguf") or str(ref).startswith("."):
        raise SourceError(f"tokenizer {str(ref)!r}: no such folder or file (looked in {path.parent.resolve()})")
    return _from_folder(_download(str(ref), offline), str(ref))


def tokenizer_files(path: Path) -> list[Path]:
    """Return the files on this machine that a tokenizer is read from: none where ``path`` is not here."""
    if path.is_file():
        beside = [] if path.suffix == ".gguf" else [path.parent / name for name in _TOLD_IN]
        return [path, *(file for file in beside if file.is_file())]
    patterns = _HUB_FILES if (path / TOKENIZER_FILE).is_file() else [*_HUB_FILES, "*.gguf"]
    return sorted({file for pattern in patterns for file in path.glob(pattern) if file.is_file()})


def hub_tokenizer_files(ref: str, *, offline: bool = False) -> list[Path]:
    """Return the files of a tokenizer on the hub, as the cache of this machine holds them.

    Raises:
        SourceError: It is not there.
    """
    return tokenizer_files(_download(ref, offline))


def _from_folder(folder: Path, label: str) -> Tokenizer:
    if (folder / TOKENIZER_FILE).is_file():
        return _from_json(folder / TOKENIZER_FILE, folder, label)
    if (folder / SPIECE_FILE).is_file():
        return _from_spiece(folder / SPIECE_FILE, label)
    gguf = sorted(folder.glob("*.gguf"))
    if gguf and not (folder / CONFIG_FILE).is_file():
        return _from_gguf(gguf[0], label)
    return _through_transformers(folder, label)


def _from_json(path: Path, folder: Path, label: str) -> Tokenizer:
    return _of_text(_read_text(path), folder, label)


def _from_spiece(path: Path, label: str) -> Tokenizer:
    """Convert a ``spiece.model``; how many extra ids are behind it the configuration says, or the kind of model."""
    folder = path.parent
    known = _optional(folder / CONFIG_FILE)
    num_extra = known.get("extra_ids")
    if not isinstance(num_extra, int):
        is_t5 = "T5Tokenizer" in str(known.get("tokenizer_class")) and "MT5" not in str(known.get("tokenizer_class"))
        kind = _optional(folder / "config.json").get("model_type")
        num_extra = _T5_EXTRA_IDS if kind == "t5" or (kind is None and is_t5) else 0
    spiece = read_spiece(path, num_extra=num_extra)
    return _of_text(spiece.text, folder, label, otherwise=spiece.ids, about={"padding_side": "right"})


def _of_text(
    text: str,
    folder: Path,
    label: str,
    *,
    otherwise: Mapping[str, int | None] | None = None,
    about: dict[str, object] | None = None,
) -> Tokenizer:
    """Return the tokenizer that a ``tokenizer.json`` and the files next to it make.

    Args:
        text: Content of the ``tokenizer.json``.
        folder: Of the other files.
        label: What messages call it.
        otherwise: Special ids where the files name none.
        about: What exports keep where the files say nothing of it.
    """
    label = f"tokenizer {label!r}"
    plain = Tokenizer(text, pad=-1, eos=-1, bos=None, label=label)
    told = [_optional(folder / name) for name in _TOLD_IN]
    named, numbered = {**told[0], **told[1]}, {**told[2], **told[3]}
    ids = _special_ids(plain, named, numbered)
    ids = {kind: (otherwise or {}).get(kind) if number is None else number for kind, number in ids.items()}
    eos, bos = ids["eos"], ids["bos"]
    if eos is None:
        raise ConfigError(f"{label}: has no end-of-text token; set eos_token in {folder / CONFIG_FILE}")
    return Tokenizer(
        text,
        pad=eos if ids["pad"] is None else ids["pad"],
        eos=eos,
        bos=bos,
        label=label,
        begin=(bos,) if named.get("add_bos_token") is True and bos is not None else (),
        ends=_listed(numbered.get("eos_token_id")),
        about=(about or {}) | _about(named, folder) | _without_pad(ids["pad"]),
    )


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as text ({error})") from None


def _special_ids(tokenizer: Tokenizer, named: dict[str, object], numbered: dict[str, object]) -> dict[str, int | None]:
    """Return the special ids: by name from the tokenizer's own files, else by number from the model's."""
    ids: dict[str, int | None] = {}
    for kind in _SPECIAL:
        name = named.get(f"{kind}_token")
        name = name.get("content") if isinstance(name, dict) else name
        if isinstance(name, str):
            ids[kind] = tokenizer.find(name)
            if ids[kind] is None:
                raise ConfigError(f"{tokenizer.label}: its {kind}_token {name!r} is not in its vocabulary")
        else:
            ids[kind] = next(iter(_listed(numbered.get(f"{kind}_token_id"))), None)
    return ids


def _listed(numbers: object) -> tuple[int, ...]:
    """Return one id or a list of them as a tuple; whatever else is there is none."""
    found = numbers if isinstance(numbers, list) else [numbers]
    return tuple(number for number in found if isinstance(number, int) and not isinstance(number, bool))


def _without_pad(pad: int | None) -> dict[str, None]:
    """Return what keeps an export from naming a padding token where there was none."""
    return {"pad_token": None} if pad is None else {}


def _about(named: dict[str, object], folder: Path) -> dict[str, object]:
    """Return what exports keep of a tokenizer's configuration; a template in its own file comes first."""
    about = {key: named[key] for key in KEPT_KEYS if key in named}
    kind = named.get("tokenizer_class")
    if "padding_side" not in about and isinstance(kind, str):
        about["padding_side"] = "left" if kind.partition("Tokenizer")[0] in _LEFT_PADDED else "right"
    template = folder / TEMPLATE_FILE
    if template.is_file():
        about["chat_template"] = _read_text(template)
    more = {path.stem: _read_text(path) for path in sorted((folder / MORE_TEMPLATES).glob("*.jinja"))}
    if more:
        about[MORE_TEMPLATES] = more
    return about


def chat_about(path: Path) -> dict[str, object]:
    """Return what a tokenizer's configuration says of its chat format, without reading the tokenizer.

    Args:
        path: Folder or file of the tokenizer.
    """
    if path.is_file() and path.suffix == ".gguf":
        template = read_gguf(path).fields.get("tokenizer.chat_template")
        return {} if template is None else {"chat_template": template}
    folder = path if path.is_dir() else path.parent
    return _about(_optional(folder / CONFIG_FILE), folder)


def _optional(path: Path) -> dict[str, object]:
    if not path.is_file():
        return {}
    value = read_json(path)
    if not isinstance(value, dict):
        raise DataError(f"{path}: not a mapping of keys")
    return value


def _from_gguf(path: Path, label: str) -> Tokenizer:
    """Read the tokenizer in a GGUF file: what is before a text is as the file says, not as transformers thinks."""
    file = read_gguf(path)
    require("gguf", "train")
    from xmtf.gguf.reader import quick_gguf, reads_tokenizers  # the package gguf is optional

    about = {"chat_template": template} if (template := file.fields.get("tokenizer.chat_template")) else {}
    ends = [file.number(f"tokenizer.ggml.{kind}_token_id") for kind in ("eot", "eom")]
    known = (about, tuple(end for end in ends if end is not None))
    size = file.number("tokenizer.ggml.tokens")
    with quick_gguf(vocabulary=not reads_tokenizers()):
        tokenizer = _through_transformers(path.parent, label, known, size, gguf_file=path.name)
    begin = (tokenizer.bos,) if _gguf_begins(file) and tokenizer.bos is not None else ()
    return tokenizer.adding(begin, keep_end=True)


def _gguf_begins(file: GgufFile) -> bool:
    flag = file.fields.get("tokenizer.ggml.add_bos_token")
    if isinstance(flag, bool):
        return flag
    kind = str(file.fields.get("tokenizer.ggml.model"))
    return _GGUF_BEGINS.get(kind, str(file.fields.get("tokenizer.ggml.pre", "")).startswith(("llama3", "llama-")))


def _through_transformers(
    folder: Path,
    label: str,
    known: tuple[dict[str, object], tuple[int, ...]] = ({}, ()),
    size: int | None = None,
    **options: str,
) -> Tokenizer:
    """Read a tokenizer with transformers.

    Args:
        folder: Of its files.
        label: What messages call it.
        known: What is known of its configuration besides those files, and further ids that end a text.
        size: Tokens that it has, where that is known.
        options: Of transformers.
    """
    transformers = require("transformers", "train")
    try:
        loaded = transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True, **options)
    except Exception as error:  # noqa: BLE001 - the package tokenizers raises plain Exception
        raise ConfigError(
            f"tokenizer {label!r}: it has no {TOKENIZER_FILE}, and transformers cannot read it either ({error})"
        ) from None
    core = getattr(loaded, "backend_tokenizer", None)
    if core is None:
        raise ConfigError(f"tokenizer {label!r}: has no fast form; convert it to a {TOKENIZER_FILE}")
    if loaded.eos_token_id is None:
        raise ConfigError(f"tokenizer {label!r}: has no end-of-text token")
    pad = loaded.pad_token_id if loaded.pad_token_id is not None else loaded.eos_token_id
    text = core.to_str()
    if size is not None and core.get_vocab_size() > size:
        text = _within(text, size, {pad, loaded.eos_token_id, loaded.bos_token_id})
    return Tokenizer(
        text,
        pad=pad,
        eos=loaded.eos_token_id,
        bos=loaded.bos_token_id,
        label=f"tokenizer {label!r}",
        ends=(*_listed(_optional(folder / "generation_config.json").get("eos_token_id")), *known[1]),
        about=_about(_optional(folder / CONFIG_FILE), folder) | _without_pad(loaded.pad_token_id) | known[0],
    )


def _within(text: str, size: int, needed: set[int | None]) -> str:
    """Leave out tokens added behind a vocabulary: transformers adds ``<|endoftext|>`` where a GGUF file has none."""
    content = json.loads(text)
    content["added_tokens"] = [one for one in content["added_tokens"] if one["id"] < size or one["id"] in needed]
    return json.dumps(content, ensure_ascii=False)


def _download(ref: str, offline: bool) -> Path:
    import huggingface_hub
    from huggingface_hub.errors import HFValidationError

    repository, _, revision = ref.partition("@")
    try:
        folder = huggingface_hub.snapshot_download(
            repository, revision=revision or None, allow_patterns=_HUB_FILES, local_files_only=offline
        )
    except (HFValidationError, OSError) as error:
        reason = "offline, and not in the hub's cache" if offline else str(error).splitlines()[0]
        raise SourceError(
            f"tokenizer {ref!r}: no such local folder or file, and not found on the hub ({reason})"
        ) from None
    return Path(folder)
