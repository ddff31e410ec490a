"""A real Slurm of one node carries out a recipe, although a job of its array is killed half-way."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from xmtf.files import read_manifest
from xmtf.launch import Cluster, submit, write_scripts
from xmtf.mixture import build_mixture
from xmtf.recipe import load_recipe

SCRIPT = Path(__file__).parents[2] / "scripts" / "slurm-one-node.sh"


@pytest.fixture
def slurm(monkeypatch):
    """A Slurm of this machine alone, for the test."""
    if any(shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin") is None for name in ("slurmctld", "munged")):
        pytest.skip("needs slurmctld, slurmd and munged (apt-get install slurm-wlm munge)")
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # not in tmp_path: munge wants its socket reachable for all
    try:
        started = subprocess.run([SCRIPT, "start", folder], capture_output=True, text=True)
        if started.returncode != 0:
            pytest.skip(f"Slurm cannot be started here: {started.stderr.strip()}")
        monkeypatch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        yield
        subprocess.run(["scancel", "--user", str(os.getuid())], check=False)
    finally:
        subprocess.run([SCRIPT, "stop", folder], check=True)
        shutil.rmtree(folder, ignore_errors=True)


def kill_a_job(recipe, shards):
    """Wait until a shard is done, then send SIGKILL to one of the processes that render others."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if list(shards.glob("[!.]*/done.json")):
            for process in psutil.process_iter(["cmdline"]):
                if {"run-task", str(recipe)} <= set(process.info["cmdline"] or ()):
                    process.send_signal(signal.SIGKILL)
                    return
        time.sleep(0.002)
    pytest.fail("no job rendered anything")


def wait_for_all():
    deadline = time.monotonic() + 420
    while subprocess.run(["squeue", "--noheader"], check=True, capture_output=True).stdout:
        assert time.monotonic() < deadline, subprocess.run(["squeue"], capture_output=True, text=True).stdout
        time.sleep(0.5)


@pytest.mark.timeout(600)  # a dozen processes, one after the other
def test_a_killed_job_is_queued_again_and_the_run_is_finished(slurm, slow_recipe, tmp_path, monkeypatch, contents):
    monkeypatch.chdir(tmp_path)
    write_scripts(load_recipe(slow_recipe), (), Cluster(jobs=2, processes_per_node=2), tmp_path / "jobs")
    listed = [line.split()[0] for line in submit(tmp_path / "jobs").splitlines()]
    kill_a_job(slow_recipe, tmp_path / "runs" / "small" / ".mixture.work" / "shards")
    wait_for_all()
    logs = {path.name: path.read_text() for path in (tmp_path / "jobs" / "logs").glob("*.log")}
    built = ["plan", "render", "order", "parts", "mixture", "tokenizer", "encode", "tokens"]
    assert listed == [*built, "train", "report"]
    assert any("exit code 137" in text for name, text in logs.items() if name.startswith("small-render"))
    assert not list((tmp_path / "jobs" / "logs").glob("*.failed")), logs
    build_mixture(load_recipe(slow_recipe, ["execution.engine=inline"]), tmp_path / "inline")
    assert contents(tmp_path / "runs" / "small" / "mixture") == contents(tmp_path / "inline")
    assert read_manifest(tmp_path / "runs" / "small" / "model").counts["step"] == 2
    assert (tmp_path / "runs" / "small" / "report" / "index.html").is_file()
