"""Workers of Ray Train train as processes of torchrun do: the losses of one process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import xmtf

pytest.importorskip("ray.train", reason="needs the extra ray")
ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "recipes" / "smoke" / "bloom-tiny.yaml"
SMALL = ("training.steps=4", "training.micro_batch_rows=4", "training.device=cpu", "training.log_every=1")


def losses(folder):
    events = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return {event["step"]: event["loss"] for event in events if event["event"] == "train"}


@pytest.mark.slow
def test_two_workers_have_the_losses_of_one_process(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XMTF_PROGRESS", "off")
    xmtf.run(RECIPE, [*SMALL, "run_folder=runs/one"], until="initial")
    tokens = tmp_path / "runs" / "one" / "tokens"
    xmtf.train(RECIPE, [*SMALL, "run_folder=runs/one"], tokens=tokens)
    overrides = [*SMALL, "run_folder=runs/two", "training.parallel.dp_shard=2"]
    xmtf.run(RECIPE, overrides, until="initial")
    command = [sys.executable, str(ROOT / "examples" / "ray_train.py"), str(RECIPE), "--workers", "2", *overrides]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, env=environment, timeout=500)
    expected, found = losses(tmp_path / "runs" / "one"), losses(tmp_path / "runs" / "two")
    assert (tmp_path / "runs" / "two" / "model" / "model.safetensors").is_file()
    assert len(expected) == 4
    assert found == pytest.approx(expected, rel=1e-4)
