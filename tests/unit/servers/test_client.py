"""How a server is asked: what is sent again, what ends it, what it costs, and where no key stands."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from xmtf.errors import ConfigError, ServerError
from xmtf.servers.client import Asking, ModelServer, RefusedError
from xmtf.servers.reference import is_served, parse_served, refuse_served
from xmtf.servers.spending import Limits, Price, parse_price


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((body, self.headers["Authorization"]))
        status, headers, said = self.server.faults.pop(0) if self.server.faults else (200, {}, "")
        reply = {"echo": body, "usage": {"prompt_tokens": 10, "completion_tokens": 5}}
        data = (
            said.encode()
            if status == 200 and said
            else json.dumps(reply if status == 200 else {"error": said}).encode()
        )
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), "Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    found = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.asked, found.faults = [], []
    found.url = f"http://127.0.0.1:{found.server_address[1]}/v1"
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


@pytest.fixture
def waits(monkeypatch):
    """Wait for nothing; note how long it would have been."""
    found = []
    monkeypatch.setattr(ModelServer, "_pause", lambda self, wait_s, error: bool(found.append(wait_s)))
    return found


def test_a_busy_server_is_asked_again_after_the_time_that_it_names(server, waits):
    busy = [(429, {"Retry-After": "7"}, "slow down"), (503, {}, "loading"), (500, {}, "oops"), (408, {}, "late")]
    server.faults += [*busy, (429, {"Retry-After": "Thu, 01 Jan 2099 00:00:00 GMT"}, "slow down")]
    asked = ModelServer(server.url, "m", Asking(extra_body={"top_k": 1, "stop": None}))
    reply = asked.ask("/completions", {"prompt": "p", "stop": ["x"]})
    assert reply["echo"] == {"model": "m", "prompt": "p", "top_k": 1}  # what is null is left out
    assert {key for _, key in server.asked} == {"Bearer sk-secret"}
    assert len(waits) == 5
    assert waits[0] == 7
    assert waits[4] > 1e6  # cut to ten minutes where one waits
    assert [0.3 < wait < 6 for wait in waits[1:4]] == [True] * 3
    assert (asked.spending.sent, asked.spending.total.requests, asked.spending.total.read) == (6, 1, 10)


def test_what_would_not_help_is_not_sent_again_and_no_key_is_printed(server, waits):
    asked = ModelServer(server.url, "m", Asking(retries=2))
    server.faults += [(401, {}, "bad key sk-secret")]
    with pytest.raises(RefusedError, match=r"status 401: .*bad key \*\*\*") as refused:
        asked.ask("/completions", {})
    assert "sk-secret" not in str(refused.value)
    server.faults += [(500, {}, "broken sk-secret")] * 3
    with pytest.raises(ServerError, match=r"tried 3 times, last: .*broken \*\*\*"):
        asked.ask("/completions", {})
    server.faults += [(200, {}, "<html>")]
    with pytest.raises(ServerError, match="is this the address of the API"):
        asked.ask("/completions", {})
    assert len(waits) == 2
    with pytest.raises(ServerError, match=r"tried once.*Connection"):
        ModelServer("http://127.0.0.1:9/v1", "m", Asking(retries=0)).ask("/completions", {})


def test_limits_hold_for_all_threads_and_what_was_asked_comes(server, waits):
    asked = ModelServer(server.url, "m", Asking(concurrency=4, limits=Limits(requests=6)))
    found = []
    with pytest.raises(ServerError, match="--max-requests 6 is reached; the answers so far are kept"):
        found.extend(asked.each(range(50), lambda n: asked.ask("/completions", {"n": n})["echo"]["n"]))
    assert len(found) == 6
    assert all(index == answer for index, answer in found)
    priced = ModelServer(server.url, "m", Asking(1, limits=Limits(cost=0.0001, price=Price(5, 10))))
    with pytest.raises(ServerError, match=r"--max-cost 0.0001 is reached \(0.0001 spent\)"):
        list(priced.each([1, 2, 3], lambda n: priced.ask("/completions", {})))
    assert priced.spending.total.requests == 1
    with pytest.raises(ConfigError, match="--price INPUT,OUTPUT"):
        Limits(cost=1)
    for wrong in ("1", "a,b", "1,-2", "1,2,3", "nan,1"):
        with pytest.raises(ConfigError, match="--price"):
            parse_price(wrong)


def test_references_name_a_model_an_address_and_no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert parse_served("openai:http://h:1/v1/#org/M").text == "openai:http://h:1/v1#org/M"
    assert parse_served("openai:http://h:1#M").url == "http://h:1/v1"
    assert (parse_served("openai:gpt").url, parse_served("openai:gpt").label) == ("https://api.openai.com/v1", "gpt")
    assert parse_served("vllm:org/M").label == "M"
    assert not is_served("org/model")
    wrong = {
        "openai:http://user:sk-1@h/v1#M": "contains a user, a key or a query",
        "openai:http://h/v1?key=sk-1#M": "contains a user, a key or a query",
        "openai:ftp://h#M": "not the address of a server",
        "openai:http://h:99999/v1#M": "not the address of a server",
        "openai:http://h/v1": "has no model",
        "openai:": "has no model",
        "openai:http://h/v1#": "has no model",
        "vllm:": "has no model",
    }
    for text, said in wrong.items():
        with pytest.raises(ConfigError, match=said) as error:
            parse_served(text)
        assert "sk-1" not in str(error.value)
    with pytest.raises(ConfigError, match="served, not loaded"):
        refuse_served("openai:http://h/v1#M")
