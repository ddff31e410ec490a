"""Go. The tests are functions ``Test...`` of the package ``testing``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from xmtf.errors import ConfigError
from xmtf.evaluation.code.languages.toolchain import (
    Build,
    Program,
    Toolchain,
    find_command,
    halves,
    version_of,
)

__all__ = ["find", "missing_modules", "with_imports"]

_HELPFUL = (
    "bytes", "crypto/md5", "errors", "fmt", "math", "math/rand", "regexp", "sort", "strconv", "strings", "testing",
    "time", "unicode",
)  # fmt: skip
"""Packages of Go that a completion may use without an import: the problem's own imports are before it."""
_IMPORT = re.compile(r'^import\s*(?:\((?P<many>[^)]*)\)|(?P<one>(?:[\w.]+\s+)?"[^"\n]+"))[ \t]*\n?', re.MULTILINE)
_ONE = re.compile(r'(?:(?P<name>[\w.]+)\s+)?"(?P<path>[^"\n]+)"')
_NO_CODE = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|`[^`]*`', re.DOTALL)
_JUDGE = """package main

import (
	"io"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	rest, _ := io.ReadAll(os.Stdin)
	status := m.Run()
	if status == 0 {
		os.Stdout.WriteString("%s" + string(rest))
	}
	os.Exit(status)
}
"""
_RIGHT = Program(
    "go",
    "func Twice(x int) int {\n\treturn x + x\n}\n",
    'func TestTwice(t *testing.T) {\n\tif Twice(4) != 8 {\n\t\tt.Error("wrong")\n\t}\n}\n',
    setup='package main\n\nimport (\n\t"testing"\n)\n',
)


def find(modules: Path | None) -> Toolchain:
    """Return the toolchain.

    Args:
        modules: Folder whose folder ``go`` has ``go.mod`` and ``vendor``, as ``go mod vendor`` writes them.

    Raises:
        ConfigError: Go is not installed.
    """
    go = find_command("go", "go")
    vendored = modules / "go" if modules is not None and (modules / "go" / "vendor").is_dir() else None
    module = (vendored / "go.mod").read_text(encoding="utf-8") if vendored else "module problem\n\ngo 1.18\n"
    sums = vendored / "go.sum" if vendored else None
    # Go ignores a go.mod that lies in the folder of temporary files itself.
    files = {
        ".temporary/none": "",
        "go.mod": module,
        **({"go.sum": sums.read_text(encoding="utf-8")} if sums and sums.exists() else {}),
    }
    link = ((find_command("go", "ln"), "-s", str(vendored / "vendor"), "vendor"),) if vendored else ()

    def build(program: Program, token: str) -> Build:
        first, rest = halves(token)
        return Build(
            run=("/tmp/judge",),  # noqa: S108 - that of the sandbox
            files={**files, "main_test.go": with_imports(program), "judge_test.go": _JUDGE % first},
            compile=(*link, (go, "test", "-c", "-vet=off", "-o", "judge", ".")),
            input=rest,
        )

    cached = {"GOCACHE": "/tmp/.cache", "GOPATH": "/tmp/.path", "TMPDIR": "/tmp/.temporary"}  # noqa: S108 - of the sandbox
    return Toolchain(
        "go",
        version_of("go", go, "version"),
        build,
        right=_RIGHT,
        fault=("x + x", "x * x"),
        shown=(str(Path(go).parent.parent), *([str(vendored)] if vendored else [])),
        environment={
            **cached,
            "GOROOT": str(Path(go).parent.parent),
            "GOFLAGS": "-mod=vendor" if vendored else "-mod=mod",
            "GOPROXY": "off",
            "GOTOOLCHAIN": "local",
            "CGO_ENABLED": "0",
        },
        threads=64,
        memory=256 << 20,
        compile_cpu_s=180.0,
    )


def with_imports(program: Program) -> str:
    """Return one file of a package: its imports are those of the parts that are used, and Go's own that lack an import.

    Go refuses imports that are not used and those that are behind a declaration.
    """
    body = "\n".join((program.source, program.tests))
    imports = dict(_imports("\n".join((program.setup, body))))
    for path in _HELPFUL:
        imports.setdefault(path.rpartition("/")[2], (path, ""))
    body = re.sub(r"^package\s+\w+[ \t]*\n", "", _IMPORT.sub("", body), flags=re.MULTILINE)
    code = _NO_CODE.sub(" ", body)
    used = [
        f'\t{name + " " if name else ""}"{path}"'
        for known, (path, name) in imports.items()
        if known in ("_", ".") or re.search(rf"\b{re.escape(known)}\.", code)
    ]
    lines = "\n".join(used)
    return f"package main\n\nimport (\n{lines}\n)\n\n{body}\n"


def missing_modules(texts: Iterable[str], modules: Path | None) -> list[str]:
    """Return the modules that texts import and that are neither Go's own nor vendored."""
    paths = {path for text in texts for _, (path, _) in _imports(text) if "." in path.partition("/")[0]}
    vendor = modules / "go" / "vendor" if modules is not None else None
    return sorted(path for path in paths if vendor is None or not (vendor / path).is_dir())


def check_tests(tests: str, where: str) -> None:
    """Refuse tests that would pass without a test.

    Raises:
        ConfigError: There is no test function.
    """
    if not re.search(r"^func\s+Test\w*\s*\(", tests, re.MULTILINE):
        raise ConfigError(f"{where}: tests in Go are functions Test...(t *testing.T); there are none")


def _imports(text: str) -> Iterable[tuple[str, tuple[str, str]]]:
    """Yield the name of each import as code uses it, with its path and the name that it is given, or ``""``."""
    for block in _IMPORT.finditer(text):
        for each in _ONE.finditer(block["many"] or block["one"] or ""):
            name, path = each["name"] or "", each["path"]
            yield name or re.sub(r"^go-|\.v\d+$", "", re.sub(r"/v\d+$", "", path).rpartition("/")[2]), (path, name)
