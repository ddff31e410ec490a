"""What `xmtf watch` does with a log of a million events: CPU seconds, memory, and what the page is sent.

    python bench/watch.py

Events as training writes them, losses by ten languages included, with their checksums. `first look` reads the whole
log, in pieces between which pages are answered; the others are of one second of watching each.
"""

import argparse
import math
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import orjson
import xxhash

from xmtf.artefacts.event_log import append_event
from xmtf.watch.watcher import Watcher, watch_folders

Found = TypeVar("Found")
LANGUAGES = ("ar", "bn", "en", "es", "fr", "hi", "pt", "sw", "yo", "zh")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--toy", action="store_true", help="Few events, to see that it runs.")
    options.add_argument("--events", type=int, default=1_000_000)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder) / "run", 2_000 if chosen.toy else chosen.events)


def event(step: int) -> dict[str, object]:
    loss = 1 + 6 * math.exp(-step / 2e5) + 0.1 * math.sin(step)
    numbers = {"loss": round(loss, 6), "learning_rate": 1e-4, "grad_norm": 0.75, "tokens_per_s": 9_000.5}
    memory = {"peak_memory_gb": 61.25, "planned_memory_gb": 58.5, "seconds": step * 1.5, "mfu": 0.41}
    by_language = {"loss_by_language": {name: round(loss + place / 9, 5) for place, name in enumerate(LANGUAGES)}}
    return {"event": "train", "step": step, **numbers, **memory, **by_language}


def measure(folder: Path, events: int) -> None:
    folder.mkdir()
    with (folder / "log.jsonl").open("wb") as log:
        for step in range(1, events + 1):
            value = event(step)
            check = xxhash.xxh3_64_hexdigest(orjson.dumps(value))
            log.write(orjson.dumps(value | {"check": check}, option=orjson.OPT_APPEND_NEWLINE))
    size = (folder / "log.jsonl").stat().st_size / 2**20
    watcher = Watcher(watch_folders([folder]), every_s=0.0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{events:,} events, {size:.0f} MiB")

    looks = timed("first look", lambda: read(watcher))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    timed("look, nothing new", watcher.look)
    append_event(folder / "log.jsonl", event(events + 1))
    view = timed("look, one new event", watcher.look)[0][1]
    assert view.step == events + 1
    assert not view.notes
    points = len(view.curves["loss"].x)
    print(f"{looks} pieces; sent {len(orjson.dumps(view)) / 1024:.0f} KiB, {points} points a curve;", end=" ")
    print(f"memory {(after - before) / 1024:.0f} MiB more at most")


def read(watcher: Watcher) -> int:
    looks = 1
    watcher.look()
    while watcher.is_behind:
        watcher.look()
        looks += 1
    return looks


def timed(name: str, work: Callable[[], Found]) -> Found:
    start = time.process_time()
    found = work()
    print(f"{name:22}{time.process_time() - start:10.3f} CPU s", flush=True)
    return found


if __name__ == "__main__":
    main()
