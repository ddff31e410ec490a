"""Make a release: version, changelog, a wheel that is checked, documentation, a commit and a tag.

    python scripts/release.py 0.3.0             # in a clean checkout; commits and tags, and sends nothing
    python scripts/release.py --dry-run         # the same in a copy of HEAD, for the next minor version
    python scripts/release.py --check v0.3.0    # is the checkout that release? writes its wheel and notes into dist/

Needs `towncrier` (scripts/release-tools.txt); scripts/check-docs.sh builds the documentation in the environment --venv.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from datetime import UTC, datetime
from email.parser import Parser
from pathlib import Path

ROOT = Path(__file__).parents[1]
FRAGMENTS = "changelog.d"
MOST_BYTES = 24 << 20
"""A wheel larger than this holds something that does not belong in it."""
PLACES = {
    "src/xmtf/__init__.py": r'^__version__ = "(.+)"$',
    "CITATION.cff": r"^version: (.+)$",
}
"""Where the version stands: file -> pattern whose group it is."""
IN_THE_WHEEL = (
    "xmtf/py.typed",
    "xmtf/packaged/recipes/demo.yaml",
    "xmtf/packaged/examples/own-data/recipe.yaml",
    "xmtf/sources/cldr/rows.zip",
    "xmtf/studio/static/index.html",
    "xmtf-{version}.dist-info/entry_points.txt",
    "xmtf-{version}.dist-info/licenses/LICENSE",
)


class ReleaseError(Exception):
    """Why there is no release, in one line."""


def main() -> int:
    """Release, or show that it can be done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version", nargs="?")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--check", metavar="TAG")
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv", help="environment that builds the documentation")
    parser.add_argument(
        "--site", type=Path, help="documentation that was just built of HEAD: a dry run builds it no more"
    )
    options = parser.parse_args()
    today = datetime.now(UTC).date().isoformat()
    try:
        if options.check:
            check_tag(ROOT, options.check)
        elif options.dry_run:
            with tempfile.TemporaryDirectory() as folder:
                tree = copy_of_head(Path(folder))
                version = options.version or next_minor(version_of(tree))
                (tree / FRAGMENTS / "+dry-run.added.md").write_text("A line of the dry run.\n", encoding="utf-8")
                if options.site:
                    check_site(options.site, version_of(tree))
                prepare(tree, version, today, None if options.site else options.venv)
                print(f"dry run: {version} could be released; nothing here was changed")
        elif options.version:
            release(options.version, today, options.venv)
        else:
            raise ReleaseError("name a version, or --dry-run")
    except ReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    return 0


def release(version: str, date: str, venv: Path) -> None:
    """Prepare the checkout, commit and tag it; where that fails, the checkout is as it was.

    Raises:
        ReleaseError: The checkout has changes that are not committed, or what :func:`prepare` finds.
    """
    if _git("status", "--porcelain"):
        raise ReleaseError("the checkout has changes; commit them first")
    try:
        prepare(ROOT, version, date, venv)
    except ReleaseError:
        _git("reset", "--quiet", "--hard")  # it had no changes
        raise
    _git("add", "--all")
    _git("commit", "--message", f"xmtf {version}")
    _git("tag", "--annotate", f"v{version}", "--message", f"xmtf {version}")
    print(f"xmtf {version} is committed and tagged: git push --follow-tags publishes it")


def prepare(tree: Path, version: str, date: str, venv: Path | None) -> None:
    """Write version and changelog into a tree, then check its wheel and, with an environment, its documentation.

    Raises:
        ReleaseError: The version does not come after the present one, there is nothing to release, or a check failed.
    """
    old = version_of(tree)
    if not re.fullmatch(r"\d+\.\d+\.\d+", version) or _numbers(version) <= _numbers(old):
        raise ReleaseError(f"{version}: the next version is three numbers and comes after {old}, as {next_minor(old)}")
    if not list((tree / FRAGMENTS).glob("*.*.md")):
        raise ReleaseError(f"{FRAGMENTS} has no changes: there is nothing to release")
    for file in PLACES:
        write_version(tree / file, PLACES[file], version)
    citation = tree / "CITATION.cff"
    dated = re.sub(r"^date-released: .*\n", "", citation.read_text(encoding="utf-8"), flags=re.MULTILINE)
    dated = re.sub(r"^(version: .*\n)", rf"\g<1>date-released: {date}\n", dated, flags=re.MULTILINE)
    citation.write_text(dated, encoding="utf-8")
    _run(tree, "towncrier", "build", "--yes", "--name", "xmtf", "--version", version, "--date", date)
    print(notes_of(tree, version))
    with tempfile.TemporaryDirectory() as folder:
        check_wheel(build_wheel(tree, Path(folder)), version)
    if venv:
        _run(tree, "sh", "scripts/check-docs.sh", str(venv.resolve()))
        check_site(tree / "docs/_build/html", version)


