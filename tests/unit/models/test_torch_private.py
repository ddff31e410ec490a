"""Private names of torch: there, in one module, and named when a release has them no more."""

import ast
import tomllib
from pathlib import Path

import pytest
import torch

import xmtf
from xmtf.errors import UserError
from xmtf.models import torch_private

ROOT = Path(xmtf.__file__).parent


def test_the_installed_torch_has_them_all():
    assert all(getattr(torch_private, name) is not None for name in torch_private.__all__)
    assert torch_private.__all__ == sorted(torch_private._WHERE)


def test_a_release_without_one_is_named_with_what_needs_it(monkeypatch):
    monkeypatch.delattr(torch, "_foreach_norm")
    with pytest.raises(UserError, match=r"torch 2\.\S+ has no torch\._foreach_norm, which gradient norms need.*<2\.15"):
        _ = torch_private.foreach_norm
    monkeypatch.setitem(torch_private._WHERE, "tree_leaves", ("torch.utils._moved", "tree_leaves", "rehearsals"))
    with pytest.raises(UserError, match=r"has no torch\.utils\._moved\.tree_leaves, which rehearsals need"):
        _ = torch_private.tree_leaves


def test_pyproject_asks_for_the_same_releases():
    project = tomllib.loads((ROOT.parents[1] / "pyproject.toml").read_text())["project"]
    assert torch_private.VERSIONS in project["optional-dependencies"]["train"]


def private_parts(tree):
    """Yield what a module takes of torch under a private name; operators of ``torch.ops`` do not count."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "torch":
            parts = [*node.module.split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Import):
            parts = [part for alias in node.names if alias.name.startswith("torch.") for part in alias.name.split(".")]
        elif isinstance(node, ast.Attribute):
            parts = ast.unparse(node).split(".")
            parts = parts if parts[0] == "torch" and parts[1] != "ops" else []
        else:
            continue
        yield from (part for part in parts if part.startswith("_") and not part.startswith("__"))


def test_no_other_module_takes_private_names_of_torch():
    found = {}
    for path in ROOT.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if "torch" in text and path.name != "torch_private.py":
            found[path.name] = list(private_parts(ast.parse(text)))
    assert {name: parts for name, parts in found.items() if parts} == {}
    example = "from torch._a import b\nimport torch._c\ntorch._d(torch.e._f, torch.ops.aten._g)"
    assert sorted(private_parts(ast.parse(example))) == ["_a", "_c", "_d", "_f"]
