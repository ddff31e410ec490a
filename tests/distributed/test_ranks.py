"""Two processes train as one: torchrun, gloo, the same recipe and the same losses, the model put together again."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from xmtf.files import read_jsonl

RECIPE = Path(__file__).parents[2] / "examples" / "own-data" / "recipe.yaml"
OVERRIDES = ("execution.engine=inline", "training.steps=6", "training.log_every=1", "training.threads=1")


def call(*command):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    result = subprocess.run([sys.executable, *command], capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    return result


def losses(folder):
    return {event["step"]: event["loss"] for event in read_jsonl(folder / "log.jsonl") if event["event"] == "train"}


def test_torchrun_with_two_processes_gives_the_losses_of_one(tmp_path, run_apart):
    alone, together = tmp_path / "alone", tmp_path / "together"
    begun = ("-m", "xmtf.cli", "run", str(RECIPE), f"run_folder={alone}", *OVERRIDES)
    for until in ("tokens", "train"):
        result = run_apart([sys.executable, *begun, "--until", until, "evaluation.before=false"], forked=True)
        assert result.returncode == 0, result.stderr
        if until == "tokens":
            shutil.copytree(alone, together)
    torchrun = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1", "--standalone")
    sharded = (*OVERRIDES, "training.parallel.dp_shard=2")
    said = call(*torchrun, "-m", "xmtf.cli", "train", str(RECIPE), f"run_folder={together}", *sharded).stderr
    assert "loads it completely" not in said
    assert losses(together) == pytest.approx(losses(alone), abs=2e-5)
    assert len(losses(together)) == 6
    assert (together / "model" / "manifest.json").exists()
    whole, cut = (load_file(folder / "model" / "model.safetensors") for folder in (alone, together))
    assert whole.keys() == cut.keys()
    assert all(torch.dist(cut[name], weight) <= 1e-3 * weight.norm() for name, weight in whole.items())
