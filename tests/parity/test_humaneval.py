"""HumanEval's own solutions pass in the sandbox, broken ones do not."""

import os

import pytest

from xmtf.evaluation.code.run import CodeSettings, judge, read_problems
from xmtf.evaluation.code.sandbox import Limits, sandbox_fault
from xmtf.evaluation.setup import Setup
from xmtf.recipe.schema import Evaluation
from xmtf.tasks import load_catalogue

pytestmark = [
    pytest.mark.skipif(not os.environ.get("XMTF_DATA_ROOT"), reason="XMTF_DATA_ROOT is not set"),
    pytest.mark.skipif(bool(sandbox_fault()), reason="no sandbox here"),
]


def test_every_eighth_solution_passes_and_its_mutant_fails():
    problems = read_problems(Setup(Evaluation(), load_catalogue()), "humaneval")
    assert len(problems) == 164
    chosen = problems[::8]
    settings = CodeSettings(limits=Limits(wall_s=20, cpu_s=10), workers=2)
    right = judge(chosen, [problem.solution for problem in chosen], settings, "right")
    assert [verdict.detail for verdict in right if not verdict.passed] == []
    # The mutant returns before its first line: the signature is kept, the answer is None.
    wrong = judge(chosen, ["\n    return None" for _ in chosen], settings, "wrong")
    assert not any(verdict.passed for verdict in wrong)
