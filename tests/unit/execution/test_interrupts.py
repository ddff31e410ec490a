"""Ctrl-C in a terminal reaches every process of the group; the one that was started says so, and no other."""

import subprocess
import sys

PROGRAM = """
import multiprocessing, os, signal
from concurrent.futures import ProcessPoolExecutor
from xmtf.execution.run import _interrupts_held, _let_interrupt

if __name__ == "__main__":
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_let_interrupt) as pool:
        try:
            with _interrupts_held():
                started = pool.submit(os.getpid)
                os.killpg(0, signal.SIGINT)
        except KeyboardInterrupt:
            print("interrupted", started.result() != os.getpid())
"""


def test_workers_that_are_just_starting_are_not_torn_apart(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, start_new_session=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted True\n", "")
