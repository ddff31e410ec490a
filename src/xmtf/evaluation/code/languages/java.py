"""Java: a JDK. The tests are a class ``Main`` that throws where the program is wrong."""

from __future__ import annotations

from pathlib import Path

from xmtf.evaluation.code.languages.toolchain import (
    Build,
    Program,
    Toolchain,
    find_command,
    halves,
    version_of,
)

__all__ = ["find"]

_FLAGS = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xshare:auto")
_JUDGE = """
public class Judge {
    public static void main(String[] arguments) throws Throwable {
        byte[] rest = System.in.readAllBytes();
        java.io.FileOutputStream out = new java.io.FileOutputStream(java.io.FileDescriptor.out);
        Main.main(arguments);
        out.write("%s".getBytes());
        out.write(rest);
        out.flush();
        Runtime.getRuntime().halt(0);
    }
}
"""
_RIGHT = Program(
    "java",
    "class Solution {\n    public int twice(int x) {\n        return x + x;\n    }\n}\n",
    "public class Main {\n    public static void main(String[] args) {\n"
    "        if (new Solution().twice(4) != 8) throw new AssertionError();\n    }\n}\n",
)


def find(_: Path | None) -> Toolchain:
    """Return the toolchain.

    Raises:
        ConfigError: No JDK is installed.
    """
    javac = find_command("java", "javac")
    home = Path(javac).parent.parent
    java = str(home / "bin" / "java")

    def build(program: Program, token: str) -> Build:
        first, rest = halves(token)
        compiler = (javac, "-J-Xmx512m", *(f"-J{flag}" for flag in _FLAGS), "-nowarn", "-d", ".")
        return Build(
            run=(java, "-Xmx512m", "-Xss64m", *_FLAGS, "-cp", ".", "Judge"),
            files={"Main.java": f"{closed(program.source)}\n{program.tests}\n", "Judge.java": _JUDGE % first},
            compile=((*compiler, "Main.java", "Judge.java"),),
            input=rest,
        )

    # Debian's JDKs keep their configuration in /etc, which links of the JDK point to.
    links = {
        str(path.resolve()) for path in (home / "lib", home / "conf") for path in path.rglob("*") if path.is_symlink()
    }
    return Toolchain(
        "java",
        version_of("java", javac, "-version"),
        build,
        right=_RIGHT,
        fault=("x + x", "x * x"),
        shown=(str(home), *sorted(links)),
        # Found without /proc, from which it would learn where it lies.
        environment={"LD_LIBRARY_PATH": f"{home}/lib:{home}/lib/server"},
        slowness=2.0,
        memory=768 << 20,
        threads=64,
    )


def closed(source: str) -> str:
    r"""Return a program with the brace of its class, where the model closed only its method.

    >>> closed("class Solution { int f() { return 1; }")
    'class Solution { int f() { return 1; }\n}'
    """
    return f"{source.rstrip()}\n}}" if source.count("{") == source.count("}") + 1 else source
