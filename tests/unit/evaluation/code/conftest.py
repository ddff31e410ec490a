import functools
from pathlib import Path

import pytest

from xmtf.errors import ConfigError
from xmtf.evaluation.code.languages.registry import LANGUAGES
from xmtf.recipe import load_yaml

COLUMNS = ("entry_point", "prompt", "canonical_solution", "test", "import")

# What tests of Go import, as much of it as they need: a vendored folder, as `go mod vendor` writes it.
ASSERT = """package assert

import "reflect"

type Reporter interface{ Errorf(format string, values ...interface{}) }

type Assertions struct{ reporter Reporter }

func New(reporter Reporter) *Assertions { return &Assertions{reporter} }

func (assertions *Assertions) Equal(wanted, found interface{}) bool {
	if !reflect.DeepEqual(wanted, found) {
		assertions.reporter.Errorf("wanted %v, found %v", wanted, found)
		return false
	}
	return true
}
"""
TESTIFY = "github.com/stretchr/testify"


@functools.cache
def pack_rows(language):
    """Return the rows of a language in HumanEvalPack's layout."""
    (group,) = [each for each in load_yaml(Path(__file__).with_name("pack.yaml")) if each["language"] == language]
    return [
        {
            "task_id": f"{language}/{number}",
            **{name: row.get(name, "") for name in COLUMNS},
            "declaration": row["prompt"],
            "buggy_solution": row["canonical_solution"].replace(*row["fault"]),
            "test_setup": group.get("test_setup", ""),
        }
        for number, row in enumerate(group["rows"])
    ]


@pytest.fixture(scope="session")
def rows():
    """What gives the rows of a language."""
    return pack_rows


@pytest.fixture(scope="session")
def modules(tmp_path_factory):
    """A folder of modules: a vendored package of Go."""
    folder = tmp_path_factory.mktemp("modules")
    package = folder / "go" / "vendor" / TESTIFY / "assert"
    package.mkdir(parents=True)
    (package / "assert.go").write_text(ASSERT)
    (folder / "go" / "go.mod").write_text(f"module problem\n\ngo 1.18\n\nrequire {TESTIFY} v1.8.4\n")
    (folder / "go" / "vendor" / "modules.txt").write_text(f"# {TESTIFY} v1.8.4\n## explicit\n{TESTIFY}/assert\n")
    return folder


@pytest.fixture
def toolchain(modules):
    """What gives the toolchain of a language; the test is skipped where it is not installed."""

    def find(language):
        try:
            return LANGUAGES[language](modules)
        except ConfigError as error:
            pytest.skip(str(error))

    return find
