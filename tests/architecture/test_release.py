"""What makes a release: versions, fragments of the changelog, the wheel; and the Dockerfile without docker."""

import doctest
import os
import re
import subprocess
import zipfile
from pathlib import Path

import pytest

import dockerfile_runs
import readme_commands
import release
from release import ReleaseError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tree(tmp_path):
    """A tree with nothing but what a release writes into."""
    for file, text in {
        "src/xmtf/__init__.py": '"""Doc."""\n__version__ = "0.2.0"\n',
        "CITATION.cff": "cff-version: 1.2.0\nversion: 0.2.0\ndate-released: 2026-11-30\n",
        "CHANGELOG.md": "# Changelog\n\n## 0.2.0 (2026-11-30)\n\n### Added\n\n- one\n\n## 0.1.0 (2026-11-26)\n\n- o\n",
        "changelog.d/README.md": "How.\n",
    }.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
    return tmp_path


@pytest.mark.parametrize("module", [release, readme_commands, dockerfile_runs], ids=lambda module: module.__name__)
def test_examples_of_the_scripts(module):
    failed, tried = doctest.testmod(module)
    assert failed == 0
    assert tried


def test_the_files_of_this_tree_name_one_version():
    assert release.version_of(ROOT)


def test_a_version_that_differs_is_named(tree):
    release.write_version(tree / "CITATION.cff", release.PLACES["CITATION.cff"], "0.3.0")
    with pytest.raises(ReleaseError, match=r"CITATION.cff': '0.3.0'"):
        release.version_of(tree)


@pytest.mark.parametrize(
    ("version", "said"),
    [("0.2.0", "comes after 0.2.0, as 0.3.0"), ("0.10", "three numbers"), ("0.3.0", "has no changes")],
)
def test_no_release_without_a_later_version_and_a_change(tree, version, said):
    with pytest.raises(ReleaseError, match=said):
        release.prepare(tree, version, "2026-12-01", tree)
    assert release.version_of(tree) == "0.2.0"


def test_notes_are_the_section_of_one_version(tree):
    assert release.notes_of(tree, "0.2.0") == "## 0.2.0 (2026-11-30)\n\n### Added\n\n- one\n"
    with pytest.raises(ReleaseError, match=r"no changes of 0\.3\.0"):
        release.notes_of(tree, "0.3.0")


def test_a_tag_that_is_not_the_version_is_refused(tree):
    with pytest.raises(ReleaseError, match=r"the tag is v0\.3\.0, and the files are of 0\.2\.0"):
        release.check_tag(tree, "v0.3.0")


def test_documentation_of_another_version_is_refused(tmp_path):
    (tmp_path / "index.html").write_text("<title>xmtf 0.2.0</title>")
    release.check_site(tmp_path, "0.2.0")
    for site, version in ((tmp_path, "0.3.0"), (tmp_path / "none", "0.2.0")):
        with pytest.raises(ReleaseError, match=f"is no documentation of {version}"):
            release.check_site(site, version)


def wheel(folder, *more, without="", version="0.2.0"):
    path = folder / f"xmtf-{version}-py3-none-any.whl"
    about = f"Metadata-Version: 2.4\nName: xmtf\nVersion: {version}\n\n# xmtf\n"
    names = [each.format(version=version) for each in release.IN_THE_WHEEL if each != without]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"xmtf-{version}.dist-info/METADATA", about)
        for name in (*names, *more):
            archive.writestr(name, "")
    return path


def test_a_wheel_is_checked(tmp_path, capsys):
    release.check_wheel(wheel(tmp_path), "0.2.0")
    assert "8 files" in capsys.readouterr().out
    with pytest.raises(ReleaseError, match=r"py\.typed is missing"):
        release.check_wheel(wheel(tmp_path, without="xmtf/py.typed"), "0.2.0")
    with pytest.raises(ReleaseError, match=r"tests/conftest\.py does not belong in it"):
        release.check_wheel(wheel(tmp_path, "tests/conftest.py"), "0.2.0")
    with pytest.raises(ReleaseError, match=r"xmtf/a\.pyc is compiled"):
        release.check_wheel(wheel(tmp_path, "xmtf/a.pyc"), "0.2.0")


