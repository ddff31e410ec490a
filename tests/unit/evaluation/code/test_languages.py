"""Six languages: right programs pass, faulty ones do not, and what cannot be judged is refused."""

import pytest

from xmtf.errors import ConfigError
from xmtf.evaluation.code import run
from xmtf.evaluation.code.languages import cpp, go, registry, rust
from xmtf.evaluation.code.languages.registry import LANGUAGES, check_modules, find_toolchains
from xmtf.evaluation.code.languages.toolchain import Program
from xmtf.evaluation.code.problems import to_problem
from xmtf.evaluation.code.run import judge, read_problems, ready_toolchains
from xmtf.evaluation.code.sandbox import sandbox_fault
from xmtf.evaluation.code.settings import CodeSettings
from xmtf.evaluation.code.stops import cut_answer, has_ended
from xmtf.evaluation.suites.setup import Setup
from xmtf.files import write_jsonl
from xmtf.recipe.schema import Evaluation
from xmtf.tasks import load_catalogue

needs_sandbox = pytest.mark.skipif(bool(sandbox_fault()), reason=f"no sandbox here: {sandbox_fault()}")
NAMES = {"Python": "python", "JavaScript": "javascript", "Java": "java", "Go": "go", "CPP": "cpp", "Rust": "rust"}
TAIL = {
    "Python": "\n\nprint(1)\n",
    "JavaScript": "\n\nconsole.log('}')\nconst x = {",
    "Java": "\n\nclass Other {",
    "Go": "\n\nfunc main() {",
    "CPP": "\n\nint main(){ return 0;",
    "Rust": "\n\nfn other() {",
}
LEAVES = {
    "JavaScript": "\n  process.exit(0)\n}\n",
    "Java": "\n        System.exit(0);\n        throw new Error();\n    }\n}",
    "Go": "\n    os.Exit(0)\n    panic(1)\n}\n",
    "CPP": "\n    exit(0);\n}\n",
    "Rust": "\n    std::process::exit(0)\n}\n",
}


@needs_sandbox
@pytest.mark.parametrize("name", NAMES)
def test_own_solutions_pass_and_faulty_ones_do_not(name, rows, toolchain, modules):
    chain = toolchain(NAMES[name])
    problems = [to_problem(row, "own") for row in rows(name)]
    assert len(problems) == 5
    assert {problem.language for problem in problems} == {chain.language}
    settings = CodeSettings(workers=2, modules=modules)
    ready_toolchains(problems, settings)
    right = [cut_answer(problem, problem.solution + TAIL[name]) for problem in problems]
    assert right == [problem.solution.rstrip() for problem in problems]
    verdicts = judge(problems, right, settings, "right", {chain.language: chain})
    assert [verdict.detail for verdict in verdicts if not verdict.passed] == []
    faulty = [f"\n{row['buggy_solution']}" for row in rows(name)]
    verdicts = judge(problems, faulty, settings, "faulty", {chain.language: chain})
    assert [(verdict.outcome, "compile" in verdict.detail) for verdict in verdicts] == [("failed", False)] * 5


@pytest.mark.parametrize("name", NAMES)
def test_humanevalpack_is_a_suite(name, rows, tmp_path, monkeypatch):
    subset = {"JavaScript": "js"}.get(name, NAMES[name])
    folder = tmp_path / "bigcode" / "humanevalpack" / subset
    folder.mkdir(parents=True)
    write_jsonl(folder / "test.jsonl", rows(name))
    monkeypatch.setenv("XMTF_DATA_ROOT", str(tmp_path))
    setup = Setup(Evaluation(), load_catalogue(), offline=True)
    for repair in (False, True):
        problems = read_problems(setup, f"humanevalpack/{subset}", repair=repair)
        assert [(each.language, each.layout) for each in problems] == [(NAMES[name], "pack")] * 5


