"""Programs that are wrong and try to look right: none passes where its tests run apart."""

import pytest

from xmtf.evaluation.code.jail import calls
from xmtf.evaluation.code.languages import python
from xmtf.evaluation.code.languages.toolchain import Program
from xmtf.evaluation.code.problems import to_problem
from xmtf.evaluation.code.sandbox import run_program, sandbox_fault

needs_sandbox = pytest.mark.skipif(bool(sandbox_fault()), reason=f"no sandbox here: {sandbox_fault()}")

ROW = {
    "task_id": "HumanEval/1",
    "prompt": 'def double(x):\n    """Return 2 x."""\n',
    "canonical_solution": "    return 2 * x\n",
    "entry_point": "double",
    "test": "def check(candidate):\n    for n in range(3, 5):\n        assert candidate(n) == 2 * n\n",
}

FORGING = {
    "an answer that equals all": (
        "\n    class Yes:\n        def __eq__(self, other): return True\n"
        "        __ne__ = lambda *_: False\n    return Yes()"
    ),
    "a number that equals all": (
        "\n    class Yes(int):\n        def __eq__(self, other): return True\n        __hash__ = int.__hash__\n"
        "    return Yes(0)"
    ),
    "a list that equals all": (
        "\n    class Yes(list):\n        def __eq__(self, other): return True\n        __len__ = lambda _: 1\n"
        "    return Yes()"
    ),
    "a type that lies": (
        "\n    class Yes:\n        __class__ = property(lambda _: int)\n        def __eq__(self, other): return True\n"
        "        def __index__(self): return 6\n    return Yes()"
    ),
    "range is empty": "\n    return 0\nimport builtins\nbuiltins.range = range = lambda *_: []",
    "no assertions": "\n    return 0\nimport builtins\nbuiltins.AssertionError = type('E', (Exception,), {})",
    "the check replaced": "\n    return 0\ndef check(candidate): pass",
    "exit with success": "\n    import os\n    os._exit(0)",
    "exit at the start": "\n    return 0\nimport os\nos._exit(0)",
    "every descriptor read and written": (
        "\n    import os, select\n    for fd in range(64):\n        try:\n"
        "            ready = select.select([fd], [], [], 0)[0] and os.read(fd, 4096)\n"
        "            for to in range(64):\n                try: os.write(to, ready or b'passed')\n"
        "                except OSError: pass\n        except (OSError, ValueError): pass\n    return 0"
    ),
    "every frame and object read": (
        "\n    import gc, os, sys\n    frame = sys._getframe()\n    while frame:\n"
        "        for found in (*frame.f_locals.values(), *frame.f_globals.values(), *gc.get_objects()):\n"
        "            if isinstance(found, (str, bytes)) and len(found) == 32:\n"
        "                for to in range(5):\n                    try: os.write(to, str(found).encode())\n"
        "                    except OSError: pass\n        frame = frame.f_back\n    return 0"
    ),
    "the serving code replaced": (
        "\n    return 0\nimport __main__\n__main__.encode = lambda value: {'x': 1}\n"
        "__main__._send({'value': 6})\n__main__._send({'value': 6})\n__main__._send({'value': 6})"
    ),
    "answers without end": "\n    return 0\nimport __main__\nwhile True:\n    __main__._send({'value': True})",
    "an answer that is too large": "\n    import os\n    os.write(4, b'\\xff' * 8)\n    return 0",
    "an answer nested too deeply": (
        "\n    import os\n    text = b'[' * 10**6\n    os.write(4, len(text).to_bytes(8, 'little') + text)\n"
        "    return 0"
    ),
    "a tester that is stopped": (
        "\n    import os, signal\n    for pid in range(2, 40):\n        if pid != os.getpid():\n"
        "            try: os.kill(pid, signal.SIGTERM)\n            except OSError: pass\n    return 0"
    ),
    "the tester traced": (
        "\n    import ctypes, os\n    libc = ctypes.CDLL(None)\n    for pid in range(2, 40):\n"
        "        assert libc.ptrace(16, pid, 0, 0) != 0\n    return 0"
    ),
    "modules for the tests": (
        "\n    return 0\nfor name in ('json', 'math', 'random', 'copy'):\n"
        "    open(f'/tmp/{name}.py', 'w').write('import os; os._exit(0)')"
    ),
    "the generator pretends": "\n    yield 6",
    "raises what is caught": "\n    raise StopIteration",
}


@needs_sandbox
@pytest.mark.parametrize("name", FORGING)
def test_wrong_programs_cannot_look_right(name):
    problem = to_problem(ROW, "own")
    assert problem.names == ("double",)
    verdict = run_program(python.find(None), problem.program(FORGING[name]))
    assert verdict.apart
    assert not verdict.passed
    assert verdict.outcome in ("failed", "timed out"), verdict


@needs_sandbox
def test_the_right_program_passes_and_the_same_attacks_beside_it_change_nothing():
    problem = to_problem(ROW, "own")
    for beside in ("", "\nimport builtins\nbuiltins.sum = None", "\nimport sys\nsys.stdout.write('passed')"):
        assert run_program(python.find(None), problem.program("\n    return 2 * x" + beside)).passed


@needs_sandbox
def test_values_and_errors_arrive_as_they_are():
    source = "def same(*values, **named): return (values, named)\ndef fails(n): raise [ValueError, KeyError][n]('x')"
    tests = """
import math
for value in (None, True, 0, -7, 2**70, -2**60, 1.5, -0.0, float("inf"), "é\\ud800", b"\\xff", bytearray(b"a"), 1j,
              range(3), [], [1, [2]], (), (1, (2,)), {1, 2}, frozenset({3}), {}, {(1, 2): [3], "a": {4: 5}}, int, str):
    got = same(value, named=value)
    assert got == ((value,), {"named": value}) and type(got[0][0]) is type(value), (value, got)
assert math.isnan(same(float("nan"))[0][0])
assert list(same(iter([1, 2]))[0][0]) == [1, 2]
for n, kind in enumerate((ValueError, KeyError)):
    try:
        fails(n)
    except kind as error:
        assert "x" in str(error)
    else:
        raise AssertionError(kind)
"""
    verdict = run_program(python.find(None), Program("python", source, tests, ("same", "fails")))
    assert verdict.passed, verdict


@pytest.mark.parametrize(
    "told",
    [{"x": 1}, {}, {"t": 1}, {"i": "no"}, {"i": [1]}, {"s": [[]]}, {"k": "open"}, {"t": [1], "s": [2]}, {"d": [1]}],
)
def test_messages_that_are_no_values_are_refused(told):
    with pytest.raises(calls.NotPlainError):
        calls.decode(told)


@pytest.mark.parametrize("value", [object(), len, Exception, [object()]])
def test_what_is_no_plain_value_is_not_sent(value):
    if value is Exception:
        assert calls.decode(calls.encode(value)) is Exception
    else:
        with pytest.raises(calls.NotPlainError, match="is not a plain value"):
            calls.encode(value)
