"""A model is asked with a rendered row; what it says comes as events."""

import gc
import json
import threading
from dataclasses import replace

import pytest

from xmtf.errors import ConfigError
from xmtf.evaluation.generation.decoding import Decoding
from xmtf.evaluation.prompting.prompter import load_prompter
from xmtf.studio.models import Scored, _Loaded
from xmtf.studio.trying import _written


@pytest.fixture(scope="module")
def model(tmp_path_factory, tiny_model):
    return tiny_model(tmp_path_factory.mktemp("tiny"), "causal")


def events(answer) -> list[tuple[str, dict]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    blocks = [block.split("\n") for block in answer.text.split("\n\n") if block]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


def test_choices_are_scored_and_the_answer_is_streamed(studio, monkeypatch, model, draft) -> None:
    monkeypatch.setattr(studio.session, "options", studio.options(models=(model,), offline=True))
    written = draft("{{text}}? ||| {{answer_choices[label]}}", "no ||| True")
    body = {"key": "toy", "row": 3, "draft": written, "model": model, "max_new_tokens": 12}
    found = events(studio.client.post("/api/try", json=body))
    assert [found[0][0], found[-1][0]] == ["choices", "done"]
    scores = found[0][1]["scores"]
    assert [each["choice"] for each in scores] == ["no", "True"]
    best = max(scores, key=lambda each: each["logprob"])
    assert scores[found[0][1]["picked"]] == best
    text = "".join(data["piece"] for name, data in found if name == "text")
    assert text == load_prompter(model, offline=True).stream("row 3 Straße?", Decoding(12), lambda piece: None)
    assert found[-1][1]["tokens"] == 12
    only = events(studio.client.post("/api/try", json=body | {"generate": False}))
    assert [name for name, _ in only] == ["choices", "done"]


def test_tokens_are_those_that_were_written_not_those_of_their_text(model):
    class Broken:
        """A tokenizer whose every token is a byte that is no letter, as in the middle of a rare character."""

        def __init__(self, tokenizer):
            self.tokenizer = tokenizer

        def __getattr__(self, name):
            return getattr(self.tokenizer, name)

        def decode(self, ids):
            return "\ufffd" * len(ids)

    prompter = load_prompter(model, offline=True)
    shown = []
    tried = _Loaded(replace(prompter, tokenizer=Broken(prompter.tokenizer)))
    assert tried.write("row 3", 5, shown.append) == 5
    assert len(prompter.tokenizer.encode(["".join(shown)])[0]) > 5


def test_what_cannot_be_asked_is_a_line(studio, monkeypatch, draft) -> None:
    body = {"key": "toy", "row": 0, "draft": draft("{{text}} ||| b")}
    assert "unknown model" in studio.ask("POST", "try", 404, model="/etc", **body)["error"]["message"]
    monkeypatch.setattr(studio.session, "options", studio.options(models=("/no/such/folder",), offline=True))
    found = events(studio.client.post("/api/try", json=body | {"model": "/no/such/folder"}))
    assert [name for name, _ in found] == ["error"]
    assert "/no/such/folder" in found[0][1]["message"]
    broken = {"draft": draft("{{ a b }} ||| c"), "model": "/no/such/folder"}
    assert "does not compile" in studio.ask("POST", "try", 400, **body | broken)["error"]["message"]


class Endless:
    """Writes until nobody listens."""

    def __init__(self) -> None:
        self.ended = threading.Event()

    def scores(self, prompt, choices):
        return Scored((0.0,) * len(choices))

    def write(self, prompt, most, show):
        try:
            while True:
                show("x")
        finally:
            self.ended.set()


def test_a_model_stops_when_nobody_listens() -> None:
    model = Endless()
    pieces = _written(model, "", 5)
    assert next(pieces).data == {"piece": "x"}
    del pieces
    gc.collect()
    assert model.ended.wait(30)


def test_what_goes_wrong_in_the_model_is_raised_where_it_is_read() -> None:
    class Broken(Endless):
        def write(self, prompt, most, show):
            raise ConfigError("the model returned no answer")

    with pytest.raises(ConfigError, match="no answer"):
        list(_written(Broken(), "", 5))


def test_choices_that_cannot_be_scored_are_noted_and_the_answer_follows(studio, monkeypatch, draft) -> None:
    class Unscored(Endless):
        def scores(self, prompt, choices):
            raise ConfigError("choices are scored with the model's --tokenizer")

        def write(self, prompt, most, show):
            show("an answer")

    monkeypatch.setattr(studio.session, "options", studio.options(models=("openai:x",)))
    monkeypatch.setitem(studio.session.models.opened, "openai:x", Unscored())
    written = draft("{{text}}? ||| {{answer_choices[label]}}", "no ||| yes")
    body = {"key": "toy", "row": 0, "draft": written, "model": "openai:x"}
    found = events(studio.client.post("/api/try", json=body))
    assert [name for name, _ in found] == ["note", "text", "done"]
    assert found[0][1] == {"message": "choices are scored with the model's --tokenizer"}
    assert found[2][1]["tokens"] is None
