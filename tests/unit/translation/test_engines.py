"""Engines: services against a local server that speaks their interface, local models as wiring, Apertium for real."""

import json
import re
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest

from xmtf.errors import ConfigError, MissingExtraError, ServerError, TranslationError
from xmtf.servers.chat import ChatServer
from xmtf.templates import read_template_file
from xmtf.translation.engines import local, open_engine
from xmtf.translation.engines.protocol import Brief
from xmtf.translation.file import translate_file

pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")


class Handler(BaseHTTPRequestHandler):
    """Answers as the services do: texts in capitals, tags kept; notes what it was asked."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        server = self.server
        server.asked.append((self.path, body, self.headers.get("Authorization", "")))
        if server.status != 200:
            return self.reply({"error": {"message": "not today"}, "message": "not today"}, server.status)
        if self.path.endswith("/chat/completions"):
            last = json.loads(body)["messages"][-1]["content"].partition(": ")[2]
            usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
            choice = {
                "index": 0,
                "finish_reason": server.finish,
                "message": {"role": "assistant", "content": upper(last)},
            }
            return self.reply(
                {"id": "1", "object": "x", "created": 1, "model": "m", "choices": [choice], "usage": usage}
            )
        if "v2/translate" in self.path and "language" not in self.path:
            texts = json.loads(body)["text"] if body.startswith("{") else parse_qs(body)["text"]
            found = [{"detected_source_language": "EN", "text": upper(text), "billed_characters": 1} for text in texts]
            return self.reply({"translations": found})
        texts = json.loads(body)["q"]
        return self.reply({"data": {"translations": [{"translatedText": upper(text)} for text in texts]}})

    def reply(self, value, status=200):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments):
        pass


def upper(text):
    """Change the vowels outside tags."""
    parts = text.replace("<", "\0<").replace(">", ">\0").split("\0")
    return "".join(
        part if part.startswith("<") else part.translate(str.maketrans("aeiou", "eioua")).replace("&emp;", "&amp;")
        for part in parts
    )


@pytest.fixture
def server(monkeypatch):
    found = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.asked, found.status, found.finish = [], 200, "stop"
    found.url = f"http://127.0.0.1:{found.server_address[1]}"
    thread = threading.Thread(target=found.serve_forever)
    thread.start()
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DEEPL_AUTH_KEY", "key:fx")
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


TEXTS = ['Is <x id="0"/> &amp; <x id="1"/> so?', "Yes"]


@pytest.mark.parametrize("name", ["openai:m@{}/v1", "deepl@{}", "google@{}"])
def test_services_are_asked_in_their_own_way(server, name):
    pytest.importorskip({"o": "openai", "d": "deepl", "g": "google.cloud.translate_v2"}[name[0]])
    engine = open_engine(name.format(server.url))
    assert engine.translate(TEXTS, "en", "fr") == ['Is <x id="0"/> &amp; <x id="1"/> su?', "Yis"]
    server.status = 400
    with pytest.raises(TranslationError, match=r"not today|400"):
        engine.translate(["No"], "en", "fr")


def test_a_chat_model_is_told_role_glossary_and_example(server, templates_file, work_of):
    pytest.importorskip("openai")
    engine = open_engine(f"openai:m@{server.url}/v1")
    told = engine.briefed(Brief("choice", "mine", {"yes": "oui"}))
    assert told.prompt == engine.prompt
    told.translate(["yes, always"], "en", "fr")
    messages = json.loads(server.asked[-1][1])["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    for words in ("into French", "one of the answers among which", "dataset mine", "yes = oui"):
        assert words in messages[0]["content"]
    translate_file(templates_file, templates_file, "en", [work_of(engine)], "2026-11-30")
    made = {each.name: each for each in read_template_file(templates_file)}["ask_frmt"]
    assert (made.translated.state, made.translated.engine) == ("machine", "openai:m")
    assert made.translated.prompt == engine.prompt
    assert made.answer_choices == "yis, elweys ||| pirheps ||| nu, nivir"


def test_the_chat_server_says_how_answers_ended(server):
    pytest.importorskip("openai")
    asked = ChatServer("m", f"{server.url}/v1", retries=0)
    conversations = [[{"role": "user", "content": f"x: {n}"}] for n in "abc"]
    answers = asked.answers(conversations, temperature=0)
    assert [answer.text for answer in answers] == ["e", "b", "c"]
    assert (answers[0].finish, answers[0].prompt_tokens, answers[0].answer_tokens) == ("stop", 7, 2)
    server.finish = "length"
    assert open_engine(f"openai:m@{server.url}/v1").translate(["cut"], "en", "fr") == [""]
    assert open_engine(f"openai:{server.url}/v1#m").translate(["cut"], "en", "fr") == [""]
    server.status = 500
    with pytest.raises(ServerError, match="not today"):
        asked.answers(conversations)
    with pytest.raises(ConfigError, match="OPENAI_API_KEY is not set"):
        ChatServer("m")
    with pytest.raises(ConfigError, match="has no model"):
        open_engine("openai:")


def test_what_an_engine_lacks_is_said_in_one_line(server, monkeypatch, tmp_path):
    monkeypatch.delenv("DEEPL_AUTH_KEY")
    pytest.importorskip("deepl")
    with pytest.raises(ConfigError, match="DEEPL_AUTH_KEY is not set"):
        open_engine("deepl")
    monkeypatch.setitem(__import__("sys").modules, "deepl", None)
    with pytest.raises(MissingExtraError, match=r"xmtf\[deepl\]"):
        open_engine("deepl")
    with pytest.raises(ConfigError, match=r"it has no model\.bin"):
        open_engine(f"ctranslate2:{tmp_path}")


@pytest.mark.skipif(shutil.which("apertium") is None, reason="apertium is not installed")
def test_apertium_keeps_marks_and_names_words_that_it_does_not_know(templates_file, work_of):
    engine = open_engine("apertium")
    assert engine.translate(['the dog "<x id="0"/>" &amp;', "positive"], "en", "es") == [
        'el perro "<x id="0"/>" &amp;',
        "positivo",
    ]
    assert "*blorked" in engine.translate(["a blorked dog"], "en", "es")[0]
    works = [work_of(engine, code) for code in ("es", "eo")]
    translate_file(templates_file, templates_file, "en", works, "2026-11-30")
    made = {each.name: each for each in read_template_file(templates_file)}
    assert "{{ premise }}" in made["ask_esmt"].jinja
    assert made["ask_eomt"].translated.version == engine.version != ""
    with pytest.raises(ConfigError, match=r"apertium has no pair en-sw; installed: .*eng-spa"):
        engine.translate(["x"], "en", "sw")


@pytest.fixture(scope="module")
def marian(tmp_path_factory):
    """Return a folder of a small random Marian model that knows two targets, and the same for CTranslate2."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    sentencepiece = pytest.importorskip("sentencepiece")
    folder = tmp_path_factory.mktemp("marian")
    words = re.findall(r"\w+", "the dog and cat is a premise true false of claim or what which topic")
    (folder / "text").write_text("\n".join(" ".join(words[n:] + words[:n]) for n in range(len(words))) + "\n")
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text"), model_prefix=str(folder / "source"), vocab_size=34, minloglevel=9
    )
    shutil.move(folder / "source.model", folder / "source.spm")
    shutil.copy(folder / "source.spm", folder / "target.spm")
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "source.spm"))
    names = dict.fromkeys(["</s>", "<unk>", ">>fra<<", ">>spa<<", *map(pieces.id_to_piece, range(pieces.vocab_size()))])
    vocabulary = {name: number for number, name in enumerate([*names, "<pad>"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    tokenizer = transformers.MarianTokenizer(
        str(folder / "source.spm"), str(folder / "target.spm"), str(folder / "vocab.json")
    )
    pad = vocabulary["<pad>"]
    config = transformers.MarianConfig(
        vocab_size=len(vocabulary), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=300,
        pad_token_id=pad, decoder_start_token_id=pad, init_std=1.0, eos_token_id=0, forced_eos_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.MarianMTModel(config).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    return folder / "model"


def test_a_model_of_transformers_is_asked(marian, monkeypatch):
    monkeypatch.setattr(local, "_MOST_TOKENS", 12)
    engine = open_engine(f"transformers:{marian}")
    answers = engine.translate(["the dog", "what is true or false", "a cat"], "en", "fr")
    assert len(answers) == 3
    assert all(answers)
    assert engine.translate(["the dog", "a cat"], "en", "fr") == [answers[0], answers[2]]
    assert engine.translate(["a cat"], "en", "es") != [answers[2]]
    with pytest.raises(ConfigError, match="does not know the language 'sw'"):
        engine.translate(["the dog"], "en", "sw")
    with pytest.raises(ConfigError, match="--engine transformers:"):
        open_engine(f"transformers:{marian.parent}")


def test_a_model_of_ctranslate2_is_asked(marian, tmp_path, monkeypatch):
    monkeypatch.setattr(local, "_MOST_TOKENS", 12)
    module = pytest.importorskip("ctranslate2")
    folder = tmp_path / "converted"
    module.converters.TransformersConverter(str(marian)).convert(str(folder))
    for path in marian.iterdir():
        if path.suffix in (".spm", ".json") and not (folder / path.name).exists():
            shutil.copy(path, folder)
    engine = open_engine(f"ctranslate2:{folder}")
    answers = engine.translate(["the dog", "what is true or false"], "en", "fr")
    assert len(answers) == 2
    assert all(answers)
    assert engine.translate(["the dog"], "en", "fr") == answers[:1]
