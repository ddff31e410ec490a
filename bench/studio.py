"""What the studio's server answers on 10,000 rows: milliseconds of wall and CPU time, and what is sent.

    python bench/studio.py

Rows of about 170 words with four columns, from a seed. The application is called in this process, without a socket;
the process that renders is another, whose CPU time is not in the figures. The first search of a split makes texts of
its columns. `page` is what is asked for as one scrolls.
"""

import argparse
import json
import random
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from xmtf.loopback.address import Address
from xmtf.loopback.checks import Guarded
from xmtf.studio.app import build_app
from xmtf.studio.place import open_place
from xmtf.studio.session import Session
from xmtf.tasks import Task

TOKEN = "t" * 43
TEMPLATES = """\
language: en
templates:
  - name: ask
    answer_choices: No ||| Maybe ||| Yes
    jinja: "{{premise}} Does it follow that {{hypothesis}}? ||| {{ answer_choices[label] }}"
"""
WORDS = [f"{a}{b}{c}" for a in ("ka", "lo", "mi", "tre") for b in ("ro", "si", "len") for c in ("", "ta", "s", "ng")]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--toy", action="store_true", help="Few rows, to see that it runs.")
    options.add_argument("--rows", type=int, default=10_000)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), 200 if chosen.toy else chosen.rows, 2 if chosen.toy else 15)


def measure(folder: Path, rows: int, times: int) -> None:
    task = write(folder, rows)
    session = Session(open_place(str(folder / "mine"), {"toy": task}))
    guarded = Guarded(build_app(session), Address("127.0.0.1", 8765, token=TOKEN))
    client = TestClient(guarded, base_url="http://127.0.0.1:8765", headers={"authorization": f"Bearer {TOKEN}"})
    draw = random.Random(1)
    draft = {
        "jinja": "{{premise}} So {{hypothesis}}? ||| {{ answer_choices[label] }}",
        "answer_choices": "a ||| b ||| c",
    }
    session.worker.warm()
    print(f"{rows:,} rows, {(folder / 'rows.jsonl').stat().st_size / 2**20:.1f} MiB")
    print(f"{'request':34}{'wall ms':>10}{'CPU ms':>10}{'KiB':>8}")

    def get(name: str, count: int, query: Any) -> None:
        show(name, count, lambda: client.get("/api/rows", params={"key": "toy"} | query()))

    get("first page, file read", 1, lambda: {"limit": 50})
    get("page of 50", times, lambda: {"limit": 50, "offset": draw.randrange(rows)})
    get("first search, texts made", 1, lambda: {"limit": 50, "query": "karo lo"})
    get("search, page of 50", times, lambda: {"limit": 50, "query": " ".join(draw.choices(WORDS, k=2))})
    for count in (1, 20):
        body = {"key": "toy", "rows": list(range(count)), "draft": draft}
        show(f"render a draft on {count} rows", times, lambda body=body: client.post("/api/render", json=body))
    show("lint a draft on 50 rows", times, lambda: client.post("/api/lint", json={"key": "toy", "draft": draft}))
    session.close()


def write(folder: Path, rows: int) -> Task:
    draw = random.Random(0)
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        for number in range(rows):
            texts = {"premise": words(draw, 160), "hypothesis": words(draw, 10)}
            file.write(json.dumps(texts | {"label": number % 3, "tags": [words(draw, 1)]}) + "\n")
    (folder / "mine" / "toy").mkdir(parents=True)
    (folder / "mine" / "toy" / "templates.yaml").write_text(TEMPLATES, encoding="utf-8")
    return Task(
        id="toy",
        cluster="bench",
        dataset="toy",
        subset="",
        language="en",
        splits={"train": ("train",)},
        kind="rank",
        template_key="toy",
        paths={"train": str(folder / "rows.jsonl")},
    )


def words(draw: random.Random, count: int) -> str:
    return " ".join(draw.choices(WORDS, k=count))


def show(name: str, times: int, ask: Any) -> None:
    """Print the medians of some requests."""
    walls, spent, size = [], [], 0
    for _ in range(times):
        began, used = time.perf_counter(), cpu()
        answer = ask()
        walls.append(1000 * (time.perf_counter() - began))
        spent.append(1000 * (cpu() - used))
        assert answer.status_code == 200, answer.text
        size = len(answer.content)
    print(f"{name:34}{statistics.median(walls):10.1f}{statistics.median(spent):10.1f}{size / 1024:8.1f}")


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
