"""Make the pictures of docs/watch.md: two runs of the smoke recipe, one finished and one that trains, in Chromium.

    python scripts/make_watch_pictures.py

Trains for some minutes. Needs Chromium and the package playwright; what is drawn comes from the package alone.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from xmtf.loopback.address import listen
from xmtf.loopback.checks import Guarded
from xmtf.watch.app import build_app
from xmtf.watch.watcher import Watcher, watch_folders

PROJECT = Path(__file__).resolve().parents[1]
IMAGES = PROJECT / "docs" / "images"
RECIPE = PROJECT / "recipes" / "smoke" / "bloom-tiny.yaml"
PICTURES = {"watch": ((1280, 1180), "light"), "watch-phone": ((360, 740), "dark")}
"""Name -> size and colours."""
STEPS, TAKEN_AT = 400, 230
"""Steps of the second run, and the step at which the pictures are taken."""


def _start(folder: Path, *overrides: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "xmtf", "--quiet", "run", str(RECIPE), f"run_folder={folder}"]
    return subprocess.Popen([*command, f"name={folder.name}", *overrides], stdout=subprocess.DEVNULL)


def _step(folder: Path) -> int:
    """Return the last step that the log of a run tells of."""
    path = folder / "log.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return max((event["step"] for event in map(json.loads, lines) if event["event"] == "train"), default=0)


@contextlib.contextmanager
def _served(*folders: Path) -> Iterator[str]:
    """Serve in a thread; gives the address with its token."""
    watcher = Watcher(watch_folders(folders))
    socket, address = listen("127.0.0.1", 0)
    config = uvicorn.Config(Guarded(build_app(watcher), address), log_config=None, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]}, daemon=True)
    thread.start()
    try:
        yield address.url
    finally:
        server.should_exit = True
        server.servers[0].get_loop().call_soon_threadsafe(watcher.stop.set)
        thread.join(20)


def _take(browser: Browser, url: str, name: str, size: tuple[int, int], scheme: str) -> None:
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,  # type: ignore[arg-type]
    )
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector(".runs tr:nth-child(2) progress")
    time.sleep(1)  # what is drawn after the sizes are known
    Image.open(io.BytesIO(page.screenshot())).save(IMAGES / f"{name}.webp", quality=82, method=6)
    context.close()


def main() -> None:
    """Make them."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("no Chromium on PATH")
    with tempfile.TemporaryDirectory() as folder:
        first, second = Path(folder, "runs", "linear"), Path(folder, "runs", "slower")
        if _start(first, "training.steps=200").wait():
            raise SystemExit("the first run failed")
        running = _start(second, f"training.steps={STEPS}", "training.optimizer.learning_rate=1e-3")
        try:
            while _step(second) < TAKEN_AT:
                if running.poll() is not None:
                    raise SystemExit("the second run ended before its picture was taken")
                time.sleep(0.1)
            with _served(first, second) as url, sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
                for name, (size, scheme) in PICTURES.items():
                    _take(browser, url, name, size, scheme)
                browser.close()
        finally:
            running.kill()
            running.wait()
    print(", ".join(f"{name}.webp {(IMAGES / f'{name}.webp').stat().st_size / 1024:.0f} KiB" for name in PICTURES))


if __name__ == "__main__":
    main()
