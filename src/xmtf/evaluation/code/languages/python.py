"""Python: the interpreter that runs xmtf, without its packages."""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path

from xmtf.evaluation.code import jail
from xmtf.evaluation.code.languages.toolchain import Build, Program, Toolchain

__all__ = ["find"]

_RIGHT = Program("python", "def double(x):\n    return x + x\n", "assert double(4) == 8", ("double",))
_CALLS = Path(jail.__file__).with_name("calls.py")


def find(_: Path | None) -> Toolchain:
    """Return the toolchain."""
    python = getattr(sys, "_base_executable", sys.executable)
    text = _CALLS.read_text(encoding="utf-8")
    command = (python, "-I", "-S", "-c", text)

    def build(program: Program, token: str) -> Build:
        told = {"program": program.source, "setup": program.setup, "tests": program.tests, "names": program.names}
        given = json.dumps({**told, "token": token})
        if program.names:
            return Build(run=(*command, "serve"), tester=(*command, "test"), input=given)
        return Build(run=(*command, "together"), input=given)

    return Toolchain(
        "python",
        platform.python_version(),
        build,
        right=_RIGHT,
        fault=("x + x", "x * x"),
        shown=(sys.base_prefix,),
        address_space=True,
    )
