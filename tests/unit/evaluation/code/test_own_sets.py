"""A whole evaluation of own problems by command, with answers written here in place of a model's."""

import json
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from xmtf.cli.app import build_app
from xmtf.evaluation.code import run
from xmtf.evaluation.code.sandbox import sandbox_fault
from xmtf.evaluation.engine.encoding import PromptRules
from xmtf.results.scores import read_scores

pytestmark = pytest.mark.skipif(bool(sandbox_fault()), reason=f"no sandbox here: {sandbox_fault()}")
RECIPE = """
name: own
mixture: {tasks: [{catalogue: demo}]}
model: {architecture: bloom, hidden_size: 8, num_layers: 1, num_heads: 1}
training: {steps: 1, global_batch_rows: 1}
own_tasks:
  - {id: mine, path: mine.jsonl, kind: code, role: evaluation, language: code}
"""


@pytest.fixture
def command(tmp_path, monkeypatch, tokenizer):
    """What runs the command on rows, with a solution for each prompt."""
    subject = SimpleNamespace(
        model=None, tokenizer=tokenizer, rules=PromptRules(), label="m", fingerprint="f", weights="w",
        identity=lambda _: {"weights": "w"}, hashes={"weights": "w"}, computed={},
    )  # fmt: skip
    monkeypatch.setattr(run, "load_any", lambda *_: subject)
    answers = {}

    def complete(model, tokenizer, draws, **options):
        yield [(place, answers[draw.problem.prompt][draw.sample]) for place, draw in enumerate(draws)]

    monkeypatch.setattr(run, "complete", complete)
    (tmp_path / "recipe.yaml").write_text(RECIPE)

    def invoke(rows, given, *options):
        (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        answers.update(given)
        arguments = [
            "--model",
            "m",
            "--recipe",
            str(tmp_path / "recipe.yaml"),
            "--out",
            str(tmp_path / "out"),
            *options,
        ]
        return CliRunner().invoke(build_app("evaluate"), ["evaluate", "code", *arguments])

    return invoke


def test_own_problems_in_several_languages_have_a_score_each_and_one_for_all(command, rows, toolchain, tmp_path):
    toolchain("javascript")
    table = [*rows("Python")[:3], *rows("JavaScript")[:2]]
    solved = {row["prompt"].strip(): [f"\n{row['canonical_solution']}"] * 2 for row in table}
    faulty = {row["prompt"].strip(): f"\n{row['buggy_solution']}" for row in table}
    solved[table[1]["prompt"].strip()][1] = faulty[table[1]["prompt"].strip()]
    solved[table[3]["prompt"].strip()] = [faulty[table[3]["prompt"].strip()]] * 2
    result = command(table, solved, "--samples", "2", "--temperatures", "0.5", "--k", "1,2", "--workers", "2")
    assert result.exit_code == 0, result.output
    scores = {score.suite: score for score in read_scores(tmp_path / "out" / "scores.jsonl")}
    values = {name: [metric.value for metric in score.metrics] for name, score in scores.items()}
    assert values["mine"] == [pytest.approx(0.7), pytest.approx(0.8)]
    assert values["mine python"] == [pytest.approx(5 / 6), 1.0]
    assert values["mine javascript"] == [0.5, 0.5]
    assert all(metric.low <= metric.value <= metric.high for score in scores.values() for metric in score.metrics)
    assert [score.provenance.subset for score in scores.values()] == ["", "python", "javascript"]
    assert {"python", "javascript"} <= set(scores["mine"].versions)
    assert scores["mine javascript"].versions["javascript"].startswith("v")
    assert "javascript" not in scores["mine python"].versions
    assert scores["mine"].metrics[0].signature == "stops:complete|cpu:10s|memory:512MiB|one_process:0"
    lines = [json.loads(line) for line in (tmp_path / "out" / "completions.jsonl").read_text().splitlines()]
    assert [line["passed"] for line in lines] == [True, True, True, False, True, True, False, False, True, True]
    assert {line["tests"] for line in lines} == {"apart"}
    assert not any(score.limited for score in scores.values())
    assert "mine javascript" in result.output


def test_repairs_are_asked_beside_completions(command, rows, tmp_path):
    table = rows("Python")[:3]
    answers = {row["prompt"].strip(): [f"\n{row['buggy_solution']}"] for row in table[:2]}
    for row in table[:2]:
        problem = run.to_problem(row, "mine", repair=True)
        answers[problem.prompt] = [f"\n{row['canonical_solution']}"]
    result = command(table, answers, "--ask", "complete,repair", "--limit", "2")
    assert result.exit_code == 0, result.output
    scores = read_scores(tmp_path / "out" / "scores.jsonl")
    assert [(score.scoring, score.provenance.template, score.metrics[0].value) for score in scores] == [
        ("greedy", "prompt at temperature 0", 0.0),
        ("repair, greedy", "repair at temperature 0", 1.0),
    ]
    assert all(score.limited for score in scores)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task_id": "Haskell/0"}, "programs in Haskell are not supported"),
        ({"task_id": "Python/1"}, "several problems are called 'Python/1'"),
        ({"test": None}, "no text in test"),
    ],
)
def test_what_cannot_be_judged_is_refused_before_a_model_is_loaded(command, rows, change, message, monkeypatch):
    monkeypatch.setattr(run, "load_any", lambda *_: pytest.fail("a model was loaded"))
    result = command([{**rows("Python")[0], **change}, rows("Python")[1]], {})
    assert result.exit_code != 0
    assert message in str(result.exception)


def test_unknown_questions_are_refused(command, rows):
    result = command(rows("Python")[:1], {}, "--ask", "repairs")
    assert "unknown kind of question 'repairs'; did you mean 'repair'?" in str(result.exception)
