"""The server of ``xmtf watch``: what it answers, and that only what changed is sent."""

import asyncio

import orjson
import pytest
from starlette.testclient import TestClient

from xmtf.artefacts.event_log import append_event
from xmtf.loopback.address import Address
from xmtf.loopback.checks import Guarded
from xmtf.watch.app import build_app
from xmtf.watch.watcher import Watcher, watch_folders


@pytest.fixture
def folders(tmp_path):
    found = [tmp_path / "one", tmp_path / "two"]
    for folder in found:
        append_event(folder / "log.jsonl", {"event": "train", "step": 1, "loss": 2.0, "seconds": 1.0})
    return found


def test_a_page_hears_of_each_run_and_then_of_what_changed(folders):
    async def listen():
        watcher = Watcher(watch_folders(folders), every_s=0.0)
        heard = []
        async for event in watcher.events():
            heard.append((event.name, event.data["run"].place if event.name == "run" else None))
            if len(heard) == 3:
                append_event(folders[1] / "log.jsonl", {"event": "train", "step": 2, "loss": 1.0, "seconds": 2.0})
            if heard.count(("beat", None)) == 2:
                watcher.stop.set()
        return heard

    heard = asyncio.run(asyncio.wait_for(listen(), 60))
    assert heard == [("hello", None), ("run", 0), ("run", 1), ("run", 1), ("beat", None), ("beat", None)]


def test_several_pages_share_one_look(folders, monkeypatch):
    watcher = Watcher(watch_folders(folders), every_s=60.0)
    first = watcher.look()
    append_event(folders[0] / "log.jsonl", {"event": "train", "step": 2, "loss": 1.0, "seconds": 2.0})
    assert watcher.look() == first
    watcher.every_s = 0.0
    assert [version for version, _ in watcher.look().values()] == [2, 1]


def test_a_long_log_is_read_piece_by_piece_and_sent_small(folders, monkeypatch):
    monkeypatch.setattr("xmtf.watch.watcher._MOST", 2**20)
    line = b'{"event":"train","step":%d,"loss":2.5,"tokens_per_s":900.5,"peak_memory_gb":1.5,"seconds":%d}\n'
    with (folders[0] / "log.jsonl").open("wb") as stream:
        stream.writelines(line % (step, step) for step in range(1, 20_001))
    watcher = Watcher(watch_folders(folders), every_s=60.0)
    says = []
    while not says or watcher.is_behind:
        says.append(watcher.look()[0][1].says)
    assert says[0].startswith("reading the log, ")
    view = watcher.look()[0][1]
    assert (view.step, view.curves["loss"].x[-1]) == (20_000, 20_000)
    assert len(orjson.dumps(view)) < 64_000


def test_the_token_is_needed_and_nothing_is_changed_by_a_request(folders):
    address = Address("127.0.0.1", 8766)
    app = Guarded(build_app(Watcher(watch_folders(folders))), address)
    with TestClient(app, base_url="http://127.0.0.1:8766") as client:
        assert client.get("/api/runs").status_code == 401
        bearer = {"authorization": f"Bearer {address.token}"}
        found = client.get("/api/runs", headers=bearer).json()["runs"]
        assert [(run["name"], run["loss"]) for run in found] == [("one", 2.0), ("two", 2.0)]
        assert client.post("/api/runs", headers=bearer).status_code == 405
        for name in ("watch.css", "look.css", "js/main.js", "js/dom.js"):
            assert client.get(f"/static/{name}", headers=bearer).status_code == 200
        assert client.get("/static/../app.py", headers=bearer).status_code == 404
        assert client.get("/api/events", headers={"origin": "http://elsewhere"}).status_code == 403
