"""Trackers get the numbers of the log's events: read back from what they wrote."""

import json
import os
import struct
import subprocess
import sys
import time

import pytest

from xmtf.errors import MissingExtraError
from xmtf.files import read_jsonl
from xmtf.training.loop.events import Log, scalars
from xmtf.training.loop.trackers import TrackedRun, open_trackers


@pytest.fixture
def run(tmp_path):
    return TrackedRun("tiny", tmp_path / "tracking", {"name": "tiny", "training": {"steps": 4}}, offline=True)


def write_events(log):
    log.write("train", 2, loss=2.5, mfu=None, loss_by_language={"fr": 2.0, "en": 3.0})
    log.write("checkpoint", 2, path="a/b")
    log.write("validation", 2, group="mixture", loss=2.25, loss_by_cluster={"nli": 1.5})
    log.write("measure", 2, group="held-out rows", kind="rank", value=0.5, by_task={"xnli/fr": 0.5})


NUMBERS = {
    "train/loss": 2.5,
    "train/loss_by_language/fr": 2.0,
    "train/loss_by_language/en": 3.0,
    "validation/mixture/loss": 2.25,
    "validation/mixture/loss_by_cluster/nli": 1.5,
    "measure/held-out rows/value": 0.5,
    "measure/held-out rows/by_task/xnli/fr": 0.5,
}


def test_only_finite_numbers_are_sent():
    event = {"loss": float("nan"), "mfu": None, "good": True, "path": "x", "rows": ["x"], "tokens": 3}
    assert dict(scalars("train", event)) == {"train/tokens": 3.0}


def test_tensorboard_event_files_hold_the_numbers(tmp_path, run):
    pytest.importorskip("tensorboard", reason="the extra `track` is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = Log(tmp_path / "log.jsonl", open_trackers(["tensorboard"], run))
    write_events(log)
    log.close()
    found = EventAccumulator(str(run.folder / "tensorboard")).Reload()
    assert {tag.replace("_", " "): found.Scalars(tag)[0].value for tag in found.Tags()["scalars"]} == {
        name.replace("_", " "): value for name, value in NUMBERS.items()
    }
    assert {found.Scalars(tag)[0].step for tag in found.Tags()["scalars"]} == {2}
    assert len(list(read_jsonl(log.path))) == 4


def test_tensorboard_hides_what_a_run_that_went_on_repeats(run):
    pytest.importorskip("tensorboard", reason="the extra `track` is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for steps in ((2, 4, 6), (4, 6)):
        (tracker,) = open_trackers(["tensorboard"], run)
        for step in steps:
            tracker.write(step, {"train/loss": float(len(steps))})
        tracker.close()
    events = EventAccumulator(str(run.folder / "tensorboard")).Reload().Scalars("train/loss")
    assert [(event.step, event.value) for event in events] == [(2, 3.0), (4, 2.0), (6, 2.0)]


TRACKED = """
import sys
from pathlib import Path
from xmtf.training.loop.trackers import TrackedRun, open_trackers

for steps in ((2, 4), (8,)):  # the second is a run that went on
    (tracker,) = open_trackers(["trackio"], TrackedRun("tiny", Path(sys.argv[1]), {"name": "tiny"}, offline=True))
    for step in steps:
        tracker.write(step, {"train/loss": 1 / step})
    tracker.close()

import trackio
(run,) = trackio.Api().runs("xmtf")
rows = trackio.SQLiteStorage.get_logs("xmtf", run.name, run_id=run.id)
print(run.name, run.config["name"], [(row["step"], row["train/loss"]) for row in rows if "train/loss" in row])
"""


def test_trackio_keeps_the_run_on_disk_and_goes_on_with_it(tmp_path):
    pytest.importorskip("trackio", reason="the extra `track` is not installed")
    # in a process of its own: trackio looks for its folder when it is imported, and starts threads
    folder = {"TRACKIO_DIR": str(tmp_path / "trackio"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", TRACKED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | folder, check=False)
    assert done.returncode == 0, done.stderr
    assert "tiny tiny [(2, 0.5), (4, 0.25), (8, 0.125)]" in done.stdout.splitlines()


def wandb_history(path):
    """Yield what was logged, from the file that `wandb sync` uploads: a LevelDB log behind a header of 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, position = path.read_bytes(), 7
    assert len(data) < 2**15, "one block"
    while position < len(data):
        _, size, kind = struct.unpack_from("<IHB", data, position)
        if position + 7 + size > len(data):
            return  # being written
        assert kind == 1, "whole records"
        position += 7 + size
        record = Record()
        record.ParseFromString(data[position - size : position])
        if record.WhichOneof("record_type") == "history":
            yield {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}


def written_history(path):
    """Return what was logged, once it is on disk: wandb's service is a process that writes when it gets to it."""
    for _ in range(600):
        found = {}
        for numbers in wandb_history(path):
            found |= numbers
        if set(NUMBERS) <= set(found):
            break
        time.sleep(0.2)
    return found


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_wandb_offline_keeps_the_run_on_disk(tmp_path, run, monkeypatch):
    pytest.importorskip("wandb", reason="the extra `track` is not installed")
    for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    for wait in ("WANDB__SERVICE_WAIT", "WANDB_INIT_TIMEOUT"):  # its service is a process: it starts when it can
        monkeypatch.setenv(wait, "250")
    log = Log(tmp_path / "log.jsonl", open_trackers(["wandb"], run))
    write_events(log)
    log.close()
    (path,) = (run.folder / "wandb").glob("offline-run-*/*.wandb")
    found = written_history(path)
    assert {name: found.get(name) for name in NUMBERS} == NUMBERS
    assert found["steps"] == 2


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "trackio"])
def test_a_tracker_that_is_not_installed_is_one_line(name, run, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=rf"needs the package `{name}`.*pip install 'xmtf\[track\]'"):
        open_trackers([name], run)
