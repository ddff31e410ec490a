"""A model of a few million parameters behind ``transformers serve``: tried in the studio, and asked as an engine."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from xmtf.evaluation.generation.decoding import Decoding
from xmtf.evaluation.prompting.prompter import load_prompter

from .test_trying import events

ORIGINAL = "22222222-2222-4222-8222-222222222222"
CHAT = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}assistant:"


@pytest.fixture(scope="module")
def model(tmp_path_factory, tiny_model) -> str:
    """A BLOOM of 3.2 million random parameters with a byte-level tokenizer and a chat template."""
    import transformers

    folder = Path(tiny_model(tmp_path_factory.mktemp("served"), "causal"))
    shape = transformers.BloomConfig.from_pretrained(folder, hidden_size=256, n_layer=4, n_head=8)
    made = transformers.BloomForCausalLM(shape).eval()
    assert 3e6 < made.num_parameters() < 4e6
    made.save_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    program = Path(sys.executable).with_name("transformers")
    options = ["--host", "127.0.0.1", "--port", str(port), "--dtype", "float32", "--device", "cpu"]
    log = tmp_path_factory.mktemp("log") / "serve.log"
    with log.open("wb") as written:
        process = subprocess.Popen(
            [program, "serve", *options], stdout=written, stderr=written, env=os.environ | {"HF_HUB_OFFLINE": "1"}
        )
    try:
        for _ in range(120):
            assert process.poll() is None, log.read_text(encoding="utf-8")
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except (urllib.error.URLError, TimeoutError):
                time.sleep(1)
        else:
            pytest.fail(log.read_text(encoding="utf-8"))
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.slow
def test_a_real_server_is_tried_and_translates(studio, monkeypatch, model, url, draft) -> None:
    served = f"openai:{url}#{model}"
    monkeypatch.setattr(studio.session, "options", studio.options(models=(served,), engines=(served,), offline=True))
    body = {"key": "toy", "row": 3, "draft": draft("{{text}}? ||| a"), "model": served, "max_new_tokens": 12}
    found = events(studio.client.post("/api/try", json=body))
    assert found[-1][0] == "done", found
    text = "".join(data["piece"] for name, data in found if name == "text")
    here = load_prompter(model, offline=True).stream("row 3 Straße?", Decoding(12), lambda piece: None)
    assert text
    assert text == here, found
    made = studio.ask("POST", "translations/suggest", key="toy", language="fr", id=ORIGINAL, engine=served)
    assert set(made) >= {"jinja", "problems"}
    assert made["problems"], "random weights do not translate, and the gates find it"
