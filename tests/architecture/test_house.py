"""The house as a whole: start-up, public names, room order, tidy modules."""

import ast
import doctest
import importlib
import importlib.util
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import xmtf

ROOT = Path(xmtf.__file__).parent
MODULES = sorted(module.name for module in pkgutil.walk_packages([str(ROOT)], "xmtf."))


def test_help_loads_nothing_heavy():
    program = (
        "import sys, contextlib, io\n"
        "from xmtf.cli.app import build_app\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    build_app(None)(['--help'], standalone_mode=False)\n"
        "heavy = {'torch', 'transformers', 'datasets', 'pyarrow', 'numpy', 'matplotlib', 'scipy', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "noun", ["data", "evaluate", "report", "template", "task", "recipe", "checkpoint", "train", "launch"]
)
def test_a_nouns_help_loads_no_model_library(noun):
    program = (
        "import sys, contextlib, io\n"
        "from xmtf.cli.app import build_app\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        f"    build_app({noun!r})([{noun!r}, '--help'], standalone_mode=False)\n"
        "print(sorted({'torch', 'transformers', 'datasets', 'matplotlib', 'scipy'} & set(sys.modules)))\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_rooms_import_only_rooms_above_them():
    config = Path(__file__).parents[2] / "pyproject.toml"
    command = [str(Path(sys.executable).with_name("lint-imports")), "--config", str(config)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=config.parent)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("name", MODULES)
def test_what_a_module_exports_exists(name):
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", [])
    assert all(hasattr(module, entry) for entry in exported)
    assert len(exported) == len(set(exported))


def test_temporary_files_are_made_in_one_place():
    """What no sweep knows is never deleted after a kill; Ray names the host in a message alone, and what an archive is
    unpacked to has no name."""
    made = re.compile(r"tempfile|mkdtemp|mkstemp|TemporaryDirectory|os\.getpid\(\)\}|\.tmp\b|socket\.gethostname")
    known = {
        "guards/unfinished.py",
        "evaluation/code/jail/launcher.py",
        "execution/on_ray.py",
        "sources/files/unpack.py",
    }
    found = {path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py") if made.search(path.read_text())}
    assert found - known == set()


def test_the_examples_in_docstrings_hold():
    failed = {name: doctest.testmod(importlib.import_module(name)).failed for name in MODULES}
    assert not [name for name, count in failed.items() if count]


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_are_short_and_say_why_they_exist(path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert len((ast.get_docstring(tree) or "").split()) >= 3, "a module says why it exists"
    assert len(text.splitlines()) <= 500
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < 80, f"{node.name} is longer than 80 lines"


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_errors_are_caught_by_kind_except_at_the_edges(path):
    """A broad except stands at an edge only: the command line, a worker, a package that raises plain Exception."""
    edges = {
        "cli/app.py",  # the command line
        "evaluation/code/jail/calls.py",  # the process that runs a program that a model wrote
        "tokens/tokenizer/loading.py",  # `tokenizers` raises plain Exception
        "tokens/tokenizer/tokenizer.py",  # the same
    }
    broad = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")))
    ]
    assert not broad or str(path.relative_to(ROOT)) in edges, f"broad except in lines {broad}"


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_manifests_are_read_as_records(path):
    """What a stage wrote is read by the records of manifest_parts, which name what is missing or damaged."""
    reads = re.findall(
        r"\.details\b(?:\[|\.get)|(?:manifest|model|mixture|found)\.counts(?:\[|\.get)", path.read_text("utf-8")
    )
    assert not reads


def test_the_command_line_prints_in_one_place():
    """There control characters of data, templates and answers are shown, not sent to the terminal."""
    printing = [path.name for path in (ROOT / "cli").rglob("*.py") if "typer.echo(" in path.read_text(encoding="utf-8")]
    assert printing == ["printing.py"]


def test_the_page_says_where_things_are():
    page = Path(__file__).parents[2] / "docs" / "architecture.md"
    rows = page.read_text(encoding="utf-8").partition("## Where is")[2].splitlines()
    named = [part for row in rows if row.startswith("| ") for part in re.findall(r"`([\w/.]+)`", row.rsplit("|", 2)[1])]
    assert len(named) >= 40
    way = page.read_text(encoding="utf-8").partition("## The way of an evaluated item")[2].partition("## A run")[0]
    named += re.findall(r"`([\w/.]+\.py)`", way)
    missing = [name for name in named if name != "src/xmtf/" and not (ROOT / name).exists()]
    assert not missing


def test_what_the_house_promises_can_be_counted():
    """scripts/house.py prints the figures; these are the limits."""
    location = Path(__file__).parents[2] / "scripts" / "house.py"
    spec = importlib.util.spec_from_file_location("house", location)
    script = importlib.util.module_from_spec(spec)
    sys.modules["house"] = script  # dataclasses look their module up
    spec.loader.exec_module(script)
    house = script.count(ROOT)
    assert house.any_share < 0.045
    assert house.inner_imports_outside_cli < 90
    verbs = {place: imports for place, imports in house.inner_imports.items() if place.startswith("cli.")}
    assert {place: imports for place, imports in verbs.items() if imports > 2} == {}
    # a mark may depend on the recipe, whose schema carries the marks: one import of each pair is of a type
    assert house.mutual == [("recipe.effects", "recipe.schema"), ("recipe.schema", "recipe.tokenization")]
    assert max(house.modules.values()) <= 500
