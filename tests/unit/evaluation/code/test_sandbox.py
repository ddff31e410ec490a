"""Hostile programs: none passes, none leaves a trace outside."""

import subprocess
import sys
from pathlib import Path

import pytest

from xmtf.errors import ConfigError
from xmtf.evaluation.code import sandbox
from xmtf.evaluation.code.sandbox import Limits, require_sandbox, run_program, run_programs, sandbox_fault

needs_sandbox = pytest.mark.skipif(bool(sandbox_fault()), reason=f"no sandbox here: {sandbox_fault()}")
QUICK = Limits(wall_s=2.0, cpu_s=2, memory=256 * 2**20)

HOSTILE = {
    "fork bomb": "import os\nwhile True:\n    os.fork()",
    "memory bomb": "x = []\nwhile True:\n    x.append(bytearray(2**24))",
    "endless loop": "while True: pass",
    "sleeps": "import time; time.sleep(3600)",
    "deletes files": "import shutil; shutil.rmtree('{home}')",
    "writes beside": "open('{home}/trace', 'w').write('x')",
    "fills the disk": "f = open('/tmp/big', 'wb')\nwhile True:\n    f.write(bytes(2**20)); f.flush()",
    "network": "import socket; socket.create_connection(('127.0.0.1', {port}), timeout=1)",
    "reads home": "import os; assert os.listdir(os.path.expanduser('~root')) or open('{home}/secret').read()",
    "reads a secret": "open('{home}/secret').read()",
    "kills the parent": "import os, signal\nos.kill(os.getppid(), 9)\nos.kill(1, 9)\nos.kill(-1, 9)\nassert False",
    "leaves early": "import sys; sys.exit(0)",
    "leaves at once": "import os; os._exit(0)",
    "patched asserts": "import builtins\nbuiltins.AssertionError = type('E', (Exception,), {{}})\nassert 1 == 2",
    "leaves in a test": "def f(x): raise SystemExit(0)\nassert f(1) == 2",
    "child lives on": "import os, time\nif os.fork() == 0:\n    time.sleep(3600)\nassert False",
    "becomes root": "import os; os.setuid(0)\nos.mkdir('/usr/trace')",
    "mounts": "import ctypes; assert ctypes.CDLL(None).mount(b't', b'/tmp', b'tmpfs', 0, None) == 0",
    "new namespaces": "import ctypes; assert ctypes.CDLL(None).unshare(0x10000000) == 0",
    "syntax": "def f(:",
}
ENDLESS = {"endless loop", "sleeps"}


@needs_sandbox
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_programs_fail_and_leave_no_trace(tmp_path, survivors, name):
    import socket

    (tmp_path / "secret").write_text("s3cret")
    with socket.create_server(("127.0.0.1", 0)) as server:
        program = HOSTILE[name].format(home=tmp_path, port=server.getsockname()[1])
        verdict = run_program(program, QUICK)
    assert not verdict.passed
    assert verdict.outcome in (("timed out",) if name in ENDLESS else ("failed", "timed out")), verdict
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]
    assert not Path("/usr/trace").exists()
    assert not survivors()


def test_what_a_program_leaves_running_is_seen(survivors):
    orphan = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(3600)"
    subprocess.run([sys.executable, "-c", orphan], check=True)
    assert len(survivors(0)) == 1


@needs_sandbox
def test_a_right_program_passes_and_has_a_place_to_write():
    program = "import math, json, re\nopen('/tmp/x', 'w').write('1')\nassert open('/tmp/x').read() == '1'"
    assert run_program(program).passed


@needs_sandbox
def test_programs_side_by_side_keep_their_order():
    verdicts = run_programs(["assert True", "assert False", "x = 1"], workers=2)
    assert [verdict.passed for verdict in verdicts] == [True, False, True]


def test_unsafe_still_has_a_deadline_and_a_verdict():
    assert run_program("assert 1 + 1 == 2", unsafe=True).passed
    assert run_program("import sys; sys.exit(0)", unsafe=True).outcome == "failed"
    assert run_program("while True: pass", Limits(wall_s=0.5), unsafe=True).outcome == "timed out"


def test_without_a_sandbox_nothing_starts_unless_unsafe(monkeypatch):
    monkeypatch.setattr(sandbox, "sandbox_fault", lambda: "unshare: Operation not permitted")
    with pytest.raises(ConfigError, match=r"unshare: Operation not permitted.*--unsafe"):
        require_sandbox(unsafe=False)
    require_sandbox(unsafe=True)
