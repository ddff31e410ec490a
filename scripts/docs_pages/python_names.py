"""The reference of the Python interface: the names of ``xmtf``, what they return, and what plug-ins are given."""

from __future__ import annotations

from types import ModuleType

import xmtf

__all__ = ["python_page"]

_RETURNED = {
    "What the functions return": (
        "xmtf.recipe.load.LoadedRecipe",
        "xmtf.run_folder.RunFolder",
        "xmtf.mixture.io.opened.Mixture",
        "xmtf.results.frames.Results",
    ),
    "Templates": ("xmtf.templates.Template",),
    "Errors": (),
}


def python_page() -> str:
    """Return the page."""
    functions = [name for name in xmtf.__all__ if name != "__version__" and not isinstance(getattr(xmtf, name), type)]
    parts = [
        "# The Python interface\n\nMade from the code; [From Python](../python.md) has examples.\n\n## Functions\n"
    ]
    parts += [_auto("function", _target(name), f"xmtf.{name}") for name in sorted(functions)]
    return "\n".join(parts)


def _target(name: str) -> str:
    """Return where a function is defined."""
    found = getattr(xmtf, name)
    if isinstance(found, ModuleType):
        return "xmtf.report.write.write_report"
    return f"{found.__module__}.{found.__qualname__}"


def _auto(kind: str, target: str, shown: str) -> str:
    options = "   :members:\n" if kind == "class" else ""
    return f"### {shown}\n\n```{{eval-rst}}\n.. auto{kind}:: {target}\n{options}```\n"
