"""Hostile programs: none passes, none leaves a trace outside."""

import dataclasses
import socket
import uuid
from pathlib import Path

import pytest

from xmtf.errors import ConfigError
from xmtf.evaluation.code import sandbox
from xmtf.evaluation.code.jail.watch import processes_of, usage_of
from xmtf.evaluation.code.languages import python
from xmtf.evaluation.code.languages.toolchain import Program
from xmtf.evaluation.code.limits import Limits
from xmtf.evaluation.code.sandbox import Verdict, require_sandbox, run_program, run_programs, sandbox_fault

needs_sandbox = pytest.mark.skipif(bool(sandbox_fault()), reason=f"no sandbox here: {sandbox_fault()}")
QUICK = Limits(wall_s=20.0, cpu_s=2.0, memory=256 * 2**20)
CLOCK = Limits(wall_s=1.0, cpu_s=30.0)

HOSTILE = {
    "fork bomb": "import os\nwhile True:\n    os.fork()",
    "fork bomb that ignores its children": (
        "import os, signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\nwhile True:\n"
        "    if os.fork() == 0:\n        while True: pass"
    ),
    "memory bomb": "x = []\nwhile True:\n    x.append(bytearray(2**24))",
    "memory of many": (
        "import os, time\nfor _ in range(4):\n    if os.fork() == 0:\n        break\n"
        "x = bytearray(b'1') * (80 * 2**20)\ntime.sleep(60)"
    ),
    "endless loop": "while True: pass",
    "loop in a child": "import os\nif os.fork() == 0:\n    while True: pass\nos.wait()",
    "loop in a daemon": (
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        while True: pass\n"
        "    os._exit(0)\ntime.sleep(60)"
    ),
    "deletes files": "import shutil; shutil.rmtree('{home}')",
    "writes beside": "open('{home}/trace', 'w').write('x')",
    "fills the disk": "f = open('/tmp/big', 'wb')\nwhile True:\n    f.write(bytes(2**20)); f.flush()",
    "many files": "for n in range(10**6):\n    open(f'/tmp/{{n}}', 'wb').write(bytes(2**20))",
    "network": "import socket; socket.create_connection(('127.0.0.1', {port}), timeout=1)",
    "raw network": "import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
    "reads home": "import os; assert os.listdir(os.path.expanduser('~root')) or open('{home}/secret').read()",
    "reads a secret": "open('{home}/secret').read()",
    "kills the parent": "import os, signal\nos.kill(os.getppid(), 9)\nos.kill(1, 9)\nos.kill(-1, 9)\nassert False",
    "leaves early": "import sys; sys.exit(0)",
    "leaves at once": "import os; os._exit(0)",
    "patched asserts": "import builtins\nbuiltins.AssertionError = type('E', (Exception,), {{}})\nassert 1 == 2",
    "child lives on": "import os, time\nif os.fork() == 0:\n    time.sleep(300)\nassert False",
    "child holds the pipes": "import os, time\nif os.fork() == 0:\n    time.sleep(300)\nos._exit(3)",
    "becomes root": "import os; os.setuid(0)\nos.mkdir('/usr/trace')",
    "mounts": "import ctypes; assert ctypes.CDLL(None).mount(b't', b'/tmp', b'tmpfs', 0, None) == 0",
    "new namespaces": "import ctypes; assert ctypes.CDLL(None).unshare(0x10000000) == 0",
    "clones namespaces": "import ctypes; assert ctypes.CDLL(None).syscall({clone}, 0x10000011, 0, 0, 0, 0) >= 0",
    "traces": "import ctypes; assert ctypes.CDLL(None).ptrace(16, 1, 0, 0) == 0",
    "reads memory": "import ctypes; assert ctypes.CDLL(None).process_vm_readv(1, 0, 0, 0, 0, 0) == 0",
    "loads into the kernel": "import ctypes; assert ctypes.CDLL(None).syscall({bpf}, 0, 0, 0) >= 0",
    "other system calls": "import ctypes; ctypes.CDLL(None).syscall(0x40000000 + 39); assert False",
    "syntax": "def f(:",
}


@needs_sandbox
@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("apart", [True, False])
def test_hostile_programs_fail_and_leave_no_trace(tmp_path, name, apart):
    import platform

    (tmp_path / "secret").write_text("s3cret")
    clone, bpf = (56, 321) if platform.machine() == "x86_64" else (220, 280)
    mark = uuid.uuid4().hex
    marked = dataclasses.replace(python.find(None), environment={"MARK": mark})
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        source = HOSTILE[name].format(home=tmp_path, port=port, clone=clone, bpf=bpf)
        program = Program("python", source + "\ndef f(): return 1\n", "assert f() == 1", ("f",) if apart else ())
        waits = apart and name == "child holds the pipes"  # until the clock ends it
        verdict = run_program(marked, program, dataclasses.replace(QUICK, wall_s=2.0) if waits else QUICK)
    assert not verdict.passed
    assert verdict.outcome in ("failed", "timed out"), verdict
    assert verdict.apart == apart
    assert verdict.clock == waits, verdict
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]
    assert not Path("/usr/trace").exists()
    assert not processes_marked(mark)


