"""Completion in bash, zsh and fish: what a shell asks by two variables, and the shells that are installed."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from xmtf.cli.app import _run as xmtf
from xmtf.cli.completion import LINE, SHELL
from xmtf.cli.completion.candidates import candidates, split_line
from xmtf.cli.completion.index import build_index, load_index


@pytest.fixture(scope="module")
def index():
    return build_index()


def at(index, line):
    return candidates(index, split_line(line)[1:])


@pytest.mark.parametrize(
    ("line", "expected", "files"),
    [
        ("xmtf ver", ["verify"], False),
        ("xmtf --quiet data ru", ["run-task"], False),
        ("xmtf recipe ", ["show", "diff", "list", "copy", "schema"], False),
        ("xmtf run dem", ["demo", "demo-mt5", "demo-smollm2"], True),
        ("xmtf run smoke/b", ["smoke/bloom-tiny"], True),
        ("xmtf recipe copy own", ["own-data"], True),
        ("xmtf run demo tra", ["training."], False),
        ("xmtf run demo seed=1 training.opt", ["training.optimizer."], False),
        ("xmtf run demo training.optimizer.learn", ["training.optimizer.learning_rate="], False),
        ("xmtf run demo execution.engine=", [f"execution.engine={name}" for name in ("inline", "pool", "ray")], False),
        ("xmtf run demo --until tok", ["tokens"], False),
        ("xmtf run demo --until=tok", ["--until=tokens"], False),
        ("xmtf run demo --until tokens --rep", ["--replace"], False),
        ("xmtf run demo --replace --rep", [], False),
        ("xmtf run demo --log-level w", ["warning"], False),
        ("xmtf run --until tokens sm", ["smoke/bloom-tiny", "smoke/mixture"], True),
        ("xmtf evaluate rank --dt", ["--dtype"], False),
        ("xmtf evaluate rank --dtype b", ["bf16"], False),
        ("xmtf evaluate rank --model ru", [], True),
        ("xmtf evaluate code --recipe dem", ["demo", "demo-mt5", "demo-smollm2"], True),
        ("xmtf verify ", [], True),
        ("xmtf completion ", ["bash", "zsh", "fish"], False),
        ("xmtf nothing ", [], False),
        ("xmtf run 'dem", ["demo", "demo-mt5", "demo-smollm2"], True),
    ],
)
def test_what_may_stand_at_the_cursor(index, line, expected, files):
    found, may_be_file = at(index, line)
    assert (found, may_be_file) == (expected, files)


def ask(shell, line, folder, **more):
    """Ask as a shell does: a process, two variables, no argument."""
    environment = os.environ | {SHELL: shell, LINE: line, "XMTF_CACHE": str(folder), **more}
    return subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "xmtf.cli"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )


def test_a_shell_is_answered_from_the_index_without_importing_the_verbs(index, tmp_path, monkeypatch):
    monkeypatch.setenv("XMTF_CACHE", str(tmp_path))
    assert json.loads(json.dumps(load_index())) == index
    told = ask("bash", "xmtf run demo training.optimizer.learn", tmp_path)
    assert told.stdout.splitlines() == ["-", "training.optimizer.learning_rate="]
    heavy = {"pydantic", "pyarrow", "numpy", "jinja2", "babel", "torch", "typer.rich_utils", "yaml"}
    assert not heavy & {line.rpartition("|")[2].strip() for line in told.stderr.splitlines()}
    told = ask("bash", "xmtf run demo execution.engine=r", tmp_path, _XMTF_BREAKS="\"'><=;|&(:")
    assert told.stdout.splitlines() == ["-", "ray"]  # for bash a word begins behind `=`
    for broken in (tmp_path / "completion").iterdir():
        broken.write_text("{")
    assert load_index() == index


def test_the_scripts_are_printed_and_a_wrong_shell_is_refused(capsys):
    for shell in ("bash", "zsh", "fish"):
        assert xmtf(["completion", shell]) == 0
        assert f"{SHELL}" in capsys.readouterr().out
    assert xmtf(["completion", "tcsh"]) == 2
    assert "tcsh" in capsys.readouterr().err


IN_BASH = """
{script}
COMP_LINE={line!r}; COMP_POINT=${{#COMP_LINE}}
COMP_WORDS=({words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_xmtf xmtf; printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_the_shells_themselves_complete(shell, index, tmp_path, capsys, monkeypatch):
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    monkeypatch.setenv("XMTF_CACHE", str(tmp_path / "cache"))
    load_index()
    (tmp_path / "xmtf").write_text(f'#!/bin/sh\nexec {sys.executable} -m xmtf.cli "$@"\n')
    (tmp_path / "xmtf").chmod(0o755)
    (tmp_path / "demo files.yaml").touch()
    xmtf(["completion", shell])
    script = capsys.readouterr().out

    def complete(line):
        if shell == "bash":
            text = IN_BASH.format(
                script=script, line=line, words=line.replace("=", " = ") + ('""' if line[-1] in " =" else "")
            )
        elif shell == "fish":
            text = f"{script}\ncomplete -C {line!r}"
        else:
            text = IN_ZSH.format(script=script, line=line)
        environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path), "TERM": "dumb"}
        told = subprocess.run(
            [program, "-c", text], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300
        )
        return {each.partition("\t")[0] for each in told.stdout.splitlines()}

    assert {"demo", "demo-mt5", "demo files.yaml"} <= {each.replace("\\", "") for each in complete("xmtf run dem")}
    assert "training.optimizer.learning_rate=" in complete("xmtf run demo training.optimizer.learn")
    assert {each.rpartition("=")[2] for each in complete("xmtf run demo execution.engine=")} >= {
        "inline",
        "pool",
        "ray",
    }


IN_ZSH = """
function compadd {{ local -a given; given=("$@"); local at=${{given[(i)--]}}; print -l -- "${{(@)given[at+1,-1]}}"; }}
function compdef {{ :; }}
function compset {{ :; }}
function _files {{ print -l -- *${{PREFIX##*=}}*; }}
{script}
words=(${{(z)${{:-{line}}}}}); CURRENT=$#words; PREFIX=$words[CURRENT]
_xmtf
"""
