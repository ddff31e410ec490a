"""Which requests pass: the right Host, no foreign Origin, the token or its cookie, no file beside the listed ones."""

import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import unquote, urlsplit

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message

from xmtf.errors import ConfigError
from xmtf.loopback.address import Address, listen
from xmtf.loopback.checks import MAX_BODY, Guarded
from xmtf.loopback.pages import Pages

ADDRESS = Address("127.0.0.1", 8765, token="t" * 43, session="s" * 43)
HOST = "http://127.0.0.1:8765"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package") / "static"
    (folder / "js").mkdir(parents=True)
    (folder / "js" / "a.js").write_text("let a", encoding="utf-8")
    (folder / "secret.py").write_text("no", encoding="utf-8")
    (folder.parent / "secret.txt").write_text("outside", encoding="utf-8")
    (folder / "link.txt").symlink_to(folder.parent / "secret.txt")
    return folder


@pytest.fixture(scope="module")
def client(folder: Path) -> TestClient:
    async def length(request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())))

    async def index(request: Request) -> Response:
        return PlainTextResponse("page")

    pages = Pages(folder)
    app = Starlette(
        routes=[
            Route("/", index),
            Route("/echo", length, methods=["POST"]),
            Route("/static/{name:path}", pages.endpoint),
        ]
    )
    return TestClient(Guarded(app, ADDRESS), base_url=HOST, follow_redirects=False)


COOKIE = {"cookie": f"xmtf-8765={ADDRESS.session}"}


def test_the_token_is_exchanged_for_a_cookie(client: TestClient) -> None:
    answer = client.get("/", params={"token": ADDRESS.token})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert ADDRESS.token not in cookie
    assert all(word in cookie for word in ("HttpOnly", "SameSite=strict", "Path=/"))
    client.cookies.clear()
    assert client.get("/", headers={"cookie": cookie.partition(";")[0]}).text == "page"


@pytest.mark.parametrize(
    ("status", "headers", "query"),
    [
        (401, {}, ""),
        (401, {}, "?token=wrong"),
        (401, {}, "?token="),
        (401, {"cookie": f"xmtf-8765={ADDRESS.token}"}, ""),
        (401, {"cookie": "xmtf-8765="}, ""),
        (401, {"authorization": f"Bearer {ADDRESS.session}"}, ""),
        (401, {"cookie": f"xmtf-8766={ADDRESS.session}"}, ""),
        (403, COOKIE | {"host": "evil.example"}, ""),
        (403, COOKIE | {"host": "evil.example:8765"}, ""),
        (403, COOKIE | {"host": "127.0.0.1:80"}, ""),
        (403, COOKIE | {"host": "127.0.0.1"}, ""),
        (403, COOKIE | {"host": "127.0.0.1:8765.evil.example"}, ""),
        (403, {"host": "evil.example:8765"}, f"?token={ADDRESS.token}"),
        (403, COOKIE | {"origin": "http://evil.example"}, ""),
        (403, COOKIE | {"origin": "null"}, ""),
        (403, COOKIE | {"origin": "http://127.0.0.1:3000"}, ""),
        (403, COOKIE | {"origin": "https://127.0.0.1:8765"}, ""),
        (200, COOKIE, ""),
        (200, COOKIE | {"host": "localhost:8765"}, ""),
        (200, COOKIE | {"host": "LOCALHOST:8765", "origin": "http://localhost:8765"}, ""),
        (200, {"authorization": f"Bearer {ADDRESS.token}"}, ""),
    ],
)
def test_who_may_ask(client: TestClient, status: int, headers: dict[str, str], query: str) -> None:
    client.cookies.clear()
    answer = client.get(f"/{query}", headers=headers)
    assert answer.status_code == status, answer.text
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert "unsafe-inline" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_what_changes_something_says_where_it_comes_from(client: TestClient) -> None:
    client.cookies.clear()
    own = COOKIE | {"origin": HOST}
    assert client.post("/echo", content=b"12", headers=own).text == "2"
    assert client.post("/echo", content=b"12", headers=COOKIE).status_code == 403
    assert client.post("/echo", headers=own | {"sec-fetch-site": "cross-site"}).status_code == 403
    assert client.post("/echo", headers={"authorization": f"Bearer {ADDRESS.token}"}).status_code == 200
    assert client.request("TRACE", "/", headers=own).status_code == 405


