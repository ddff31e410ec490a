"""Without torch, what needs it says so in one line before it does anything, and everything else works."""

import ast
import importlib
import inspect
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer

from xmtf.cli import app
from xmtf.extras import EXTRAS, extra_of

ROOT = Path(__file__).parents[3]
SMOKE = ROOT / "recipes" / "smoke" / "bloom-tiny.yaml"
LINE = "xmtf: this needs the package `torch`, which is not installed: pip install 'xmtf[train]'\n"
NEED_MODELS = [
    # Neither models nor recipes of these names exist: what is missing is said before they are looked for.
    ["plan", "no.yaml"],
    ["train", "no.yaml"],
    ["train", "no.yaml", "--dry-run"],
    ["generate", "--model", "no", "hello"],
    ["evaluate", "rank", "--model", "no", "--suite", "no", "--out", "out"],
    ["evaluate", "generation", "--model", "no", "--suite", "no", "--out", "out"],
    ["evaluate", "code", "--model", "no", "--out", "out"],
    ["evaluate", "loss", "--model", "no", "--out", "out"],
    ["evaluate", "run", "no.yaml", "--model", "no", "--out", "out"],
    ["checkpoint", "list", "no"],
    ["checkpoint", "inspect", "no"],
    ["checkpoint", "export", "no", "--out", "out"],
    ["checkpoint", "convert", "no", "--out", "out"],
    ["checkpoint", "choose", "no", "--out", "out"],
    ["launch", "local", "no.yaml"],
    ["launch", "node", "no.yaml"],
    ["doctor", "--model", "no"],
    ["run", str(SMOKE)],
    ["run", str(SMOKE), "--until", "before"],
]
NEED_OTHERS = {"template serve", "watch"}
"""Verbs that need other packages than those of models."""
ALL_LAZY = {module for modules in EXTRAS.values() for module in modules}


@pytest.fixture
def without_torch(monkeypatch, tmp_path):
    """Hide torch, and stand in an empty folder."""
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("arguments", NEED_MODELS, ids=" ".join)
def test_what_needs_torch_says_so_before_any_work(without_torch, capfd, arguments):
    assert app._run(arguments) == 2
    assert capfd.readouterr() == ("", LINE)
    assert list(without_torch.iterdir()) == []


@pytest.mark.parametrize("arguments", [["doctor"], ["recipe", "show", str(SMOKE)], ["data", "plan", str(SMOKE)]])
def test_what_needs_no_torch_works_without(without_torch, capfd, arguments):
    assert app._run(arguments) == 0
    assert capfd.readouterr().out


@pytest.mark.parametrize("verb", [["template", "serve"], ["watch"]], ids=" ".join)
def test_what_serves_a_page_names_its_extra_before_any_work(monkeypatch, capfd, verb):
    monkeypatch.setitem(sys.modules, "starlette", None)
    assert app._run([*verb, "no-such-place"]) == 2
    assert capfd.readouterr() == ("", LINE.replace("torch", "starlette").replace("train", "studio"))


def test_a_package_that_is_missed_midway_is_named_too(monkeypatch, capfd):
    def verb():
        importlib.import_module("gguf.quants")

    monkeypatch.setitem(sys.modules, "gguf", None)
    monkeypatch.delitem(sys.modules, "gguf.quants", raising=False)  # another test may have imported it
    monkeypatch.setattr(app, "build_app", lambda called: lambda *_, **__: verb())
    assert app._run(["doctor"]) == 2
    assert capfd.readouterr().err == LINE.replace("torch", "gguf")


def test_a_module_that_no_extra_brings_is_a_fault(monkeypatch, capfd):
    monkeypatch.setattr(app, "build_app", lambda called: lambda *_, **__: importlib.import_module("xmtf.nowhere"))
    assert app._run(["doctor"]) == 1
    assert "this is a bug in xmtf" in capfd.readouterr().err


def test_every_extra_of_the_package_is_known():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(project["optional-dependencies"]) - {"all", "dev", "docs"} == set(EXTRAS)
    assert extra_of("transformers.models.bloom") == "train"
    assert extra_of("xmtf.training") is None


def verbs():
    """Yield (words, function) of every verb of the command line."""
    for name, (target, _) in app.COMMANDS.items():
        command = app._import(target)
        if isinstance(command, typer.Typer):
            for verb in command.registered_commands:
                yield f"{name} {verb.name or verb.callback.__name__}", verb.callback
        else:
            yield name, command


def needs_models(function):
    return "require_extra" in function.__code__.co_names


def test_the_verbs_that_ask_for_models_are_those_tried_above():
    tried = {" ".join(word for word in arguments[:2] if word.isalpha()) for arguments in NEED_MODELS}
    asking = {words for words, function in verbs() if needs_models(function)} - NEED_OTHERS
    assert {words.split()[0] for words in asking} | {"run", "doctor"} == {words.split()[0] for words in tried}
    assert {words for words in asking if " " in words} <= tried


def test_what_other_verbs_import_needs_no_extra():
    """The modules that their own lines import load where no extra is installed."""
    wanted = set()
    for words, function in verbs():
        if needs_models(function) or words in ("run", "doctor"):
            continue
        source = inspect.getsource(inspect.unwrap(function))
        nodes = ast.walk(ast.parse(inspect.cleandoc(source) if source[0] == " " else source))
        wanted |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    program = (
        "import importlib, sys\n"
        f"sys.modules.update(dict.fromkeys({sorted({*ALL_LAZY} - {'pandas'})!r}))\n"  # pyarrow asks for pandas itself
        f"for name in {sorted(wanted)!r}: importlib.import_module(name)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_the_package_is_a_program():
    result = subprocess.run([sys.executable, "-m", "xmtf", "--version"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("xmtf ")