def processes_marked(mark):
    """Return the processes that were started with this in their environment: what a sandbox would leave behind."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes():
                found.append(folder.name)
        except OSError:  # gone meanwhile, or another user's
            continue
    return found


def test_what_a_process_started_is_found():
    import subprocess
    import sys

    mark = uuid.uuid4().hex
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env={"MARK": mark}) as child:
        # The environment of a process is there once it has become the other program.
        while not (found := processes_marked(mark)):
            assert child.poll() is None
        assert found == [str(child.pid)]
        assert child.pid in processes_of(child.pid)
        assert usage_of(child.pid)[1] > 0
        child.communicate(b"\n")
    assert processes_marked(mark) == []


@needs_sandbox
@pytest.mark.parametrize("names", [("f",), ()])
def test_a_right_program_passes_and_has_a_place_to_write(names):
    source = "import math, json, re\ndef f():\n    open('/tmp/x', 'w').write('1')\n    return open('/tmp/x').read()"
    assert run_program(python.find(None), Program("python", source, "assert f() == '1'", names)).passed


@needs_sandbox
def test_processor_time_is_that_of_all_processes_together():
    source = (
        "import os, time\ndef f():\n    for _ in range(4):\n        if os.fork() == 0:\n"
        "            while time.process_time() < 1.2: pass\n            os._exit(0)\n"
        "    for _ in range(4): os.wait()\n    return 1"
    )
    program = Program("python", source, "assert f() == 1", ("f",))
    verdict = run_program(python.find(None), program, Limits(cpu_s=3.0, wall_s=120.0))
    assert (verdict.outcome, verdict.detail) == ("timed out", "processor time, after 3 s")
    assert run_program(python.find(None), program, Limits(cpu_s=60.0, wall_s=240.0)).passed


@needs_sandbox
def test_the_clock_does_not_end_what_computes_however_slowly():
    source = (
        "import time\ndef f():\n    end = time.monotonic() + 4\n    while time.monotonic() < end:\n"
        "        busy = time.process_time() + 0.01\n        while time.process_time() < busy: pass\n"
        "        time.sleep(0.04)\n    return 1"
    )
    program = Program("python", source, "assert f() == 1", ("f",))
    assert run_program(python.find(None), program, Limits(wall_s=1.5, cpu_s=60.0)).passed


@needs_sandbox
def test_the_clock_ends_a_program_that_only_waits():
    sleeper = Program("python", "import time\ndef f(): time.sleep(60)", "f()", ("f",))
    verdict = run_program(python.find(None), sleeper, CLOCK)
    assert (verdict.outcome, verdict.clock) == ("timed out", True)


def test_what_the_clock_ended_runs_again_alone(monkeypatch):
    started, running, alone, ended = [], [], [], []

    def counted(toolchain, program, limits, *, unsafe):
        started.append(program)
        running.append(program)
        alone.append(len(running) == 1)
        running.remove(program)
        return Verdict("passed") if program == "quick" else Verdict("timed out", clock=True)

    monkeypatch.setattr(sandbox, "run_program", counted)
    programs = [(None, name) for name in ("first sleeper", "quick", "second sleeper")]
    verdicts = run_programs(programs, CLOCK, workers=2, ended=lambda: ended.append(1))
    assert [verdict.outcome for verdict in verdicts] == ["timed out", "passed", "timed out"]
    assert [verdict.clock for verdict in verdicts] == [True, False, True]
    assert started[3:] == ["first sleeper", "second sleeper"]
    assert alone[3:] == [True, True]
    assert len(ended) == 3


def test_a_second_run_alone_decides(monkeypatch):
    verdicts = iter([Verdict("timed out", clock=True), Verdict("passed")])
    monkeypatch.setattr(sandbox, "run_program", lambda *_, **__: next(verdicts))
    assert run_programs([(None, None)]) == [Verdict("passed")]


@needs_sandbox
def test_programs_side_by_side_keep_their_order():
    programs = [Program("python", text, "") for text in ("assert True", "assert False", "x = 1")]
    verdicts = run_programs([(python.find(None), program) for program in programs], workers=2)
    assert [verdict.passed for verdict in verdicts] == [True, False, True]


@pytest.mark.parametrize("names", [("f",), ()])
def test_unsafe_still_has_deadlines_and_verdicts_and_leaves_no_daemon(names):
    mark = uuid.uuid4().hex
    chain = dataclasses.replace(python.find(None), environment={"MARK": mark})

    def run(text):
        return run_program(chain, Program("python", text, "assert f() == 2", names), Limits(cpu_s=1.0), unsafe=True)

    assert run("def f(): return 1 + 1").passed
    assert run("import sys\ndef f(): sys.exit(0)").outcome == "failed"
    assert run("def f():\n    while True: pass").outcome == "timed out"
    daemon = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(300)\ndef f(): return 2"
    assert run(daemon).passed
    assert processes_marked(mark) == []


def test_without_a_sandbox_nothing_starts_unless_unsafe(monkeypatch):
    monkeypatch.setattr(sandbox, "sandbox_fault", lambda: "unshare: Operation not permitted")
    with pytest.raises(ConfigError, match=r"unshare: Operation not permitted.*--unsafe"):
        require_sandbox(unsafe=False)
    require_sandbox(unsafe=True)