@needs_sandbox
@pytest.mark.parametrize("name", LEAVES)
def test_programs_that_leave_early_do_not_pass(name, rows, toolchain, modules):
    chain = toolchain(NAMES[name])
    row = rows(name)[0]
    problem = to_problem({**row, "import": f'{row["import"]}\nimport "os"\n' if name == "Go" else ""}, "own")
    settings = CodeSettings(modules=modules)
    (verdict,) = judge([problem], [LEAVES[name]], settings, "x", {chain.language: chain})
    assert verdict.outcome == "failed"
    assert "compile" not in verdict.detail, verdict


FORGING = {
    "console.assert replaced": "console.assert = () => {};",
    "an object that equals all": "return { valueOf: () => 6, toString: () => '6', [Symbol.toPrimitive]: () => 6 };",
    "functions of the tests": "globalThis.testAddUp = () => {}; globalThis.console = { assert() {} };",
    "descriptors": "for (let fd = 0; fd < 20; fd++) { try { require('fs').writeSync(fd, 'passed') } catch {} }",
    "prototypes": "Array.prototype.filter = () => []; Object.prototype.value = 6; Object.is = () => true;",
    "more answers": "require('fs').writeSync(4, Buffer.from('\\x0b\\0\\0\\0\\0\\0\\0\\0{\"value\":6}'));",
}


@needs_sandbox
@pytest.mark.parametrize("name", FORGING)
def test_javascript_cannot_reach_its_tests(name, rows, toolchain):
    chain = toolchain("javascript")
    problem = to_problem(
        {**rows("JavaScript")[0], "test": "console.assert(addUp([1]) === 0); console.assert(addUp([2]) === 2)"}, "own"
    )
    assert problem.names == ("addUp",)
    settings = CodeSettings()
    (verdict,) = judge([problem], [f"\n  {FORGING[name]}\n  return 7\n}}"], settings, "x", {chain.language: chain})
    assert verdict.apart
    assert verdict.outcome == "failed", verdict


@pytest.mark.parametrize("name", NAMES)
def test_braces_end_an_answer_while_it_is_written(name, rows):
    for row in rows(name):
        problem = to_problem(row, "own")
        whole = problem.solution.rstrip()
        text = whole + TAIL[name]
        ended = [length for length in range(len(text) + 1) if has_ended(problem, text[:length])]
        assert ended
        assert min(ended) >= len(whole)
        assert cut_answer(problem, text[: min(ended)]) == whole


def test_the_original_rule_of_the_pack_counts_every_brace(rows):
    problem = to_problem(rows("Go")[0], "own")
    assert cut_answer(problem, problem.solution + TAIL["Go"], "original") == problem.solution.rstrip()
    assert cut_answer(problem, "\n    x := 1\n// that\n    return x\n}", "original") == "\n    x := 1"
    script = to_problem(rows("JavaScript")[3], "own")
    assert cut_answer(script, script.solution, "original") == "\n  // not }"
    java = to_problem(rows("Java")[1], "own")
    assert cut_answer(java, "\n    return 1;\n    }\n    public static void main() {", "original").endswith("}\n    }")
    python = to_problem(rows("Python")[0], "own")
    assert cut_answer(python, "\n    return 1\nx = 2", "original") == "\n    return 1"
    assert has_ended(python, "\n    return 1\nx", "original")


@pytest.mark.parametrize("named", [{"task_id": "Ruby/3"}, {"task_id": "own/3"}, {"language": "lua"}, {"task_id": None}])
def test_other_languages_are_refused_not_scored(named, rows):
    with pytest.raises(ConfigError, match=r"own, row .*not supported \(only python, .*column 'language'"):
        to_problem({**rows("Python")[0], **named}, "own")


def test_a_column_names_the_language(rows):
    assert to_problem({**rows("Rust")[0], "task_id": "own/1", "language": "rust"}, "own").language == "rust"


@pytest.mark.parametrize(("name", "test"), [("Go", "func Other() {}"), ("Rust", "fn test() {}"), ("Java", " ")])
def test_tests_without_a_test_are_refused(name, test, rows):
    with pytest.raises(ConfigError, match=r"own, row '.*/0'.*(there are none|there are no tests)"):
        to_problem({**rows(name)[0], "test": test}, "own")


