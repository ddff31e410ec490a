"""A process that is killed, stopped, late or wrong is named in one line, and nobody waits for it."""

import os
import pickle
import signal
import socket
import time
import warnings

import pytest
import torch

from xmtf.errors import LostProcessError, UserError
from xmtf.parallel.topology.ranks import all_processes
from xmtf.recipe.sections.processes import Timeouts

QUICK = {"start": 60, "step": 60, "silence": 1}


def joined(function, folder, timeouts):
    with all_processes("cpu", Timeouts(**QUICK | timeouts), folder / "flight") as ranks:
        ranks.at("step 1")
        torch.distributed.all_reduce(torch.ones(1))
        function(ranks)


@pytest.fixture
def together(tmp_path, monkeypatch):
    """Return what runs a function in processes as torchrun starts them: exit code and error of each."""
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.delenv("TORCH_FR_BUFFER_SIZE", raising=False)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("MASTER_PORT", str(port))

    def run(function, size=2, **timeouts):
        torch.set_num_threads(1)
        monkeypatch.setenv("WORLD_SIZE", str(size))
        store = torch.distributed.TCPStore("127.0.0.1", port, None, True, wait_for_workers=False)
        children = []
        for rank in range(size):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: forked while threads run
                child = os.fork()
            if child == 0:
                os.environ["RANK"], code, error = str(rank), 0, None
                try:
                    joined(function, tmp_path, timeouts)
                except SystemExit as end:
                    code = end.code
                except BaseException as raised:  # noqa: BLE001 - told to the parent
                    code, error = 3, f"{type(raised).__name__}: {raised}"
                (tmp_path / f"error-{rank}").write_bytes(pickle.dumps(error))
                os._exit(code)
            children.append(child)
        ended = [os.waitpid(child, os.WUNTRACED)[1] for child in children]
        for child, status in zip(children, ended, strict=True):
            if os.WIFSTOPPED(status):
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
        del store
        paths = [tmp_path / f"error-{rank}" for rank in range(size)]
        return ended, [pickle.loads(path.read_bytes()) if path.exists() else None for path in paths]

    return run


def test_processes_that_end_as_they_should_leave_nothing_behind(together, tmp_path):
    ended, errors = together(lambda ranks: ranks.wait())
    assert (ended, errors) == ([0, 0], [None, None])
    assert not (tmp_path / "flight").exists()


def test_a_process_that_is_killed_is_named_once(together, tmp_path):
    def function(ranks):
        if ranks.rank == 1:
            ranks.at("step 2")
            time.sleep(0.5)  # the sign of life has said so
            os.kill(os.getpid(), signal.SIGKILL)
        torch.distributed.all_reduce(torch.ones(1))

    ended, errors = together(function, size=3)
    said = [error for error in errors if error]
    assert len(said) == 1
    assert said[0].startswith("LostProcessError: process 1 (")
    assert "is gone: it gives no sign of life, the last at 'step 2'; the same command resumes" in said[0]
    assert sorted(os.waitstatus_to_exitcode(status) for status in ended) == [-9, 1, 3]
    assert pickle.loads((tmp_path / "flight" / "rank_0").read_bytes())["entries"][-1]["profiling_name"]


def test_a_process_that_is_stopped_is_given_up(together, tmp_path, capfd):
    def function(ranks):
        if ranks.rank == 1:
            time.sleep(0.5)
            os.kill(os.getpid(), signal.SIGSTOP)
        torch.distributed.all_reduce(torch.ones(1))

    ended, _ = together(function)
    assert os.waitstatus_to_exitcode(ended[0]) == 1
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("xmtf: ")]
    assert len(lines) == 1
    assert "gave no sign of life for 1 s, the last at 'step 1' (training.timeouts.silence); the same" in lines[0]
    assert (tmp_path / "flight" / "rank_0").is_file()


def test_a_process_that_is_late_is_told_from_one_that_is_gone(together):
    def function(ranks):
        if ranks.rank == 1:
            time.sleep(4)
        else:
            ranks.at("validation after step 1")
            torch.distributed.all_reduce(torch.ones(1))

    _, errors = together(function, step=1)
    assert "is alive and has not come: it is at 'step 1', process 0 at 'validation after step 1'" in errors[0]


def test_a_place_where_all_wait_names_who_has_not_come(together):
    def function(ranks):
        if ranks.rank == 1:
            ranks.at("exporting")
            time.sleep(3)
        ranks.wait(1, "the export")

    _, errors = together(function)
    assert "process 1 (" in errors[0]
    assert "has not come within 1 s for the export; it is at 'exporting'" in errors[0]


def test_the_error_of_a_process_is_said_by_it_alone(together):
    def function(ranks):
        if ranks.rank == 1:
            raise UserError("the disk is full")
        ranks.wait()

    ended, errors = together(function)
    assert errors == [None, "UserError: the disk is full"]
    assert os.waitstatus_to_exitcode(ended[0]) == 1


def test_it_is_an_error_of_its_own():
    assert LostProcessError.code == "lost-process"
