"""What tests, benchmarks, scripts and examples import of xmtf exists, inside functions too."""

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(path for folder in ("tests", "bench", "scripts", "examples") for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_of_xmtf_exist(path):
    imports = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "xmtf"
    ]
    assert not [
        f"line {node.lineno}: {node.module} has no {alias.name}"
        for node in imports
        for alias in node.names
        if not found(node.module, alias.name)
    ]


def found(module, name):
    """Whether a module has a name or a module of that name."""
    if hasattr(importlib.import_module(module), name):
        return True
    try:
        importlib.import_module(f"{module}.{name}")
    except ModuleNotFoundError:
        return False
    return True
