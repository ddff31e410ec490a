import os

import pytest

from xmtf import __version__
from xmtf.cli import app as edge
from xmtf.errors import ConfigError, DataError


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr("sys.argv", ["xmtf", *arguments])
    with pytest.raises(SystemExit) as stopped:
        edge.main()
    return stopped.value.code, capsys.readouterr()


def after(first, error):
    """Return an error that came while a library gave up what the first one had stopped."""
    error.__context__ = first
    return error


def failing(error):
    def command() -> None:
        raise error

    return command


def test_a_backend_that_a_notebook_names_is_not_asked_for(monkeypatch, capsys):
    monkeypatch.setenv("MPLBACKEND", "module://not_installed.backend_inline")
    assert run(monkeypatch, capsys, "--version")[0] == 0
    assert os.environ["MPLBACKEND"] == "agg"


def test_the_version(monkeypatch, capsys):
    code, output = run(monkeypatch, capsys, "--version")
    assert (code, output.out) == (0, f"xmtf {__version__}\n")


def test_an_unknown_command_names_the_nearest(monkeypatch, capsys):
    code, output = run(monkeypatch, capsys, "evalute")
    assert code == 2
    assert output.err == "xmtf: unknown command 'evalute'; did you mean 'evaluate'?\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("recipe show --colour", "xmtf: no such option: --colour (see `xmtf recipe show --help`)\n"),
        ("recipe shw", "xmtf: no such command 'shw'. Did you mean 'show'? (see `xmtf recipe --help`)\n"),
        ("data pack", "xmtf: missing argument 'source' (see `xmtf data pack --help`)\n"),
        ("plan r.yaml --gpus", "xmtf: option '--gpus' requires an argument\n"),
    ],
)
def test_a_wrong_option_is_said_in_one_line(monkeypatch, capsys, arguments, text):
    assert run(monkeypatch, capsys, *arguments.split()) == (2, ("", text))


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (ConfigError("demo.yaml: wrong"), 2, "xmtf: demo.yaml: wrong\n"),
        (DataError("part-0: torn"), 1, "xmtf: part-0: torn\n"),
        (OSError(28, "No space left on device"), 2, "xmtf: the disk is full; free some space and run"),
        (PermissionError(13, "Permission denied", "out"), 2, "xmtf: out: may not be read or written"),
        (FileExistsError(17, "File exists", "README.md"), 2, "xmtf: README.md: already exists and is not a folder"),
        (IsADirectoryError(21, "Is a directory", ".docs.tmp", None, "docs"), 2, "xmtf: docs: is a folder where a file"),
        (
            FileNotFoundError(2, "Failed to open local file 'a/b'"),
            2,
            "xmtf: Failed to open local file 'a/b': does not ",
        ),
        (OSError("1000 requested and 12 written"), 2, "xmtf: the disk is full"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), 2, "xmtf: the disk is full"),
        (after(OSError(28, "No space left on device"), AttributeError("no pos")), 2, "xmtf: the disk is full"),
        (OSError(27, "File too large"), 2, "xmtf: a file would grow larger than is allowed"),
        (OSError(24, "Too many open files", "a"), 2, "xmtf: too many files are open at once"),
        (MemoryError(), 2, "xmtf: there is not enough memory"),
        (RuntimeError("can't start new thread"), 2, "xmtf: there is not enough memory"),
        (KeyboardInterrupt(), 130, "xmtf: interrupted; finished work is kept: run the same command again"),
    ],
)
def test_errors_become_one_line_and_a_code(monkeypatch, capsys, error, code, text):
    monkeypatch.setattr(edge, "_import", lambda target: failing(error))
    seen, output = run(monkeypatch, capsys, "doctor")
    assert seen == code
    assert output.err.startswith(text)
    assert "Traceback" not in output.err


@pytest.mark.parametrize("error", [ZeroDivisionError("oops"), OSError("oops")])
def test_a_fault_of_ours_shows_its_traceback(monkeypatch, capsys, error):
    monkeypatch.setattr(edge, "_import", lambda target: failing(error))
    code, output = run(monkeypatch, capsys, "doctor")
    assert code == 1
    assert f"{type(error).__name__}: oops" in output.err
    assert "this is a bug in xmtf" in output.err


def test_recipe_show_says_where_values_come_from(monkeypatch, capsys, tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(
        "name: tiny\nmixture: {tasks: [{catalogue: demo}]}\ntraining: {steps: 5}\n"
        "model: {architecture: bloom, hidden_size: 64, num_layers: 2, num_heads: 4}\n"
    )
    code, output = run(monkeypatch, capsys, "recipe", "show", str(path), "seed=7", "--changed")
    assert code == 0
    lines = dict(line.split(None, 1) for line in output.out.splitlines())
    assert lines["seed"] == "7  (override)"
    assert lines["training.steps"] == "5  (file)"
    assert "offline" not in lines


def test_recipe_diff_and_schema(monkeypatch, capsys, tmp_path):
    for seed in (1, 2):
        (tmp_path / f"{seed}.yaml").write_text(
            f"name: tiny\nseed: {seed}\nmixture: {{tasks: [{{catalogue: demo}}]}}\ntraining: {{steps: 5}}\n"
            "model: {base: some/model}\n"
        )
    _, output = run(monkeypatch, capsys, "recipe", "diff", str(tmp_path / "1.yaml"), str(tmp_path / "2.yaml"))
    assert output.out == "seed: 1 -> 2\n"
    _, output = run(monkeypatch, capsys, "recipe", "schema")
    assert '"Optimizer steps: `500` or `500 steps`."' in output.out
