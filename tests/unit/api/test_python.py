"""What `import xmtf` gives: names, types, examples."""

import ast
import doctest
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

import xmtf
import xmtf.api.recipes
import xmtf.api.templates
from xmtf.errors import ConfigError, SourceError, UnknownNameError
from xmtf.mixture.io.opened import Mixture

ROOT = Path(__file__).parents[3]
HEAVY = {"torch", "transformers", "datasets", "pyarrow", "pydantic", "numpy", "typer", "jinja2", "pandas", "matplotlib"}


def test_the_import_loads_nothing_heavy():
    program = "import sys, json, xmtf; dir(xmtf); print(json.dumps(sorted({n.partition('.')[0] for n in sys.modules})))"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not HEAVY & set(json.loads(told.stdout))


def test_types_are_those_of_the_names():
    stub = ast.parse(Path(xmtf.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    typed = {alias.asname for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert typed == set(xmtf.__all__) - {"__version__"}
    assert all(callable(getattr(xmtf, name)) for name in typed)


def test_a_room_of_the_name_can_be_called(tmp_path):
    import xmtf.report.tables

    assert xmtf.report.tables
    with pytest.raises(SourceError, match="no results here"):
        xmtf.report(tmp_path)


@pytest.mark.filterwarnings("default")  # of pandas and numpy, not ours
def test_the_examples_of_the_page_hold(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XMTF_PROGRESS", "off")
    failed, tried = doctest.testfile(str(ROOT / "docs" / "python.md"), module_relative=False)
    assert (failed, tried > 30) == (0, True)


@pytest.mark.parametrize("module", [xmtf.api.recipes, xmtf.api.templates], ids=lambda module: module.__name__)
def test_the_examples_of_the_functions_hold(module):
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: xmtf.load_recipe("demo", "training.steps=2"), ConfigError, "mapping"),
        (lambda: xmtf.load_recipe("demo", {"training.step": 2}), ConfigError, "did you mean .steps."),
        (lambda: xmtf.load_recipe("demo", {"name": object()}), ConfigError, "not a valid value of a recipe"),
        (lambda: xmtf.run(xmtf.load_recipe("demo"), {"seed": 1}), ConfigError, "already loaded"),
        (lambda: xmtf.evaluate("package:x"), ConfigError, "either suites"),
        (lambda: xmtf.evaluate("package:x", "xnli", recipe="demo"), ConfigError, "either suites"),
        (lambda: xmtf.evaluate("package:x", recipe="demo", scoring="bytes"), ConfigError, "load_recipe"),
        (lambda: xmtf.evaluate("package:x", "xnli", scorin="bytes"), ConfigError, "scorin"),
        (lambda: xmtf.render("cldr-kind/fr"), UnknownNameError, "cldr-kinds/fr"),
        (lambda: xmtf.render("cldr-kinds/fr", template="no such"), UnknownNameError, "no such"),
        (lambda: xmtf.load_results("nowhere"), SourceError, "no results"),
        (lambda: xmtf.load_mixture("nowhere"), SourceError, "no finished mixture"),
        (lambda: Mixture(Path("nowhere")).table("textt"), UnknownNameError, "column"),
    ],
)
def test_a_mistake_is_named(call, error, said):
    with pytest.raises(error, match=said):
        call()


def test_no_name_is_unknown_to_the_package():
    with pytest.raises(AttributeError, match="no attribute 'reports'"):
        xmtf.reports  # noqa: B018


def test_results_of_no_folder_are_empty_tables():
    from xmtf.results.frames import ITEM_COLUMNS, SCORE_COLUMNS, Results

    nothing = Results(())
    assert nothing.score_table().schema == SCORE_COLUMNS
    assert nothing.item_table() == pa.table({name: [] for name in ITEM_COLUMNS.names}, schema=ITEM_COLUMNS)
