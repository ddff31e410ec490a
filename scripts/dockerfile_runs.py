"""Carry out a Dockerfile without docker: each stage on a copy-on-write view of this system, which stays as it is.

    sudo python scripts/dockerfile_runs.py Dockerfile --build-arg INDEX=URL

A stage sees the root of this machine through an overlay, with this Python as the image's, so RUN lines run with the
paths, the user and the variables that docker would give them; the base image itself is not looked at. Needs root.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_INSIDE = "XMTF_DOCKERFILE_RUNS_INSIDE"
_KNOWN = {"FROM", "ARG", "ENV", "WORKDIR", "COPY", "RUN", "USER", "ENTRYPOINT", "CMD"}
_PATH = "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin"


@dataclass(slots=True)
class Stage:
    """What a Dockerfile builds between two FROM lines.

    Attributes:
        name: What COPY --from calls it, or its position.
        root: Where its files are, as an overlay over this system.
    """

    name: str
    root: Path
    arguments: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": _PATH})
    folder: str = "/"
    user: int = 0

    def expand(self, text: str) -> str:
        """Return a value with its ``$NAME`` filled in, as docker does outside RUN lines."""
        known = self.arguments | self.environment
        return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda found: known.get(found[1] or found[2], ""), text)

    def inside(self, path: str) -> Path:
        """Return where a path of the stage lies here."""
        return self.root / os.path.normpath(os.path.join(self.folder, path)).lstrip("/")  # noqa: PTH118


def instructions(text: str) -> Iterator[tuple[str, str]]:
    r"""Yield the instructions of a Dockerfile: name and value, continued lines joined.

    >>> list(instructions("# an image\nFROM a AS b\nRUN one \\\n  && two\n"))
    [('FROM', 'a AS b'), ('RUN', 'one   && two')]

    Raises:
        ValueError: An instruction that nothing here carries out.
    """
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n", "", "\n".join(lines)).splitlines():
        if line.strip():
            name, _, value = line.strip().partition(" ")
            if name.upper() not in _KNOWN:
                raise ValueError(f"{name}: this instruction is not known here")
            yield name.upper(), value.strip()


def build(dockerfile: Path, given: dict[str, str], scratch: Path) -> int:
    """Carry out every instruction; return the exit code of the first RUN line that failed."""
    stages: dict[str, Stage] = {}
    stage = None
    for name, value in instructions(dockerfile.read_text(encoding="utf-8")):
        print(f"{name} {value}", flush=True)
        if name == "FROM":
            stage = _begun(value, str(len(stages)), scratch)
            stages[stage.name] = stage
            continue
        if stage is None:
            raise ValueError(f"{name} before FROM")
        if name == "RUN":
            code = _run(stage, value)
            if code:
                print(f"exit code {code}")
                return code
        else:
            _set(stage, name, value, given, stages, dockerfile.resolve().parent)
    return 0


def _begun(value: str, position: str, scratch: Path) -> Stage:
    words = value.split()
    name = words[2] if len(words) == 3 else position
    root = scratch / name / "root"
    for each in ("upper", "work", "root"):
        (scratch / name / each).mkdir(parents=True)
    layers = f"lowerdir=/,upperdir={root.parent / 'upper'},workdir={root.parent / 'work'}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, root], check=True)
    for each in ("proc", "dev", "sys"):
        subprocess.run(["mount", "--rbind", f"/{each}", root / each], check=True)
    _give_python(root)
    return Stage(name, root)


def _give_python(root: Path) -> None:
    """Put this Python where an image of Python has its own: under /usr/local, and open to every user."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    local = root / "usr/local"
    (local / "lib" / version).mkdir(parents=True, exist_ok=True)
    library = Path(os.__file__).parent
    subprocess.run(["mount", "--bind", "-o", "ro", library, local / "lib" / version], check=True)
    for name in ("python", "python3", "pip", version):
        (local / "bin" / name).unlink(missing_ok=True)
    shutil.copyfile(Path(sys.executable).resolve(), local / "bin" / version)
    (local / "bin/pip").write_text(f'#!/bin/sh\nexec {version} -m pip "$@"\n', encoding="utf-8")
    for name in ("pip", version):
        (local / "bin" / name).chmod(0o755)
    for name in ("python", "python3"):
        (local / "bin" / name).symlink_to(version)
    for shared in Path(sys.base_prefix, "lib").glob("libpython*.so*"):
        shutil.copyfile(shared, local / "lib" / shared.name)
    subprocess.run(["chroot", root, "ldconfig"], check=True)


def _set(stage: Stage, name: str, value: str, given: dict[str, str], stages: dict[str, Stage], context: Path) -> None:
    """Carry out any instruction but FROM and RUN."""
    key, equals, text = value.partition("=")
    if name == "ARG" and (key in given or equals):
        stage.arguments[key] = given.get(key, stage.expand(text))
    elif name == "ENV":
        stage.environment[key] = stage.expand(text)
    elif name == "WORKDIR":
        stage.folder = os.path.normpath(os.path.join(stage.folder, stage.expand(value)))  # noqa: PTH118
        stage.inside(".").mkdir(parents=True, exist_ok=True)
    elif name == "USER":
        stage.user = int(value)
    elif name == "COPY":
        _copy(stage, value.split(), stages, context)


def _copy(stage: Stage, words: list[str], stages: dict[str, Stage], context: Path) -> None:
    source = None
    if words[0].startswith("--from="):
        source = stages[words[0].removeprefix("--from=")]
        words = words[1:]
    *files, to = words
    target = stage.inside(to)
    for file in files:
        found = source.inside(file) if source else context / file
        if found.is_dir():
            shutil.copytree(found, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            into = target / found.name if to.endswith("/") else target
            into.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(found, into)


def _run(stage: Stage, line: str) -> int:
    """Run a line as docker does: by sh, in the working folder, as the user, with arguments and variables alone."""
    environment = {"HOME": "/root" if stage.user == 0 else "/tmp"} | stage.arguments | stage.environment  # noqa: S108
    who = f"--userspec={stage.user}:{stage.user}"
    command = ["chroot", who, "--groups=", str(stage.root), "/bin/sh", "-c", f'cd "$0" && {{ {line}\n}}', stage.folder]
    return subprocess.run(command, env=environment).returncode


def main() -> int:
    """Carry out a Dockerfile in mounts that end with this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dockerfile", type=Path)
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    options = parser.parse_args()
    if _INSIDE not in os.environ:  # the mounts are this process's own, and gone with it
        again = ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv]
        return subprocess.run(again, env=os.environ | {_INSIDE: "1"}).returncode
    given = dict(each.split("=", 1) for each in options.build_arg)
    scratch = Path(tempfile.mkdtemp())
    try:
        return build(options.dockerfile, given, scratch)
    finally:
        subprocess.run(["umount", "--lazy", *(str(path) for path in scratch.glob("*/root"))], check=False)
        for stage in scratch.iterdir():
            shutil.rmtree(stage / "upper")  # never root: it shows this system
            shutil.rmtree(stage / "work")
            (stage / "root").rmdir()
            stage.rmdir()
        scratch.rmdir()


if __name__ == "__main__":
    sys.exit(main())
