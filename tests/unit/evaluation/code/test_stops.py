import pytest

from xmtf.evaluation.code.problem import Problem
from xmtf.evaluation.code.problems import to_problem
from xmtf.evaluation.code.python_tests import called_apart, used_names
from xmtf.evaluation.code.stops import cut_answer, cut_at_stop, has_ended

BODY = to_problem(
    {
        "task_id": "HumanEval/1",
        "prompt": 'import math\n\ndef area(r):\n    """Return it."""\n',
        "canonical_solution": "    return math.pi * r * r\n",
        "entry_point": "area",
        "test": "def check(candidate):\n    pass",
    },
    "own",
)
WHOLE = to_problem(
    {
        "task_id": 2,
        "text": "?",
        "code": "def f(x):\n    return x",
        "test_list": ["assert f(1) == 1"],
        "test_setup_code": "",
    },
    "own",
)


@pytest.mark.parametrize(
    ("problem", "answer", "rest"),
    [
        (BODY, "\n    return math.pi * r * r", "\n\ndef other():\n    pa"),
        (BODY, "\n    return math.pi * r * r", "\n\n\n# Test\nprint(area(2))"),
        (BODY, "\n    return math.pi * r * r", "\n\nif __name__ == '__main__':\n    main()"),
        (BODY, "\n    return math.pi * r * r", "\nThis is right because"),
        (BODY, "\n    x = r * r\n# squared\n    return math.pi * x", "\n# done\nprint(1)"),
        (BODY, "\n    x = r * r\n# squared\n\n  # twice\n\n    return math.pi * x", "\nclass A:"),
        (BODY, "\n    return half(r) * 2\n\ndef half(r):\n    return math.pi * r * r / 2", "\n\ndef other(): pass"),
        (BODY, '\n    text = """\ndef no\n"""\n    return len(text)', "\n\nprint(1)"),
        (WHOLE, "import math\nclass P:\n    pass\n\ndef f(x):\n    return P()", "\n\nprint(f(1))"),
        (WHOLE, "# Squares\nif True:\n    y = 1\n\ndef f(x):\n    return y", '\n"""\nWrite'),
        (WHOLE, "def f(x):\n    global seen\n    seen = 1\n    return seen", "\nassert f(1) == 1"),
        (WHOLE, "def f(x):\n    return f.y\nf.y = 1", "\nassert f(1) == 1"),
        (WHOLE, "from math import *\ndef f(x):\n    return floor(x)", "\nassert f(1) == 1"),
        (WHOLE, "f = lambda x: [y for y in x]", "\nassert f(1) == 1"),
    ],
)
def test_answers_are_cut_behind_a_complete_answer_only(problem, answer, rest):
    assert cut_answer(problem, answer + rest) == answer
    assert cut_answer(problem, answer) == answer
    assert not has_ended(problem, answer)
    assert has_ended(problem, answer + rest) == (not rest.startswith("\nThis"))


def test_an_answer_that_is_never_complete_is_left_whole():
    text = "\n    return undefined(r)\n\ndef other(): pass\nprint(1)"
    assert cut_answer(BODY, text) == text
    assert cut_answer(BODY, "\nclass A: pass") == "\nclass A: pass"
    assert cut_answer(WHOLE, "Sure! Here it is") == "Sure! Here it is"


def test_the_original_rule_cuts_at_the_first_stop_wherever_it_stands():
    text = "import re\nclass P:\n    pass\ndef f(x):\n    return P()"
    assert cut_answer(WHOLE, text, "original") == "import re"
    assert has_ended(WHOLE, text, "original")
    assert cut_at_stop("\n    return 1\n\ndef f():\n    pass", ("\ndef", "\nclass")) == "\n    return 1"
    assert cut_at_stop("\n    return 1  \n", ("\ndef",)) == "\n    return 1"


def test_names_of_tests():
    assert used_names("def sum(a, b): return 1", "x = 1\nassert sum(x, len([y for y in (2,)])) == 1") == ("sum",)
    assert set(used_names("", "assert f(lambda z: z) == 1 and math.pi")) == {"f", "math"}


@pytest.mark.parametrize(
    ("solution", "tests", "names"),
    [
        ("def f(x): return x", "assert f(1) == 1", ("f",)),
        ("def sum(a): return a", "assert sum(1) == 1", ("sum",)),
        ("import sys\ndef f(x): return 1", "assert f(1) == sys.maxsize", ("f",)),
        ("import torch\ndef f(x): return 1", "assert f(1) == torch.ones(1)", ()),
        ("class P: pass\ndef f(x): return x", "assert f(P()) == 1", ()),
        ("def f(x): return x", "assert list(map(f, [1])) == [1]", ()),
        ("def f(x): return x", "assert f.__name__ == 'f'", ()),
        ("def f(x): return x", "assert 1 == 1", ()),
        ("def f(x: return x", "assert f(1)", ()),
        ("def f(x): return x", "assert f(1", ()),
    ],
)
def test_tests_run_apart_where_they_only_call_functions(solution, tests, names):
    assert called_apart(solution, tests)[0] == names


def test_a_class_that_humaneval_asks_for_is_tested_in_one_process():
    row = {"task_id": "HumanEval/9", "canonical_solution": "", "test": "def check(c): pass"}
    assert to_problem({**row, "prompt": "class A:\n    '''A'''", "entry_point": "A"}, "own").names == ()
    assert to_problem({**row, "prompt": "def a(:", "entry_point": "a"}, "own").names == ()
    assert isinstance(to_problem({**row, "prompt": "def a():\n  '''A'''", "entry_point": "a"}, "own"), Problem)
