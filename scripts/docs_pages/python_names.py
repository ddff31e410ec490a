"""The reference of the Python interface: the names of ``xmtf``, what they return, and what plug-ins are given."""

from __future__ import annotations

import importlib
from types import ModuleType

import xmtf
from xmtf import errors

__all__ = ["python_page"]

_CLASSES = {
    "What the functions return": (
        "xmtf.recipe.LoadedRecipe",
        "xmtf.run_folder.RunFolder",
        "xmtf.Mixture",
        "xmtf.Results",
        "xmtf.templates.preview.Preview",
    ),
    "Templates": ("xmtf.templates.Template",),
    "What plug-ins are given, and return": (
        "xmtf.sources.adapters.Adapted",
        "xmtf.translation.engines.Engine",
        "xmtf.training.loop.trackers.TrackedRun",
    ),
}


def python_page() -> str:
    """Return the page."""
    functions = [name for name in xmtf.__all__ if name != "__version__" and not isinstance(getattr(xmtf, name), type)]
    parts = [
        "# The Python interface\n\nMade from the code; [From Python](../python.md) has examples.\n\n## Functions\n"
    ]
    parts += [_auto("function", *_target(getattr(xmtf, name)), f"xmtf.{name}") for name in sorted(functions)]
    for heading, names in _CLASSES.items():
        parts.append(f"## {heading}\n")
        parts += [_auto("class", *_target(_named(name)), name) for name in names]
    parts.append(
        "## Errors\n\nEvery error that xmtf raises on purpose; [errors](../errors.md) lists codes and remedies.\n"
    )
    parts += [_auto("exception", "xmtf.errors", name, f"xmtf.errors.{name}") for name in sorted(_errors())]
    return "\n".join(parts)


def _named(name: str) -> object:
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def _target(found: object) -> tuple[str, str]:
    """Return the module and the name where a function or class is defined."""
    if isinstance(found, ModuleType):  # a room that can be called
        return "xmtf.report.write", "write_report"
    return found.__module__, found.__qualname__  # type: ignore[attr-defined]


def _errors() -> list[str]:
    return [name for name in errors.__all__ if isinstance(getattr(errors, name), type)]


def _auto(kind: str, module: str, name: str, shown: str) -> str:
    members = "   :members:\n" if kind == "class" else ""
    return f"### {shown}\n\n```{{eval-rst}}\n.. auto{kind}:: {module}.{name}\n{members}```\n"
