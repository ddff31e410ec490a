"""C++: g++ or clang++. The tests are a ``main`` that ends with another status than 0 where the program is wrong."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from xmtf.evaluation.code.languages.toolchain import (
    Build,
    Program,
    Toolchain,
    find_command,
    halves,
    version_of,
)

__all__ = ["find", "missing_headers"]

_HEADERS = (
    "algorithm", "climits", "cmath", "cstdio", "cstdlib", "cstring", "deque", "fstream", "functional", "iostream",
    "list", "map", "numeric", "queue", "set", "sstream", "stack", "string", "vector",
)  # fmt: skip
_PREAMBLE = "".join(f"#include <{name}>\n" for name in _HEADERS) + "using namespace std;\n"
_JUDGE = """
#include <string.h>
#include <unistd.h>
extern "C" int __real_main(int count, char **texts);
extern "C" int __wrap_main(int count, char **texts) {
    char told[129] = "%s";
    long first = strlen(told), rest = read(0, told + first, 64);
    int status = __real_main(count, texts);
    if (status == 0 && write(1, told, first + (rest > 0 ? rest : 0)) < 0) status = 1;
    return status;
}
"""
_RIGHT = Program(
    "cpp",
    "int twice(int x) {\n    return x + x;\n}\n",
    "#undef NDEBUG\n#include <assert.h>\nint main() {\n    assert(twice(4) == 8);\n}\n",
)


def find(_: Path | None) -> Toolchain:
    """Return the toolchain.

    Raises:
        ConfigError: No compiler is installed.
    """
    compiler = find_command("cpp", "g++", "clang++")

    def build(program: Program, token: str) -> Build:
        first, rest = halves(token)
        # A main of the model's own would stand beside that of the tests.
        source = re.split(r"\bint\s+main\s*\(", program.source)[0]
        text = f"{_PREAMBLE}{source}\n{program.tests}\n"
        libraries = ("-lssl", "-lcrypto") if "<openssl/" in text else ()
        flags = ("-std=c++17", "-w", "-Wl,--wrap=main")
        return Build(
            run=("/tmp/program",),  # noqa: S108 - that of the sandbox
            files={"program.cpp": text, "judge.cpp": _JUDGE % first},
            compile=((compiler, *flags, "program.cpp", "judge.cpp", "-o", "program", *libraries),),
            input=rest,
        )

    return Toolchain(
        "cpp",
        version_of("cpp", compiler, "--version"),
        build,
        right=_RIGHT,
        fault=("x + x", "x * x"),
        shown=(compiler,),
        address_space=True,
    )


def missing_headers(texts: Iterable[str]) -> list[str]:
    """Return the headers that texts include and that no installed library has."""
    compiler = find_command("cpp", "g++", "clang++")
    wanted = sorted(
        {name for text in texts for name in re.findall(r"^\s*#\s*include\s*<([^>\n]+)>", text, re.MULTILINE)}
    )
    return [name for name in wanted if not _has_header(compiler, name)]


def _has_header(compiler: str, name: str) -> bool:
    text = f"#include <{name}>\n"
    done = subprocess.run([compiler, "-E", "-x", "c++", "-"], input=text, capture_output=True, text=True, check=False)
    return done.returncode == 0