def check_site(site: Path, version: str) -> None:
    """Check that a built site is of a version.

    Raises:
        ReleaseError: There is none, or it is of another.
    """
    index = site / "index.html"
    if not index.exists() or f"xmtf {version}" not in index.read_text(encoding="utf-8"):
        raise ReleaseError(f"{site} is no documentation of {version}; scripts/check-docs.sh builds it")
    print(f"documentation of {version}: {sum(1 for _ in site.rglob('*.html'))} pages")


def check_tag(tree: Path, tag: str) -> None:
    """Check that a tree is the release of a tag; write its wheel and its notes into ``dist/``.

    Raises:
        ReleaseError: Tag, files and changelog do not name one version, or the wheel is not right.
    """
    version = version_of(tree)
    if tag != f"v{version}":
        raise ReleaseError(f"the tag is {tag}, and the files are of {version}")
    notes = notes_of(tree, version)
    out = tree / "dist"
    check_wheel(build_wheel(tree, out), version)
    (out / "notes.md").write_text(notes, encoding="utf-8")


def version_of(tree: Path) -> str:
    """Return the one version that all files name.

    Raises:
        ReleaseError: They name several.
    """
    found = {file: _match(tree / file, pattern)[1] for file, pattern in PLACES.items()}
    if len(set(found.values())) > 1:
        raise ReleaseError(f"the version differs: {found}")
    return next(iter(found.values()))


def write_version(file: Path, pattern: str, version: str) -> None:
    """Write a version into the place of a file that has one."""
    found = _match(file, pattern)
    text = file.read_text(encoding="utf-8")
    file.write_text(text[: found.start(1)] + version + text[found.end(1) :], encoding="utf-8")


def next_minor(version: str) -> str:
    """Return the minor version after a version.

    >>> next_minor("0.9.3")
    '0.10.0'
    """
    major, minor, _ = _numbers(version)
    return f"{major}.{minor + 1}.0"


def notes_of(tree: Path, version: str) -> str:
    """Return the section of a version in the changelog.

    Raises:
        ReleaseError: There is none, or it has no lines.
    """
    text = (tree / "CHANGELOG.md").read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(version)} .*?(?=^## |\Z)", text, flags=re.DOTALL | re.MULTILINE)
    if not found or "\n- " not in found[0]:
        raise ReleaseError(f"CHANGELOG.md has no changes of {version}")
    return found[0].strip() + "\n"


def build_wheel(tree: Path, out: Path) -> Path:
    """Build the wheel of a tree."""
    _run(tree, sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(out), ".")
    return next(out.glob("*.whl"))


def check_wheel(wheel: Path, version: str) -> None:
    """Check name, metadata and content of a wheel.

    Raises:
        ReleaseError: Names what is wrong with it.
    """
    wrong = []
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        about = Parser().parsestr(archive.read(f"xmtf-{version}.dist-info/METADATA").decode())
    wrong += [f"{name} is missing" for each in IN_THE_WHEEL if (name := each.format(version=version)) not in names]
    strange = sorted(name for name in names if not name.startswith(("xmtf/", f"xmtf-{version}.dist-info/")))
    wrong += [f"{name} does not belong in it" for name in strange]
    wrong += [f"{name} is compiled" for name in sorted(names) if name.endswith((".pyc", ".so"))]
    if about["Version"] != version or about["Name"] != "xmtf":
        wrong.append(f"it says that it is {about['Name']} {about['Version']}")
    if not str(about.get_payload()).startswith("# xmtf"):
        wrong.append("it does not carry README")
    if wheel.stat().st_size > MOST_BYTES:
        wrong.append(f"it has {wheel.stat().st_size:,} bytes, more than {MOST_BYTES:,}")
    if wrong:
        raise ReleaseError(f"{wheel.name}: {'; '.join(wrong[:5])}")
    print(f"{wheel.name}: {len(names)} files, {wheel.stat().st_size:,} bytes")


def copy_of_head(folder: Path) -> Path:
    """Write what HEAD has into a folder of its own."""
    archive = folder / "head.tar"
    _git("archive", "--output", str(archive), "HEAD")
    tree = folder / "tree"
    tree.mkdir()
    _run(tree, "tar", "--extract", "--file", str(archive))
    return tree


def _match(file: Path, pattern: str) -> re.Match[str]:
    found = list(re.finditer(pattern, file.read_text(encoding="utf-8"), flags=re.MULTILINE))
    if len(found) != 1:
        raise ReleaseError(f"{file}: {len(found)} places name a version, not one")
    return found[0]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _run(folder: Path, *command: str) -> None:
    around = os.environ | {
        "PYTHONPATH": str(folder / "src")
    }  # documentation is of this tree, wherever xmtf is installed
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=around)
    if done.returncode:
        raise ReleaseError(f"{' '.join(command[:3])} failed:\n{done.stdout}{done.stderr}".rstrip())


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise ReleaseError(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
