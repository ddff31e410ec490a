"""Make the pictures of docs/studio.md: the studio on our CLDR prompts, in Chromium.

    python scripts/make_studio_pictures.py [MODEL]

``MODEL`` is a model folder, for the page on which models are tried; without one that picture stays as it is. Needs
Chromium, the package playwright and Apertium's pair English-Catalan. What is drawn comes from the package alone.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from xmtf.loopback.address import listen
from xmtf.loopback.checks import Guarded
from xmtf.studio.app import build_app
from xmtf.studio.place import open_place
from xmtf.studio.rows import RowReader
from xmtf.studio.session import Options, Session
from xmtf.tasks import load_catalogue

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
DESKTOP, PHONE = (1280, 800), (360, 740)
KEY, TASK = "cldr/date-entailment", "cldr-date-entailment/en"


@dataclass(frozen=True)
class Picture:
    """One picture: where, how wide, in which colours, and what is done before it is taken."""

    name: str
    place: str
    ready: str
    prepare: Callable[[Page], None] = lambda page: None
    size: tuple[int, int] = DESKTOP
    scheme: str = "light"


def _write(page: Page) -> None:
    page.keyboard.press("e")
    page.keyboard.press("Control+End")
    page.keyboard.insert_text("\n{{ author }}")
    page.wait_for_selector("#findings li")


def _translate(page: Page) -> None:
    page.keyboard.press("n")
    page.wait_for_selector("#translation-rendering .card")


def _try(page: Page) -> None:
    page.uncheck("#generate")  # the demo's model is too small to write
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("text=/in [0-9.]+ s/", timeout=120_000)


def _pictures(model: str | None) -> list[Picture]:
    here = f"key={KEY}&task={TASK}"
    found = [
        Picture("studio-browse", f"browse?{here}&row=3", "#renderings .card"),
        Picture("studio-write", f"write?{here}&row=3", "#preview .card", _write),
        Picture(
            "studio-translate",
            f"translate?{here}&language=ca&row=3",
            "#source-rendering .card",
            _translate,
            scheme="dark",
        ),
        Picture("studio-overview", "overview", "#overview-rows .chip[class*=finding]"),
        Picture("studio-phone", f"browse?{here}&row=3", "#renderings .card", size=PHONE),
    ]
    if model:
        found.append(Picture("studio-try", f"try?{here}&row=3", "#prompt .card", _try))
    return found


@contextlib.contextmanager
def _served(out: Path, model: str | None) -> Iterator[str]:
    """Serve in a thread; gives the address with its token."""
    options = Options(models=(model,) if model else (), engines=("apertium",), reviewer="A. Reader", offline=True)
    session = Session(open_place("cldr", load_catalogue().tasks, out=out), options, rows=RowReader(offline=True))
    socket, address = listen("127.0.0.1", 0)
    config = uvicorn.Config(Guarded(build_app(session), address), log_config=None, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]}, daemon=True)
    thread.start()
    try:
        yield address.url
    finally:
        server.should_exit = True
        thread.join(20)
        session.close()


def _take(browser: Browser, url: str, picture: Picture) -> None:
    width, height = picture.size
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=picture.scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(url)
    page.wait_for_selector("#pages a")
    page.evaluate(f"location.hash = '#/{picture.place}'")
    page.wait_for_selector(picture.ready)
    picture.prepare(page)
    time.sleep(1)  # what is fetched after what was waited for
    image = Image.open(io.BytesIO(page.screenshot()))
    image.save(IMAGES / f"{picture.name}.webp", quality=82, method=6)
    context.close()


def main() -> None:
    """Make them."""
    model = sys.argv[1] if len(sys.argv) > 1 else None
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("no Chromium on PATH")
    with tempfile.TemporaryDirectory() as folder:
        translate = ["template", "translate", KEY, "--to", "ca", "--engine", "apertium", "--out", folder]
        subprocess.run([sys.executable, "-m", "xmtf", *translate], check=True, stdout=subprocess.DEVNULL)
        with _served(Path(folder), model) as url, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            for picture in _pictures(model):
                _take(browser, url, picture)
            browser.close()
    taken = sorted(IMAGES.glob("studio-*.webp"))
    print(f"{len(taken)} pictures, {sum(path.stat().st_size for path in taken) / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