def test_a_body_has_a_limit_whatever_its_header_says(client: TestClient) -> None:
    client.cookies.clear()
    own = COOKIE | {"origin": HOST}
    assert client.post("/echo", content=b"x" * (MAX_BODY + 1), headers=own).status_code == 413
    parts = (b"x" * 2**20 for _ in range(MAX_BODY // 2**20 + 1))  # chunked: no length is said
    assert client.post("/echo", content=parts, headers=own).status_code == 413
    assert client.post("/echo", content=b"", headers=own | {"content-length": "-1"}).status_code == 413


@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt",
        "js/../../secret.txt",
        "%2e%2e/secret.txt",
        "%2e%2e%2fsecret.txt",
        "..%2fsecret.txt",
        "%252e%252e%252fsecret.txt",
        "..%5csecret.txt",
        "..%c0%afsecret.txt",
        "%c0%ae%c0%ae/secret.txt",
        "js/%2e%2e/%2e%2e/secret.txt",
        "....//secret.txt",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "js/a.js%00.txt",
        "link.txt",
        "secret.py",
        "js",
        "",
    ],
)
def test_no_path_leads_out_of_the_folder(client: TestClient, path: str) -> None:
    status, text = anyio.run(_asked, client.app, f"/static/{path}")
    assert status == 404, text
    assert b"outside" not in text


async def _asked(app: ASGIApp, path: str) -> tuple[int, bytes]:
    """Ask as uvicorn does, which takes a path apart from nothing but its percent signs."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", b"127.0.0.1:8765"), (b"cookie", COOKIE["cookie"].encode())]
    scope = {"type": "http", "method": "GET", "path": unquote(path), "raw_path": path.encode(), "headers": headers}
    await app(scope | {"query_string": b"", "server": ("127.0.0.1", 8765), "http_version": "1.1"}, receive, send)
    return sent[0]["status"], sent[1]["body"]


def test_files_have_their_types(client: TestClient) -> None:
    client.cookies.clear()
    answer = client.get("/static/js/a.js", headers=COOKIE)
    assert (answer.text, answer.headers["content-type"]) == ("let a", "text/javascript; charset=utf-8")


def test_one_line_where_the_port_is_taken() -> None:
    opened, address = listen("127.0.0.1", 0)
    with opened:
        assert address.port > 0
        assert address.is_loopback
        with pytest.raises(
            ConfigError, match=rf"--port {address.port}: 127.0.0.1:{address.port} is already in use"
        ) as refused:
            listen("127.0.0.1", address.port)
        assert "\n" not in str(refused.value)
    with pytest.raises(ConfigError, match="cannot listen on it"):
        listen("203.0.113.1", 0)


def test_addresses_of_all_interfaces_have_no_foreign_names() -> None:
    everywhere = Address("0.0.0.0", 9)
    assert not everywhere.is_loopback
    assert "192.0.2.7:9" in everywhere.names("192.0.2.7")
    assert "192.0.2.7:9" not in everywhere.names("192.0.2.8")
    assert "evil.example:9" not in everywhere.names("192.0.2.7")
    assert Address("::1", 9).url.startswith("http://[::1]:9/?token=")


_PROGRAM = """
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route
import itertools, time
from xmtf.loopback.address import listen
from xmtf.loopback.serve import serve
async def endless(request):
    def pieces():
        for number in itertools.count():
            yield b'x'
            time.sleep(0.05)
    return StreamingResponse(pieces())
opened, address = listen('127.0.0.1', 0)
serve(Starlette(routes=[Route('/endless', endless)]), opened, address, lambda: print(address.url, flush=True))
print('ended', flush=True)
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_also_while_an_answer_is_on_its_way(sent: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", _PROGRAM], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        port, token = urlsplit(url).port, url.partition("token=")[2]
        with socket.create_connection(("127.0.0.1", port), timeout=30) as asked:
            request = f"GET /endless HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n\r\n"
            asked.sendall(request.encode())
            assert asked.recv(100).startswith(b"HTTP/1.1 200")
            killer = threading.Timer(60, process.kill)
            killer.start()
            process.send_signal(sent)
            out, _ = process.communicate()
            killer.cancel()
    assert (process.returncode, out.strip()) == (0, "ended")
