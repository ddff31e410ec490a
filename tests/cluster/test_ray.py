"""The engine ray gives the bytes of inline: also when a worker is killed in the middle of a shard."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from xmtf.errors import DataError
from xmtf.execution import Plan, ShardTask, run_plan
from xmtf.mixture import build_mixture
from xmtf.mixture.sort import merge
from xmtf.recipe import load_recipe
from xmtf.recipe.schema import Execution
from xmtf.tokens import tokenize_mixture

pytest.importorskip("ray", reason="needs the extra ray")
from xmtf.execution.on_ray import connect

SMOKE = Path(__file__).parents[2] / "recipes" / "smoke" / "mixture.yaml"
RAY, INLINE = ("execution.engine=ray", "execution.address=local"), ("execution.engine=inline",)


@pytest.fixture(scope="module", autouse=True)
def session():
    """One Ray for the tests of this module: it takes long to start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XMTF_PROGRESS", "off")
        ray = connect(Execution(engine="ray", address="local"), workers=2)
        yield
        ray.shutdown()


def test_a_mixture_and_its_tokens_have_the_bytes_of_inline(tmp_path, monkeypatch, contents):
    made = {}
    for name, engine in (("inline", INLINE), ("ray", RAY)):
        loaded = load_recipe(SMOKE, [*engine, "mixture.shard_rows=400"])
        folder = tmp_path / name
        build_mixture(loaded, folder / "mixture")
        tokenize_mixture(loaded, folder / "mixture", folder / "tokens", family="causal")
        made[name] = contents(folder)
        monkeypatch.setattr(merge, "RANGE_ROWS", 300)  # the second time the order is decided on in many ranges,
        monkeypatch.setattr(merge, "INLINE_ROWS", 0)  # by workers, not here
    assert len(made["inline"]) > 20
    assert made["ray"] == made["inline"]


def kill_a_worker(shards, killed, give_up):
    """Wait until one shard is done, then send SIGKILL to a worker that is doing another."""
    while not killed and not give_up.is_set():
        if list(shards.glob("[!.]*/done.json")):
            for process in psutil.Process().children(recursive=True):
                try:
                    if process.cmdline()[:1] == ["ray::remote_task"]:
                        os.kill(process.pid, signal.SIGKILL)
                        killed.append(process.pid)
                        return
                except (psutil.Error, ProcessLookupError):
                    continue
        time.sleep(0.001)


def test_the_shard_of_a_killed_worker_is_done_again(tmp_path, slow_recipe, contents):
    killed, give_up = [], threading.Event()
    build_mixture(load_recipe(slow_recipe, INLINE), tmp_path / "inline")
    killer = threading.Thread(target=kill_a_worker, args=(tmp_path / ".ray.work" / "shards", killed, give_up))
    killer.start()
    build_mixture(load_recipe(slow_recipe, RAY), tmp_path / "ray")
    give_up.set()
    killer.join()
    assert killed, "no worker was killed"
    assert contents(tmp_path / "ray") == contents(tmp_path / "inline")


def test_what_is_done_is_not_done_again_and_an_error_arrives_as_it_was_raised(tmp_path):
    work = tmp_path / "work"
    done = ShardTask("done", {"number": 1})
    (work / "done").mkdir(parents=True)
    (work / "done" / "done.json").write_text(json.dumps({"fingerprint": done.fingerprint, "result": {"number": 1}}))
    execution = Execution(engine="ray", address="local")
    function = "xmtf.mixture.sort.order:order_range"
    assert run_plan(Plan(function, (done,)), work, execution) == [{"number": 1}]
    missing = ShardTask("missing", {"runs": "nowhere.json"})
    with pytest.raises(DataError, match=r"nowhere\.json: missing$"):
        run_plan(Plan(function, (done, missing)), work, execution)