def test_empty_cells_are_refused(rows):
    with pytest.raises(ConfigError, match="own, row 'Go/0': no text in prompt"):
        to_problem({**rows("Go")[0], "prompt": None}, "own")


def test_what_is_not_installed_is_named_before_anything_runs(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(
        ConfigError, match=r"java programs need javac, .*; go programs need go, .*; rust programs need rustc"
    ):
        find_toolchains(["java", "go", "rust"])


def test_a_toolchain_that_does_not_work_is_refused(monkeypatch, rows):
    problem = to_problem(rows("Python")[0], "own")
    monkeypatch.setattr(run, "run_program", lambda chain, program, **_: run.Verdict("failed", "no such file"))
    with pytest.raises(ConfigError, match=r"python programs cannot be evaluated here .*failed: no such file"):
        ready_toolchains([problem], CodeSettings())
    monkeypatch.setattr(run, "run_program", lambda chain, program, **_: run.Verdict("passed"))
    with pytest.raises(ConfigError, match="a wrong program passes"):
        ready_toolchains([problem], CodeSettings())


def test_modules_that_are_missing_are_named(tmp_path, rows, modules, monkeypatch):
    go_text, rust_text = rows("Go")[0]["test_setup"], "use rand::Rng;\nuse std::fmt;\nmod own {}\nuse own::thing;\n"
    assert go.missing_modules([go_text], None) == ["github.com/stretchr/testify/assert"]
    assert go.missing_modules([go_text], modules) == []
    assert rust.missing_crates([rust_text], None) == ["rand"]
    (tmp_path / "rust" / "target" / "release" / "deps").mkdir(parents=True)
    (tmp_path / "rust" / "Cargo.toml").write_text('[dependencies]\nrand = "0.8"\n')
    assert rust.missing_crates([rust_text], tmp_path) == ["rand"]
    (tmp_path / "rust" / "target" / "release" / "deps" / "librand-12ab.rlib").write_text("")
    assert rust.missing_crates([rust_text], tmp_path) == []
    with pytest.raises(
        ConfigError, match=r"rust problems use crates that are not installed \(rand\); give --modules DIR"
    ):
        check_modules({"rust": [rust_text]}, None)
    monkeypatch.setattr(cpp, "find_command", lambda *_: "c++")
    monkeypatch.setattr(cpp, "_has_header", lambda compiler, name: name == "vector")
    with pytest.raises(ConfigError, match=r"cpp problems use headers that are not installed \(boost/any.hpp\)"):
        check_modules({"cpp": ["#include<vector>\n# include <boost/any.hpp>"]}, None)


def test_imports_of_go_are_those_that_are_used():
    program = Program(
        "go",
        'import (\n    "math"\n    other "example.org/other"\n)\nimport "os"\n\n// strings.Title\nfunc F() string {\n'
        '    return strings.ToUpper("sort.Ints") + other.Text\n}\n',
        "func TestF(t *testing.T) {}\n",
        setup='package main\nimport (\n "testing"\n _ "example.org/loaded"\n)\n',
    )
    head = go.with_imports(program).partition(")")[0]
    assert [line.strip() for line in head.splitlines()[3:]] == [
        '"testing"', '_ "example.org/loaded"', 'other "example.org/other"', '"strings"'
    ]  # fmt: skip


def test_repair_shows_the_faulty_solution(rows):
    row = rows("Python")[0]
    problem = to_problem(row, "own", repair=True)
    assert row["buggy_solution"].rstrip() in problem.prompt
    assert problem.prompt.endswith(row["prompt"].strip())
    assert problem.before == row["prompt"].strip()
    with pytest.raises(ConfigError, match="own, row 'Python/0': there is no buggy_solution to repair"):
        to_problem({**row, "buggy_solution": ""}, "own", repair=True)
    with pytest.raises(ConfigError, match="MBPP's layout have no buggy_solution"):
        to_problem({"task_id": 1, "text": "?", "code": "", "test_list": []}, "own", repair=True)


def test_every_language_has_a_finder():
    assert set(LANGUAGES) == set(NAMES.values())
    assert {registry.language_named(name) for name in NAMES} == set(LANGUAGES)
