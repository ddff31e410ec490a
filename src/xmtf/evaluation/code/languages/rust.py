"""Rust: rustc. The tests are functions with ``#[test]``."""

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
    version_of,
)

__all__ = ["check_tests", "find", "missing_crates"]

_OWN = {"std", "core", "alloc", "crate", "self", "super", "test", "proc_macro"}
_DEPENDENCIES = Path("target/release/deps")
_RIGHT = Program(
    "rust",
    "fn main(){}\nfn twice(x: i32) -> i32 {\n    x + x\n}\n",
    "#[cfg(test)]\nmod tests {\n    use super::*;\n\n    #[test]\n    fn test_twice() {\n"
    "        assert_eq!(twice(4), 8);\n    }\n}\n",
)


def find(modules: Path | None) -> Toolchain:
    """Return the toolchain.

    Args:
        modules: Folder whose folder ``rust`` is a cargo project, built with ``cargo build --release``: its
            dependencies are those of programs.

    Raises:
        ConfigError: rustc is not installed.
    """
    launcher = find_command("rust", "rustc")
    # rustup's rustc starts the one of a toolchain, which is a folder.
    root = version_of("rust", "rustc" if Path(launcher).name == "rustup" else launcher, "--print", "sysroot")
    rustc = f"{root}/bin/rustc" if (Path(root) / "bin" / "rustc").exists() else launcher
    linker = find_command("rust", "gcc", "clang", "cc")
    crates = _crates(modules)
    external = [f"--extern={name}={path}" for name, path in crates.items()]
    if modules is not None and crates:
        external += ["-L", f"dependency={modules / 'rust' / _DEPENDENCIES}"]

    def build(program: Program, token: str) -> Build:
        main = "" if re.search(r"\bfn\s+main\s*\(", program.source) else "fn main(){}\n"
        # Tests run one after the other, by name: this one's name is known to none of the others, and is printed last.
        last = f"#[test]\nfn zzzzzzzz_{token}() {{}}\n"
        flags = ("--test", "--edition=2021", "--sysroot", root, "-C", f"linker={linker}", "-C", "link-arg=-fuse-ld=bfd")
        return Build(
            run=("/tmp/judge", "--test-threads=1"),  # noqa: S108 - that of the sandbox
            files={"main.rs": f"{main}{program.source}\n{program.tests}\n{last}"},
            compile=((rustc, *flags, "--cap-lints=allow", *external, "-o", "judge", "main.rs"),),
        )

    return Toolchain(
        "rust",
        version_of("rust", rustc, "--version"),
        build,
        right=_RIGHT,
        fault=("x + x", "x * x"),
        shown=(root, rustc, linker, *([str(modules / "rust")] if modules is not None and crates else [])),
        # Found without /proc, from which it would learn where it lies.
        environment={"LD_LIBRARY_PATH": f"{root}/lib"},
        threads=16,
        compile_cpu_s=120.0,
    )


def missing_crates(texts: Iterable[str], modules: Path | None) -> list[str]:
    """Return the crates that texts use and that are neither Rust's own nor built."""
    used = {name for text in texts for name in re.findall(r"^\s*(?:pub\s+)?use\s+(?:::)?(\w+)", text, re.MULTILINE)}
    own = {name for text in texts for name in re.findall(r"\b(?:mod|enum|struct|trait)\s+(\w+)", text)}
    return sorted(used - own - _OWN - set(_crates(modules)))


def check_tests(tests: str, where: str) -> None:
    """Refuse tests that would pass without a test.

    Raises:
        ConfigError: There is no test function.
    """
    if "#[test]" not in tests:
        raise ConfigError(f"{where}: tests in Rust are functions with #[test]; there are none")


def _crates(modules: Path | None) -> dict[str, Path]:
    """Return the built libraries of the direct dependencies, by the name that programs use."""
    if modules is None or not (modules / "rust" / "Cargo.toml").exists():
        return {}
    folder = modules / "rust" / _DEPENDENCIES
    found = {}
    for name in _dependencies((modules / "rust" / "Cargo.toml").read_text(encoding="utf-8")):
        built = sorted(folder.glob(f"lib{name}-*.rlib"), key=lambda path: path.stat().st_mtime)
        if built:
            found[name] = built[-1]
    return found


def _dependencies(cargo: str) -> list[str]:
    import tomllib

    return [name.replace("-", "_") for name in tomllib.loads(cargo).get("dependencies", {})]
