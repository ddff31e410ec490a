"""JavaScript: node runs the program, and its tests in a separate process."""

from __future__ import annotations

import json
from pathlib import Path

from xmtf.evaluation.code import jail
from xmtf.evaluation.code.languages.toolchain import (
    Build,
    Program,
    Toolchain,
    find_command,
    version_of,
)

__all__ = ["find"]

_CALLS = Path(jail.__file__).with_name("calls.js")
_RIGHT = Program(
    "javascript",
    "const double = (x) => {\n  return x + x\n}\n",
    "console.assert(double(4) === 8)",
    ("double",),
    'const double = (x) => { return __call("double", [x]) }',
)


def find(_: Path | None) -> Toolchain:
    """Return the toolchain.

    Raises:
        ConfigError: node is not installed.
    """
    node = find_command("javascript", "node", "nodejs")
    text = _CALLS.read_text(encoding="utf-8")

    def build(program: Program, token: str) -> Build:
        if program.names:
            body = f"{program.setup}\n{program.tests}"
            tester = f"{text}\n__test({json.dumps(program.source)}, {json.dumps(body)}, {json.dumps(token)});\n"
            return Build(run=(node, "-e", f"{text}\n__serve();"), tester=(node, "-"), input=tester)
        body = f"{program.source}\n{program.tests}"
        together = f"{text}\n__together({json.dumps(body)}, {json.dumps(token)});\n"
        return Build(run=(node, "-"), input=together)

    return Toolchain(
        "javascript",
        version_of("javascript", node, "--version"),
        build,
        right=_RIGHT,
        fault=("x + x", "x * x"),
        shown=(node,),
        memory=512 << 20,
        threads=32,
    )
