"""A run here in many processes: the commands that it consists of, and what it says when one fails."""

import os
import sys
from pathlib import Path

import pytest

from xmtf.artefacts.event_log import read_events
from xmtf.errors import ConfigError, DataError
from xmtf.launch import local, run_local
from xmtf.launch.local import local_commands
from xmtf.launch.meeting import Meeting
from xmtf.launch.stage import LaunchStage
from xmtf.recipe import load_recipe

SMOKE = Path(__file__).parents[3] / "recipes" / "smoke" / "bloom-tiny.yaml"


def test_building_is_a_pool_and_training_is_under_torchrun():
    commands = {stage.name: of for stage, of in local_commands(load_recipe(SMOKE), ("seed=1",), 3)}
    assert list(commands) == ["tokens", "before", "before_scores", "train", "after", "after_scores", "report"]
    of = [str(SMOKE), "seed=1", "execution.engine=pool", "execution.workers=3"]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "3", "--log-dir", os.devnull]
    assert commands["tokens"] == [[sys.executable, "-m", "xmtf.cli", "run", *of, "--until", "initial"]]
    assert commands["train"] == [[sys.executable, *torchrun, "-m", "xmtf.cli", "train", *of]]
    measure = [sys.executable, "-m", "xmtf.cli", "evaluate", "run", *of, "--label", "after"]
    assert commands["after"] == [[*measure, "--jobs", "3", "--index", str(index)] for index in range(3)]
    assert commands["after_scores"] == [measure]


def test_a_model_that_is_cut_is_evaluated_under_torchrun():
    loaded = load_recipe(SMOKE, ["evaluation.parallel.tp=2"])
    commands = {stage.name: of for stage, of in local_commands(loaded, ("evaluation.parallel.tp=2",), 4)}
    assert list(commands) == ["tokens", "before", "train", "after", "report"]
    for name in ("before", "after"):
        [command] = commands[name]
        assert command[1:6] == ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "4"]
        assert "--jobs" not in command
    with pytest.raises(ConfigError, match="tp 2 x pp 1 needs 2 processes for each copy of the model, and 3 are not"):
        run_local(loaded, ("evaluation.parallel.tp=2",), 3)


def test_one_process_needs_no_torchrun():
    commands = {stage.name: of for stage, of in local_commands(load_recipe(SMOKE), (), 1)}
    assert list(commands) == ["tokens", "before", "train", "after", "report"]
    assert not any("torch.distributed.run" in command for [command] in commands.values())


@pytest.mark.parametrize(("code", "error"), [(2, ConfigError), (1, DataError), (-9, DataError)])
def test_a_stage_that_fails_stops_the_run_and_is_named(monkeypatch, code, error):
    program = f"import os, signal; os.kill(os.getpid(), {-code}) if {code} < 0 else exit({code})"
    monkeypatch.setattr(
        local,
        "local_commands",
        lambda *_, **_keywords: [
            (LaunchStage("train", "", ()), [[sys.executable, "-c", "pass"], [sys.executable, "-c", program]])
        ],
    )
    with pytest.raises(error, match="stage train") as refused:
        run_local(load_recipe(SMOKE), (), 2)
    assert f"To run the stage alone: {sys.executable} -c pass" in str(refused.value) or error is ConfigError


def test_what_stages_took_is_written_down_once(monkeypatch, tmp_path):
    """`xmtf run` writes down its own stages; evaluations and training in several processes are written down here."""
    burn = "import time; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    stages = [("tokens", ("run",)), ("before", ("evaluate",)), ("before_scores", ("evaluate",)), ("train", ("train",))]
    commands = [(LaunchStage(name, "", command), [[sys.executable, "-c", burn]] * 2) for name, command in stages]
    monkeypatch.setattr(local, "local_commands", lambda *_, **_keywords: commands)
    loaded = load_recipe(SMOKE, [f"run_folder={tmp_path}"])
    run_local(loaded, (), 2)
    events = list(read_events(loaded.run.log))
    assert [event["stage"] for event in events] == ["before", "before", "train"]
    assert all(event["cpu_seconds"] >= 0.6 for event in events)


STAGE = """
import os, pathlib, signal, sys, time

stop, ended = map(pathlib.Path, sys.argv[1:])
os.kill(os.getppid(), signal.SIGINT)  # Ctrl-C, once this runs
try:
    while not stop.exists():
        time.sleep(0.01)
    ended.write_text("saved")
except KeyboardInterrupt:
    ended.write_text("interrupted")
sys.exit(130)
"""


@pytest.mark.parametrize(("saves", "ended"), [(True, "saved"), (False, "interrupted")])
def test_ctrl_c_lets_training_save_and_other_stages_end(monkeypatch, tmp_path, saves, ended):
    loaded = load_recipe(SMOKE, [f"run_folder={tmp_path}"])
    command = [sys.executable, "-c", STAGE, str(tmp_path / "checkpoints" / "stop"), str(tmp_path / "ended")]
    monkeypatch.setattr(
        local,
        "local_commands",
        lambda *_, **_keywords: [(LaunchStage("train", "", (), place="ranks", saves=saves), [command])],
    )
    with pytest.raises(KeyboardInterrupt):
        run_local(loaded, (), 2)
    assert (tmp_path / "ended").read_text() == ended


def test_machines_meet_where_they_are_told_and_start_again(monkeypatch):
    commands = {}

    def run(given, environment, stop, gpus):
        commands.update(command=given, stop=stop, gpus=gpus)
        return 0

    monkeypatch.setattr(local, "_run", run)
    monkeypatch.setattr(local, "gpus_of_processes", lambda *_: ["0", "1"])
    local.run_node(load_recipe(SMOKE), ("seed=1",), 2, Meeting(3, "node-0.train:29500", "demo", 4))
    meeting = ["--nnodes", "3", "--rdzv-backend", "c10d", "--rdzv-endpoint", "node-0.train:29500", "--rdzv-id", "demo"]
    ranks = [*meeting, "--nproc-per-node", "2", "--max-restarts", "4", "--virtual-local-rank", "--log-dir", os.devnull]
    train = ["-m", "xmtf.cli", "train", str(SMOKE), "seed=1"]
    assert commands["command"] == [[sys.executable, "-m", "torch.distributed.run", *ranks, *train]]
    assert commands["stop"].name == "stop"
    of = dict(local_commands(load_recipe(SMOKE), (), 2, meeting=Meeting(max_restarts=1)))
    [train] = [command for stage, command in of.items() if stage.name == "train"]
    assert "--standalone --nproc-per-node 2 --max-restarts 1" in " ".join(train[0])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"nodes": 2}, "--endpoint is missing"),
        ({"endpoint": "node-0"}, "is not host:port"),
        ({"endpoint": "a b:1"}, "is not host:port"),
        ({"nodes": 2, "endpoint": "[::1]:29500", "run": "a b"}, "is not a name"),
    ],
)
def test_a_meeting_that_would_not_take_place_is_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        Meeting(**given)
