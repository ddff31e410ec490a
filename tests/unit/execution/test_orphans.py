"""Workers of a pool end with the process that started them, however that ends."""

import os
import signal
import subprocess
import sys
import time

import pytest

PROGRAM = """
import multiprocessing, os, signal, sys, time
from concurrent.futures import ProcessPoolExecutor
from xmtf.execution.run import _let_interrupt

if __name__ == "__main__":
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it would be ignored
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=_let_interrupt) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        pool.submit(time.sleep, 600).result()
"""


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as stream:
        return stream.read().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_worker_ends_with_its_parent(tmp_path, number):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    # what pytest ignores, as SIGHUP under nohup, its children would ignore, too
    before = None if number == signal.SIGKILL else signal.signal(number, signal.SIG_DFL)
    try:
        parent = subprocess.Popen([sys.executable, path], stdout=subprocess.PIPE, text=True, start_new_session=True)
    finally:
        if before is not None:
            signal.signal(number, before)
    with parent:
        worker = int(parent.stdout.readline())
        assert is_running(worker)
        parent.send_signal(number)
        parent.wait()
    for _ in range(600):
        if not is_running(worker):
            break
        time.sleep(0.1)
    assert not is_running(worker)