def test_fragments_of_the_changelog_are_lines_of_a_known_kind():
    kinds = re.findall(r'^directory = "(\w+)"$', (ROOT / "towncrier.toml").read_text(), flags=re.MULTILINE)
    found = [path for path in (ROOT / "changelog.d").iterdir() if path.name not in ("README.md", "_section.md.j2")]
    wrong = [path.name for path in found if not re.fullmatch(rf"\+[\w-]+\.({'|'.join(kinds)})\.md", path.name)]
    long = [path.name for path in found if path.read_text(encoding="utf-8").strip().count("\n")]
    assert (len(kinds), wrong, long) == (6, [], [])


def test_the_changelog_has_a_line_per_change_by_version_and_kind():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    kinds = re.findall(r'^name = "(\w+)"$', (ROOT / "towncrier.toml").read_text(), flags=re.MULTILINE)
    versions = re.findall(r"^## (\S+) \(\d{4}-\d\d-\d\d\)$", text, flags=re.MULTILINE)
    assert versions[0] == release.version_of(ROOT)
    assert versions == sorted(versions, key=lambda each: tuple(map(int, each.split("."))), reverse=True)
    assert len(re.findall(r"^## ", text, flags=re.MULTILINE)) == len(versions)
    assert set(re.findall(r"^### (.+)$", text, flags=re.MULTILINE)) <= set(kinds)
    body = text[text.index("\n## ") :].splitlines()
    assert [line for line in body if line and not line.startswith(("## ", "### ", "- "))] == []


def test_what_people_join_with_names_no_address_of_another_project():
    files = [
        ROOT / "CITATION.cff",
        ROOT / "SECURITY.md",
        ROOT / "README.md",
        ROOT / "pyproject.toml",
        ROOT / "Dockerfile",
    ]
    files += [path for path in (ROOT / ".github").rglob("*") if path.is_file()]
    shown = {
        path.name: re.findall(r"github\.com/\S+|^ *(?:- )?uses: .*$", path.read_text(), re.MULTILINE) for path in files
    }
    assert len(shown) > 9
    assert {name: found for name, found in shown.items() if found} == {}


def test_the_dockerfile_has_no_default_index_and_ends_without_root():
    lines = list(dockerfile_runs.instructions((ROOT / "Dockerfile").read_text()))
    assert {value for name, value in lines if name == "ARG" and "INDEX" in value} == {"INDEX", "TORCH_INDEX"}
    assert all(re.fullmatch(r"[\w./-]+:\d[\w.-]+( AS \w+)?", value) for name, value in lines if name == "FROM")
    assert [value for name, value in lines if name == "USER"][-1].isdigit()


TOY = """\
FROM somewhere:1 AS first
ARG INDEX
WORKDIR /made/here
COPY given.txt ./
RUN : "${INDEX:?name an index}" \\
    && echo "$INDEX" >> given.txt

FROM somewhere:1
ARG KIND=cpu
ENV WHAT=$KIND-image
COPY --from=first /made/here /kept
USER 12345
WORKDIR /tmp
RUN [ "$(cat /kept/given.txt)" = "$(printf 'text\\nan-index')" ] && [ "$WHAT-$(id -u)" = cpu-image-12345 ]
RUN python -c 'import sys; sys.exit(3)'
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
def test_run_lines_run_as_docker_runs_them_and_leave_this_system_alone(tmp_path):
    (tmp_path / "Dockerfile").write_text(TOY)
    (tmp_path / "given.txt").write_text("text\n")
    program = [str(ROOT / "scripts/dockerfile_runs.py"), str(tmp_path / "Dockerfile")]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    without = subprocess.run(["python3", *program], capture_output=True, text=True, env=environment)
    assert (without.returncode, "INDEX: name an index" in without.stderr) == (2, True)
    done = subprocess.run(
        ["python3", *program, "--build-arg", "INDEX=an-index"], capture_output=True, text=True, env=environment
    )
    assert (done.returncode, done.stdout.splitlines()[-1]) == (3, "exit code 3"), done.stderr
    assert not Path("/made").exists()
    assert not Path("/kept").exists()
