"""The own solutions of HumanEval and MBPP pass in the sandbox, broken ones do not."""

import os
import re

import pytest

from xmtf.evaluation.code.limits import Limits
from xmtf.evaluation.code.run import CodeSettings, judge, read_problems
from xmtf.evaluation.code.sandbox import sandbox_fault
from xmtf.evaluation.suites.setup import Setup
from xmtf.recipe.schema import Evaluation
from xmtf.tasks import load_catalogue

pytestmark = [
    pytest.mark.skipif(not os.environ.get("XMTF_DATA_ROOT"), reason="XMTF_DATA_ROOT is not set"),
    pytest.mark.skipif(bool(sandbox_fault()), reason="no sandbox here"),
]


@pytest.mark.parametrize(("task", "total", "step"), [("humaneval", 164, 8), ("mbpp", 500, 42)])
def test_own_solutions_pass_and_their_mutants_fail(task, total, step):
    problems = read_problems(Setup(Evaluation(), load_catalogue()), task)
    assert len(problems) == total
    chosen = problems[::step]
    settings = CodeSettings(limits=Limits(wall_s=120, cpu_s=20), workers=2)
    right = judge(chosen, [problem.solution for problem in chosen], settings, "right")
    assert [verdict.detail for verdict in right if not verdict.passed] == []
    # Mutants have the right functions, which answer None.
    wrong = judge(chosen, [mutant(problem.solution) for problem in chosen], settings, "wrong")
    assert not any(verdict.passed for verdict in wrong)


def mutant(solution):
    """Return before the first line of HumanEval's body; define MBPP's functions anew."""
    names = re.findall(r"^def\s+(\w+)\s*\(", solution, re.MULTILINE)
    return (
        "\n".join([solution, *(f"def {name}(*_, **__): return None" for name in names)])
        if names
        else "\n    return None"
    )
