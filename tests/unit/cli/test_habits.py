"""What scripts rely on: codes of errors, levels of the log, options in the environment, reports without secrets."""

import json
import logging
from pathlib import Path

import pytest

from xmtf import progress
from xmtf.cli.app import _run as xmtf
from xmtf.cli.terminal.error_codes import error_page, error_rows
from xmtf.errors import XmtfError
from xmtf.recipe import load_recipe

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture(autouse=True)
def level():
    yield
    progress.LOG.setLevel(logging.INFO)


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    monkeypatch.setenv("XMTF_LOG_LEVEL", "info")  # so that what a command sets is taken back
    monkeypatch.delenv("XMTF_LOG_LEVEL")


def below(kind):
    for each in kind.__subclasses__():
        yield each
        yield from below(each)


def test_every_error_has_a_code_of_its_own_and_a_line_on_the_page():
    rows = {code: remedy for code, _, _, remedy in error_rows()}
    kinds = [kind for kind in below(XmtfError) if kind.__module__.startswith("xmtf.")]
    own = [kind.code for kind in kinds if "code" in vars(kind)]  # a special case may have the code of its kind
    assert sorted(own) == sorted(set(own))
    assert {kind.code for kind in kinds} <= rows.keys()
    assert all(len(remedy) > 20 for remedy in rows.values())
    assert (DOCS / "errors.md").read_text(encoding="utf-8") == error_page()


@pytest.mark.parametrize(
    ("arguments", "code", "exit_code"),
    [
        (["recipe", "show", "demmo", "--json"], "config", 2),
        (["task", "show", "xnlli/fr", "--json"], "unknown-name", 2),
        (["recipe", "show", "demo", "--jsn", "--json"], "usage", 2),
        (["evaluate", "compare", "none", "none", "--json"], "source", 2),
    ],
)
def test_an_error_is_an_object_under_json(capsys, arguments, code, exit_code):
    assert xmtf(arguments) == exit_code
    told = capsys.readouterr()
    assert told.out == ""
    error = json.loads(told.err.splitlines()[-1])["error"]
    assert (error["code"], error["exit_code"]) == (code, exit_code)
    assert error["message"]
    assert error["remedy"]


def test_levels_say_how_much_is_printed_wherever_they_stand(capsys, monkeypatch):
    assert xmtf(["recipe", "show", "demo", "--changed"]) == 0
    assert "using the one packaged with xmtf" in capsys.readouterr().err
    for arguments in (["--quiet", "recipe", "show", "demo"], ["recipe", "show", "demo", "--quiet"]):
        assert xmtf(arguments) == 0
        assert capsys.readouterr().err == ""
    assert xmtf(["recipe", "show", "demo", "--log-level", "warning"]) == 0
    assert capsys.readouterr().err == ""
    assert xmtf(["recipe", "show", "demmo", "--verbose"]) == 2
    told = capsys.readouterr().err
    assert "DEBUG the origin of the error" in told
    assert "load_yaml" in told
    assert xmtf(["recipe", "show", "demo", "--log-level", "loud"]) == 2
    assert "--log-level loud: is not one of debug, info, warning, error" in capsys.readouterr().err


def test_lines_are_records_of_the_standard_library(capsys):
    seen = []
    handler = logging.Handler()
    handler.emit = lambda record: seen.append((record.levelname, record.getMessage()))
    progress.LOG.addHandler(handler)
    try:
        progress.say("one")
        progress.warn("two")
    finally:
        progress.LOG.removeHandler(handler)
    assert seen == [("INFO", "one"), ("WARNING", "two")]
    assert capsys.readouterr().err == "one\ntwo\n"


def test_options_and_keys_may_stand_in_the_environment(capsys, monkeypatch):
    monkeypatch.setenv("XMTF_RECIPE_SHOW_CHANGED", "1")
    monkeypatch.setenv("XMTF_OVERRIDES", "training.steps=7 'description=a b' seed=3")
    assert xmtf(["recipe", "show", "demo", "seed=4"]) == 0
    told = capsys.readouterr()
    assert "--changed 1: from the environment" in told.err
    assert told.err.count("XMTF_OVERRIDES: training.steps=7") == 1
    assert "training.steps" in told.out
    assert "offline" not in told.out
    origins = load_recipe(Path("demo")).origins
    loaded = load_recipe(Path("demo"), ["seed=4"])
    assert (origins["training.steps"], origins["seed"], loaded.origins["seed"]) == (
        "environment",
        "environment",
        "override",
    )
    assert (loaded.recipe.training.steps, loaded.recipe.seed, loaded.recipe.description) == (7, 4, "a b")
    as_it_ran = load_recipe(Path("demo"), kept=True)  # a run's own recipe, read back when it is reported and exported
    assert (as_it_ran.recipe.training.steps, as_it_ran.origins["training.steps"]) == (1600, "file")
    monkeypatch.setenv("XMTF_OVERRIDES", "training.steps")
    assert xmtf(["recipe", "show", "demo"]) == 2
    assert "an override is key=value" in capsys.readouterr().err


def test_a_report_of_the_machine_has_no_secret(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("XMTF_ANYTHING", "a password")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XMTF_DATA_ROOT", str(tmp_path / "mirror"))
    assert xmtf(["doctor", "--report"]) == 0
    told = capsys.readouterr().out
    assert not {"hf_secret", "a password", str(tmp_path)} & set(told.split())
    assert "hf_secret" not in told
    assert str(tmp_path) not in told
    for part in ("HF_TOKEN", "versions", "platform", "commit", "~/mirror"):
        assert part in told
