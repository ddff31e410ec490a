"""Processes end with the command that started them, however it ends, also behind another program."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from xmtf.guards.tether import follow_parent

RANK = (
    "import time; from xmtf.guards.tether import follow_parent; "
    "follow_parent(); print('ready', flush=True); time.sleep(60)"
)
BETWEEN = f"""
import subprocess, sys, time
rank = subprocess.Popen([sys.executable, "-c", {RANK!r}], stdout=subprocess.PIPE, start_new_session=True)
rank.stdout.readline()
print(rank.pid, flush=True)
time.sleep(60)
"""
COMMAND = f"""
import os, subprocess, sys, time
from xmtf.guards.tether import tether
with tether() as tied:
    between = subprocess.Popen([sys.executable, "-c", {BETWEEN!r}], env=os.environ | tied, process_group=0)
    time.sleep(60)
"""


def is_alive(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_ranks_end_when_the_command_is_killed():
    command = subprocess.Popen([sys.executable, "-c", COMMAND], stdout=subprocess.PIPE, text=True)
    rank = int(command.stdout.readline())
    between = int(Path(f"/proc/{rank}/stat").read_text().rpartition(")")[2].split()[1])
    time.sleep(0.2)
    assert is_alive(rank)
    command.send_signal(signal.SIGKILL)
    command.wait()
    end = time.monotonic() + 300
    while is_alive(rank) and time.monotonic() < end:
        time.sleep(0.02)
    assert not is_alive(rank)
    os.kill(between, signal.SIGKILL)  # torchrun ends by itself when its ranks do
    command.stdout.close()


def test_a_rank_that_comes_too_late_ends_at_once():
    environment = os.environ | {"XMTF_TETHER": "1"}  # nobody listens there any more
    done = subprocess.run([sys.executable, "-c", RANK], env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"")


def test_who_is_not_tied_goes_on(monkeypatch):
    monkeypatch.delenv("XMTF_TETHER", raising=False)
    follow_parent()
