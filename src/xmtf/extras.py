"""The extras of the package: which modules each brings, and one line before any work where they are missing."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable

from xmtf.errors import MissingExtraError

__all__ = ["EXTRAS", "MODELS", "extra_of", "missing_modules", "require_extra"]

EXTRAS: dict[str, tuple[str, ...]] = {
    "train": ("torch", "transformers", "safetensors", "gguf", "psutil", "sentencepiece"),
    "hub": ("datasets",),
    "ray": ("ray",),
    "gpu": ("bitsandbytes",),
    "track": ("tensorboard", "wandb", "trackio"),
    "harness": ("lm_eval",),
    "langid": ("py3langid",),
    "frames": ("pandas",),
    "dedup": ("rensa",),
    "t5x": ("msgpack",),
    "openai": ("openai",),
    "vllm": ("vllm",),
    "deepl": ("deepl",),
    "google": ("google.cloud.translate_v2",),
    "ctranslate2": ("ctranslate2",),
    "xliff": ("translate",),
    "studio": ("starlette", "uvicorn"),
    "remote": ("s3fs", "gcsfs"),
}
"""Name of an extra -> the modules that it brings."""

MODELS = ("torch", "transformers", "safetensors")
"""What everything that touches a model needs of the extra ``train``."""


def extra_of(module: str) -> str | None:
    """Return the extra that brings a module, or None where none does.

    >>> extra_of("torch.nn")
    'train'
    """
    names = {module, module.partition(".")[0]}
    return next((extra for extra, modules in EXTRAS.items() if names & set(modules)), None)


def missing_modules(modules: Iterable[str]) -> list[str]:
    """Return those of ``modules`` that are not installed; nothing is imported."""
    return [module for module in modules if not _is_there(module)]


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package that the module would be in
        return False


def require_extra(modules: Iterable[str] = MODELS) -> None:
    """Refuse to start what would end where a module is imported.

    Args:
        modules: What is needed, by default of everything that touches a model.

    Raises:
        MissingExtraError: One of them is not installed; names the extra that brings it.
    """
    for module in missing_modules(modules):
        raise MissingExtraError(module, extra_of(module) or "all")
