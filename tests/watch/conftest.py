"""A server of ``xmtf watch`` in a thread, and a page of it in Chromium."""

import threading
from types import SimpleNamespace

import pytest


@pytest.fixture(scope="module")
def serve():
    """The function that watches folders and returns the address of the page; all servers end with the module."""
    import uvicorn

    from xmtf.loopback.address import listen
    from xmtf.loopback.checks import Guarded
    from xmtf.watch.app import build_app
    from xmtf.watch.watcher import Watcher, watch_folders

    started = []

    def serving(*folders, every_s=0.1):
        watcher = Watcher(watch_folders(folders), every_s)
        socket, address = listen("127.0.0.1", 0)
        config = uvicorn.Config(
            Guarded(build_app(watcher), address), log_config=None, access_log=False, lifespan="off", ws="none"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]}, daemon=True)
        thread.start()
        started.append((watcher, server, thread, socket))
        return address.url

    yield serving
    for watcher, server, thread, socket in started:
        server.should_exit = True
        server.servers and server.servers[0].get_loop().call_soon_threadsafe(watcher.stop.set)
        thread.join(20)
        socket.close()


@pytest.fixture
def opened(chromium, serve):
    """The function that opens a page on folders; afterwards nothing may have failed in it or gone out of it."""
    pages = []

    def opening(*folders, every_s=0.1, width=1280):
        page = chromium.new_context(color_scheme="light", viewport={"width": width, "height": 900}).new_page()
        page.set_default_timeout(60_000)
        faults, asked = [], []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("request", lambda asking: asked.append(asking.url))
        url = serve(*folders, every_s=every_s)
        page.goto(url)
        pages.append(SimpleNamespace(page=page, faults=faults, asked=asked, origin=url.partition("/?")[0]))
        return page

    yield opening
    for each in pages:
        each.page.context.close()
        assert each.faults == []
        assert all(url.startswith(each.origin) for url in each.asked)


@pytest.fixture(scope="module")
def expect(chromium):
    """What waits until something holds in the page."""
    from playwright.sync_api import expect

    expect.set_options(timeout=60_000)
    return expect
