import numpy as np
import pytest
import torch

from xmtf.errors import ConfigError, UserError
from xmtf.evaluation.code import sandbox
from xmtf.evaluation.code.passk import best_lines, pass_at_k, pass_metrics
from xmtf.evaluation.code.problems import to_problem
from xmtf.evaluation.code.run import CodeSettings, evaluate_code, judge
from xmtf.evaluation.code.sample import Draw, complete
from xmtf.evaluation.code.sandbox import sandbox_fault
from xmtf.evaluation.engine.encoding import PromptRules
from xmtf.evaluation.generation.decode_loop import draw_tokens
from xmtf.evaluation.suites.setup import Setup
from xmtf.recipe.schema import Evaluation
from xmtf.records import Metric, Provenance, Score
from xmtf.tasks import load_catalogue

ADD = {
    "task_id": "HumanEval/53",
    "prompt": 'def add(x: int, y: int):\n    """Add two numbers x and y"""\n',
    "canonical_solution": "    return x + y\n",
    "entry_point": "add",
    "test": "def check(candidate):\n    assert candidate(2, 3) == 5\n",
}
SQUARE = {
    "task_id": 7,
    "text": "Write a function to square a number.",
    "code": "def square(x):\r\n    return x * x",
    "test_list": ["assert square(3) == 9", "assert square(-1) == 1"],
    "test_setup_code": "",
}


def test_pass_at_k_is_unbiased():
    assert pass_at_k(5, 5, 1) == 1.0
    assert pass_at_k(5, 0, 5) == 0.0
    assert pass_at_k(4, 2, 2) == pytest.approx(1 - 1 / 6)
    with pytest.raises(ValueError, match="between 1"):
        pass_at_k(2, 1, 3)


def test_metrics_leave_out_k_beyond_the_samples():
    found = pass_metrics([2, 0, 1], 2, (1, 2, 10))
    assert [(metric.name, metric.value) for metric in found] == [("pass@1", 0.5), ("pass@2", pytest.approx(2 / 3))]
    assert pass_metrics([], 2, (1,)) == ()


def test_problems_that_all_pass_or_all_fail_leave_room_for_doubt():
    (none,), (every,) = pass_metrics([0], 1, (1,)), pass_metrics([2, 2, 2], 2, (1,))
    assert (none.value, none.low, round(none.high, 4)) == (0.0, 0.0, 0.7935)
    assert (every.value, round(every.low, 4), every.high) == (1.0, 0.4385, 1.0)


@pytest.mark.skipif(bool(sandbox_fault()), reason="no sandbox here")
@pytest.mark.parametrize("row", [ADD, SQUARE])
def test_right_solutions_pass_and_wrong_ones_fail(row):
    problem = to_problem(row, "own")
    assert problem.prompt == problem.prompt.strip()
    wrong = problem.solution.replace("x + y", "x - y").replace("x * x", "x + x")
    verdicts = judge([problem] * 3, [problem.solution, wrong, "\n    import sys; sys.exit(0)"], CodeSettings(), "x")
    assert [verdict.passed for verdict in verdicts] == [True, False, False]


def test_other_tables_are_refused():
    with pytest.raises(ConfigError, match="own: code evaluation reads the columns of HumanEval, HumanEvalPack or MBPP"):
        to_problem({"question": "?"}, "own")


def test_tokens_are_drawn_from_the_nucleus():
    logits = torch.log(torch.tensor([[0.2, 0.5, 0.3]]))

    def drawn(number, top_p=0.7):
        return draw_tokens(logits, top_p, np.array([number]))[0]

    assert [drawn(number) for number in (0.0, 0.62, 0.63, 0.999)] == [1, 1, 2, 2]
    assert drawn(0.99, top_p=1.0) == 0
    assert drawn(0.99, top_p=0.1) == 1


@pytest.mark.parametrize("batch_rows", [1, 3, 8])
def test_a_sample_depends_on_its_own_seed_only(causal, tokenizer, batch_rows):
    problems = [to_problem({**ADD, "task_id": f"HumanEval/{name}", "prompt": name}, "own") for name in ("add", "sub b")]
    draws = [Draw(problem, sample, 0.8) for problem in problems for sample in range(4)]

    def texts(rows, seed):
        options = {"rules": PromptRules(), "seed": seed, "max_new_tokens": 9, "batch_rows": rows}
        return [text for batch in complete(causal, tokenizer, draws, **options) for _, text in batch]

    assert texts(batch_rows, 1) == texts(5, 1)
    assert texts(batch_rows, 1) != texts(batch_rows, 2)
    assert len(set(texts(batch_rows, 1))) > 4


def test_every_k_has_its_best_temperature():
    def score(scoring, **values):
        metrics = tuple(Metric(name.replace("_at_", "@"), value, 0.0, 1.0, None, 4) for name, value in values.items())
        asked = Provenance("code", "en", "none", "humaneval", "c", "d", "", "test", scoring)
        return Score("m", "f", "humaneval", "none", "code", scoring, asked, "h", metrics)

    lines = best_lines([score("T 0.2", pass_at_1=0.5, pass_at_10=0.6), score("T 0.8", pass_at_1=0.4, pass_at_10=0.9)])
    assert lines == [
        "best of humaneval: pass@1 50.00 (0.00-100.00), T 0.2",
        "best of humaneval: pass@10 90.00 (0.00-100.00), T 0.8",
    ]


def test_without_a_sandbox_no_model_is_even_looked_for(monkeypatch, tmp_path):
    monkeypatch.setattr(sandbox, "sandbox_fault", lambda: "no user namespaces")
    setup = Setup(Evaluation(), load_catalogue(), offline=True)
    with pytest.raises(ConfigError, match=r"programs cannot be run safely here .no user namespaces.*--unsafe"):
        evaluate_code(setup, ["humaneval"], CodeSettings(), model="nowhere", label="m", out=tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperatures": (-1.0,)}, "temperatures: give numbers from 0"),
        ({"temperatures": (float("nan"),)}, "temperatures: give numbers from 0"),
        ({"temperatures": (float("inf"),)}, "temperatures: give numbers from 0"),
        ({"temperatures": ()}, "temperatures: give numbers from 0"),
        ({"ks": (0,)}, "k: give numbers from 1"),
        ({"ks": ()}, "k: give numbers from 1"),
        ({"stops": "orignal"}, "unknown stop rule 'orignal'; did you mean 'original'"),
    ],
)
def test_settings_that_would_measure_nothing_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        CodeSettings(**settings)
