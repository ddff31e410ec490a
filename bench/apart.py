"""Each way that a benchmark measures has a process of its own, so that none finds what another has left in memory.

No benchmark itself: the others import it.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Mapping
from pathlib import Path


def run_apart(
    command: list[str], *, forked: bool, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a Python command to its end; return what it printed.

    Args:
        command: The interpreter; a script, ``-c`` and a program, or ``-m`` and a module; arguments.
        forked: Take a fork of this process with all that it has imported, where it does not matter that this process's
            memory and imports count too: at toy size.
        environment: Of the command, in place of this process's own.
    """
    if not forked:
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        sys.stdout.flush()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: forked while threads run
            child = os.fork()
        if child == 0:
            code = 1
            try:
                code = _become(command, os.environ if environment is None else environment, out, err)
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return subprocess.CompletedProcess(command, code, out.read_text(), err.read_text())


def _become(command: list[str], environment: Mapping[str, str], out: Path, err: Path) -> int:
    """Do in this process what the command does in a new one; return its exit code."""
    for number, path in ((1, out), (2, err)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, number)
        os.close(file)
    # closefd: what stood here before may be collected, and its descriptor must stay open
    sys.stdout, sys.stderr = (open(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))  # noqa: SIM115
    kept = dict(environment)
    os.environ.clear()
    os.environ |= kept
    tempfile.tempdir = None  # it may be another in this environment
    warnings.simplefilter("ignore")
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)  # OpenMP's threads do not outlive a fork
    _, program, *arguments = command
    try:
        if program == "-c":
            text, *arguments = arguments
            sys.argv = ["-c", *arguments]
            exec(compile(text, "<string>", "exec"), {"__name__": "__main__"})
        elif program == "-m":
            module, *arguments = arguments
            sys.argv = [module, *arguments]
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        else:
            sys.argv = [program, *arguments]
            sys.path.insert(0, str(Path(program).parent))
            runpy.run_path(program, run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:  # noqa: BLE001 - as the interpreter prints what nothing has caught
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code
