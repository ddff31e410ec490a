"""Forked gloo processes: a pair starts in a tenth of a second, where spawned ones take ten."""

import os
import pickle
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

import pytest
import torch
import torch.distributed
import torch.distributed.checkpoint
import torch.distributed.fsdp
import torch.distributed.pipelining

from xmtf.parallel.topology.ranks import ALONE, Ranks

sys.path.insert(0, str(Path(__file__).parent))  # tiny_training.py is for all tests here


def _child(function, rank, size, folder, arguments, keywords):
    try:
        torch.set_num_threads(1)
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
        store = torch.distributed.FileStore(str(folder / "store"), size)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=size)
            result = (True, function(Ranks(rank, size), *arguments, **keywords))
            torch.distributed.destroy_process_group()
    except BaseException:  # noqa: BLE001 - told to the parent
        result = (False, traceback.format_exc())
    (folder / f"{rank}.part").write_bytes(pickle.dumps(result))
    (folder / f"{rank}.part").rename(folder / str(rank))


def run_processes(size, function, *arguments, **keywords):
    """Return what ``function(ranks, *arguments)`` returns in each of ``size`` processes."""
    if size == 1:
        return [function(ALONE, *arguments, **keywords)]
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder, children = Path(name), []
        for rank in range(size):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: forked while threads run
                child = os.fork()
            if child == 0:
                _child(function, rank, size, folder, arguments, keywords)
                os._exit(0)
            children.append(child)
        ended = [os.waitpid(child, 0)[1] for child in children]
        killed = [rank for rank, status in enumerate(ended) if os.WIFSIGNALED(status)]
        assert not killed, f"processes {killed} were killed"
        results = [pickle.loads((folder / str(rank)).read_bytes()) for rank in range(size)]
    wrong = [text for good, text in results if not good]
    assert not wrong, wrong[0]
    return [value for _, value in results]


@pytest.fixture
def processes():
    return run_processes


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("XMTF_PROGRESS", "off")
