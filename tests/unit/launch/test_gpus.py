"""Which GPU each process of a command gets, told from a double of their number."""

import json
import subprocess
import sys

import pytest
import torch

from xmtf.errors import ConfigError
from xmtf.launch import Cluster, local
from xmtf.launch.gpus import gpus_of_processes
from xmtf.launch.stage import LaunchStage
from xmtf.models.device import take_gpu
from xmtf.recipe import load_recipe


@pytest.fixture
def machine(monkeypatch):
    """Return a function that gives this machine so many GPUs, of which a process may use those of a list."""

    def with_(found, visible=None):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: found)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    return with_


@pytest.mark.parametrize(
    ("found", "visible", "processes", "each"),
    [
        (8, None, 3, ["0", "1", "2"]),
        (4, "4,5, 6,7", 4, ["4", "5", "6", "7"]),
        (2, "GPU-8932f937, MIG-5f3a", 2, ["GPU-8932f937", "MIG-5f3a"]),
        (2, "1,0,-1,3", 2, ["1", "0"]),  # CUDA reads no further than a name that is none
        (0, "", 2, []),
        (0, None, 2, []),
    ],
)
def test_the_gpus_of_a_process_are_divided_among_those_that_it_starts(machine, found, visible, processes, each):
    machine(found, visible)
    assert gpus_of_processes(processes, "auto") == each


def test_more_processes_than_gpus_are_refused_unless_they_compute_on_the_cpu(machine):
    machine(2, "5,6")
    with pytest.raises(ConfigError, match=r"--processes 3: torch finds 2 GPUs here \(CUDA_VISIBLE_DEVICES=5,6\)"):
        gpus_of_processes(3, "auto")
    assert gpus_of_processes(3, "cpu") == []
    with pytest.raises(ConfigError, match="--processes-per-node 8: a node has 4 GPUs"):
        Cluster(gpus_per_node=4, processes_per_node=8)


def test_processes_of_an_evaluation_see_one_gpu_each_and_training_divides_them(monkeypatch, machine, tmp_path):
    machine(4, "4,5,6,7")
    program = "import os, sys; open(sys.argv[1], 'w').write(os.environ['CUDA_VISIBLE_DEVICES'])"
    shares = [[sys.executable, "-c", program, str(tmp_path / str(number))] for number in range(3)]
    stages = [
        (LaunchStage("render", "", (), place="array"), [[*shares[0][:-1], str(tmp_path / "build")]]),
        (LaunchStage("after", "", (), place="array", model=True), shares),
    ]
    asked = {}
    monkeypatch.setattr(local, "local_commands", lambda *_, **keywords: asked.update(keywords) or stages)
    monkeypatch.setattr(local, "check_layout", lambda *_: None)
    local.run_local(local_recipe(tmp_path), (), 3)
    assert [(tmp_path / str(number)).read_text() for number in range(3)] == ["4", "5", "6"]
    assert (tmp_path / "build").read_text() == "4,5,6,7"
    assert asked["on_gpus"]


def local_recipe(folder):
    text = {"name": "a", "model": {"base": "m"}, "training": {"steps": 1}, "mixture": {"tasks": [{"catalogue": "x"}]}}
    (folder / "recipe.yaml").write_text(json.dumps(text))
    return load_recipe(folder / "recipe.yaml")


@pytest.mark.slow
def test_torchrun_divides_a_list_among_its_processes(tmp_path):
    """Holds what ``--virtual-local-rank`` does, on which training relies."""
    program = tmp_path / "own.py"
    program.write_text(
        "import os, sys; open(f'{sys.argv[1]}/{os.environ[\"RANK\"]}', 'w').write("
        "os.environ['CUDA_VISIBLE_DEVICES'] + ' ' + os.environ['LOCAL_RANK'])"
    )
    options = ["--standalone", "--nproc-per-node", "2", local._ONE_EACH]
    environment = {"CUDA_VISIBLE_DEVICES": "6,7", "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", *options, str(program), str(tmp_path)]
    assert subprocess.run(command, env=environment, capture_output=True).returncode == 0
    assert [(tmp_path / str(rank)).read_text() for rank in range(2)] == ["6 0", "7 0"]


def test_a_process_of_torchrun_takes_the_gpu_of_its_number_or_is_refused(monkeypatch, machine):
    machine(2)
    taken = []
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    assert take_gpu(1) == torch.device("cuda:1") == taken[0]
    with pytest.raises(ConfigError, match="process 2 of this machine has no GPU: torch finds 2"):
        take_gpu(2)
