"""What tests, benchmarks, scripts and examples import of xmtf exists, inside functions too."""

import ast
import importlib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = sorted(path for folder in ("tests", "bench", "scripts", "examples") for path in (ROOT / folder).rglob("*.py"))


def test_imports_of_xmtf_exist():
    imports = [
        (path, node)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "xmtf"
    ]
    assert len(imports) > 1000
    assert not [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.module} has no {alias.name}"
        for path, node in imports
        for alias in node.names
        if not found(node.module, alias.name)
    ]


@cache
def found(module, name):
    """Whether a module has a name or a module of that name."""
    if hasattr(importlib.import_module(module), name):
        return True
    try:
        importlib.import_module(f"{module}.{name}")
    except ModuleNotFoundError:
        return False
    return True
