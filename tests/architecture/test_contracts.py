"""Contracts that many rooms share are written in one place each."""

import ast
from pathlib import Path

import pytest

import xmtf
from xmtf.records import PROVENANCE_COLUMNS
from xmtf.run_folder import RunFolder, stop_file, tokenizer_of

ROOT = Path(xmtf.__file__).parent
RUN = RunFolder(Path("run"))
PATHS = [getattr(RUN, name) for name, member in vars(RunFolder).items() if isinstance(member, property)]
NAMES = {path.name for path in (*PATHS, stop_file(RUN.checkpoints), tokenizer_of(RUN.tokens)) if isinstance(path, Path)}
"""Names of what lies in the folder of a run."""
DISTINCT = {"recipe.yaml", "log.jsonl", "tokens/tokenizer", "model/README.md"}
"""Names that mean nothing else, wherever they stand."""


@pytest.fixture(scope="module")
def trees():
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(ROOT.rglob("*.py"))}


def joined(node):
    """Return the texts that a node joins to a path: ``folder / "model"``, ``folder.joinpath("model")``."""
    parts = []
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        parts = [node.right]
    elif isinstance(node, ast.Call):
        called = getattr(node.func, "attr", getattr(node.func, "id", ""))
        parts = node.args if called in ("Path", "joinpath") else []
    return [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]


def test_the_names_are_known():
    assert {"checkpoints", "tokens", "tokenizer", "model", "results", "mixture", "stop", "log.jsonl"} <= NAMES


def foreign_names(tree):
    """Return the places where a module spells a path of a run itself."""
    found = [(node.lineno, text) for node in ast.walk(tree) for text in joined(node) if set(text.split("/")) & NAMES]
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return found + [(node.lineno, node.value) for node in constants if node.value in DISTINCT]


@pytest.mark.parametrize(
    "line",
    ['x = f / "model"', 'x = f / "tokens" / "tokenizer"', 'x = f / "results/after"', 'x = f.joinpath("report")',
     'x = f / "checkpoints"', 'x = Path("run") / "log.jsonl"'],
)  # fmt: skip
def test_a_spelled_path_is_seen(line):
    assert foreign_names(ast.parse(line))


def test_paths_of_a_run_have_their_names_in_one_place(trees):
    found = {path.relative_to(ROOT).as_posix(): foreign_names(tree) for path, tree in trees.items()}
    begun = found.pop("recipe/starting.py")  # a recipe of a new user's own, which lies in no run's folder
    assert {name for _, name in begun} == {"recipe.yaml"}
    assert [path for path, names in found.items() if names] == ["run_folder.py"]


def lists_provenance(tree):
    """Return the lines that list the columns of a provenance again, in a class or a tuple."""
    lines = []
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.ClassDef):
            names = [part.target.id for part in node.body if isinstance(part, ast.AnnAssign)]
        elif isinstance(node, ast.Tuple | ast.List | ast.Set):
            names = [part.value for part in node.elts if isinstance(part, ast.Constant)]
        lines += [node.lineno] if len(set(names) & set(PROVENANCE_COLUMNS)) > 7 else []
    return lines


def test_the_columns_of_a_provenance_are_listed_in_one_place(trees):
    found = {path: lists_provenance(tree) for path, tree in trees.items()}
    assert [path.name for path, lines in found.items() if lines] == ["records.py"]
