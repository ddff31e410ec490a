"""SIGTERM and SIGHUP do what Ctrl-C does; what was ignored at the start stays ignored."""

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import signal, sys
from xmtf.cli import app

def wait(arguments):
    try:
        print("ready", flush=True)
        sys.stdin.read()
        return 0
    except KeyboardInterrupt:
        return 130

app._run = wait
app.main()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("ignored", [False, True])
def test_a_signal_stops_as_ctrl_c_does_unless_it_was_ignored(number, ignored):
    before = signal.signal(number, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:
        process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=-1, stdout=-1, stderr=-1, text=True)
    finally:
        signal.signal(number, before)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    if not ignored:
        process.wait()  # while its input is open: nothing else ends it
    _, said = process.communicate()
    assert process.returncode == (0 if ignored else 130)
    assert (f"{number.name} received" in said) is not ignored
