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
PATHS = sorted(ROOT.rglob("*.py"))


@pytest.fixture(scope="module")
def modules():
    """Return the modules of the package, all imported."""
    return [importlib.import_module(found.name) for found in pkgutil.walk_packages([str(ROOT)], "xmtf.")]


@pytest.fixture(scope="module")
def texts():
    """Return path within the package -> text of each module."""
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in PATHS}


@pytest.fixture(scope="module")
def trees(texts):
    return {path: ast.parse(text) for path, text in texts.items()}


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


def test_what_a_module_exports_exists(modules):
    assert len(modules) >= 600
    exported = {module.__name__: getattr(module, "__all__", []) for module in modules}
    absent = {module.__name__: [n for n in exported[module.__name__] if not hasattr(module, n)] for module in modules}
    assert {name: names for name, names in absent.items() if names} == {}
    assert [name for name, names in exported.items() if len(names) != len(set(names))] == []


def test_temporary_files_are_made_in_one_place(texts):
    """What no sweep knows is never deleted after a kill; Ray names the host in a message alone, and what an archive is
    unpacked to has no name."""
    made = re.compile(r"tempfile|mkdtemp|mkstemp|TemporaryDirectory|os\.getpid\(\)\}|\.tmp\b|socket\.gethostname")
    known = {
        "guards/unfinished.py",
        "evaluation/code/jail/launcher.py",
        "execution/on_ray.py",
        "sources/files/unpack.py",
    }
    found = {path for path, text in texts.items() if made.search(text)}
    assert found - known == set()


def test_the_examples_in_docstrings_hold(modules, texts):
    paths = {module: Path(module.__file__).relative_to(ROOT).as_posix() for module in modules}
    results = {path: doctest.testmod(module) for module, path in paths.items() if ">>>" in texts[path]}
    assert sum(result.attempted for result in results.values()) >= 100
    assert not [path for path, result in results.items() if result.failed]


def test_modules_are_short_and_say_why_they_exist(texts, trees):
    wordless = [path for path, tree in trees.items() if len((ast.get_docstring(tree) or "").split()) < 3]
    assert wordless == [], "a module says why it exists"
    assert [path for path, text in texts.items() if len(text.splitlines()) > 500] == []
    functions = (
        (path, node)
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    assert [f"{path}: {node.name}" for path, node in functions if node.end_lineno - node.lineno >= 80] == []


def test_errors_are_caught_by_kind_except_at_the_edges(trees):
    """A broad except stands at an edge only: the command line, a worker, a package that raises plain Exception."""
    edges = {
        "cli/app.py",  # the command line
        "plugins.py",  # packages that somebody else wrote
        "evaluation/code/jail/calls.py",  # the process that runs a program that a model wrote
        "tokens/tokenizer/loading.py",  # `tokenizers` raises plain Exception
        "tokens/tokenizer/tokenizer.py",  # the same
    }
    broad = [
        f"{path}:{node.lineno}"
        for path, tree in trees.items()
        if path not in edges
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")))
    ]
    assert broad == []


def test_manifests_are_read_as_records(texts):
    """What a stage wrote is read by the records of manifest_parts, which name what is missing or damaged."""
    reads = re.compile(r"\.details\b(?:\[|\.get)|(?:manifest|model|mixture|found)\.counts(?:\[|\.get)")
    assert [path for path, text in texts.items() if reads.search(text)] == []


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
    assert house.mutual == [("recipe.effects", "recipe.schema"), ("recipe.schema", "recipe.sections.tokenization")]
    assert max(house.modules.values()) <= 500
