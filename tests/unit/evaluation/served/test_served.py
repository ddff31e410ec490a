"""Models behind a server: the answers of the same model at hand, whichever way they come; what is refused, and kept."""

import json
import os
import signal
import sys
import types

import pyarrow.parquet as pq
import pytest
import torch
from typer.testing import CliRunner

from xmtf.cli.app import build_app
from xmtf.errors import ConfigError, MissingExtraError, ServerError
from xmtf.evaluation import run as room
from xmtf.evaluation.asking.journal import Journal
from xmtf.evaluation.code.sandbox import sandbox_fault
from xmtf.evaluation.engine.encoding import Encoder, prompt_rules
from xmtf.evaluation.generation.decoding import Decoding
from xmtf.evaluation.generation.generate import generate
from xmtf.evaluation.prompting.prompt_file import answer_file
from xmtf.evaluation.ranking.rank import rank
from xmtf.evaluation.served.in_vllm import VllmBackend, load_vllm
from xmtf.evaluation.served.over_http import HttpBackend
from xmtf.evaluation.served.prompting import open_prompts
from xmtf.evaluation.served.subject import ServedSubject
from xmtf.evaluation.served.token_scores import TokenScores, find_token_scores
from xmtf.files import read_manifest
from xmtf.models import load_model
from xmtf.recipe import load_recipe
from xmtf.recipe.sections.served import ServedModel
from xmtf.records import Origin, Request
from xmtf.results.items import item_paths
from xmtf.results.scores import read_scores
from xmtf.servers.client import Asking, ModelServer
from xmtf.servers.reference import parse_served
from xmtf.tokens import load_tokenizer

TEMPLATES = """\
language: en
templates:
  - name: is it even
    jinja: "Is {{x}} even? ||| {{ answer_choices[x % 2] }}"
    answer_choices: yés ||| no ||| who knows
"""
RECIPE = """\
name: own
mixture: {tasks: [{tasks: [parity]}]}
model: {architecture: bloom, hidden_size: 8, num_layers: 1, num_heads: 1}
training: {steps: 1, device: cpu}
own_tasks:
  - {id: parity, path: rows.jsonl, templates: own.yaml, language: en, kind: rank, role: evaluation, split: test}
  - {id: words, path: rows.jsonl, templates: own.yaml, language: en, kind: generation, role: evaluation, split: test}
evaluation:
  samples: 0
  max_new_tokens: 5
  server: {concurrency: 1, price: [1, 2]}
  suites: [{name: parity, tasks: [{tasks: [parity]}]}, {name: words, tasks: [{tasks: [words]}]}]
"""
PROGRAMS = """\
name: own
mixture: {tasks: [{catalogue: demo}]}
model: {architecture: bloom, hidden_size: 8, num_layers: 1, num_heads: 1}
training: {steps: 1, global_batch_rows: 1}
own_tasks: [{id: mine, path: mine.jsonl, kind: code, role: evaluation, language: code}]
"""
WAYS = {"prompt_logprobs": "prompt_logprobs", "echo": "echo", "bias": "token by token"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_model):
    return tiny_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def at_hand(folder):
    """A loaded model and its tokenizer."""
    return load_model(folder, device="cpu", dtype=torch.float32).model, load_tokenizer(folder)


@pytest.fixture
def server(at_hand, serve, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with serve(*at_hand) as found:
        yield found


@pytest.fixture
def recipe(tmp_path, folder):
    def make(rows=6, **server):
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps({"x": x}) + "\n" for x in range(rows)))
        (tmp_path / "own.yaml").write_text(TEMPLATES)
        (tmp_path / "recipe.yaml").write_text(RECIPE)
        overrides = [f"evaluation.server.{name}={value}" for name, value in server.items()]
        return load_recipe(tmp_path / "recipe.yaml", [f"evaluation.server.tokenizer={folder}", *overrides])

    return make


def items_of(out):
    return [item for path in item_paths(out) for item in pq.read_table(path).to_pylist()]


def requests(number, choices=("yés", "no", "who knows")):
    return [Request(f"Is {n} even?", choices, 0, (choices[0],), Origin("d", "", "test", n)) for n in range(number)]


@pytest.mark.parametrize("offer", WAYS)
def test_choices_have_the_scores_of_the_model_at_hand(server, at_hand, offer):
    model, tokenizer = at_hand
    server.offers, server.keeps_back = {offer}, True
    asked = ModelServer(server.url, "tiny")
    scores = find_token_scores(asked, tokenizer)
    assert scores.way == WAYS[offer]
    rules = prompt_rules(model, tokenizer, also=("pmi", "lm_eval"))
    backend = HttpBackend(asked, in_chat=False, scores=scores)
    subject = ServedSubject(parse_served(server.ref), backend, "tiny", "f", "bloomz", Decoding(4), rules, tokenizer)
    found = {index: answer for batch in subject.ask(requests(3)) for index, answer in batch}
    wanted = rank(model, tokenizer, requests(3), rules=rules)
    assert set(found) == {0, 1, 2}
    for index, prediction in enumerate(wanted):
        assert found[index].scores == pytest.approx(prediction.scores, abs=1e-4)
        assert len(found[index].unconditional) == len(found[index].joint) == 3


def test_numbers_of_other_tokens_and_servers_without_any_are_refused(server, at_hand):
    _, tokenizer = at_hand
    asked = ModelServer(server.url, "tiny")
    for offers in (set(), {"biased"}, {"chat"}):
        server.offers = offers
        with pytest.raises(ServerError, match=r"provides no log-probabilities of given tokens .*cannot be ranked"):
            find_token_scores(asked, tokenizer)

    def changed(way, change):
        server.offers, server.wrong = {next(name for name, each in WAYS.items() if each == way)}, change
        with pytest.raises(
            ServerError, match=r"the choice 'Tru' after the prompt that ends in 'a cat': .* Is --tokenizer"
        ):
            TokenScores(asked, tokenizer, way).score(tuple(tokenizer.encode(["a cat"])[0].tolist()), [tru])

    def edit(change):
        def edited(reply):
            change(reply["choices"][0])
            return reply

        return edited

    tru = tuple(tokenizer.encode(["Tru"])[0].tolist())
    changed("prompt_logprobs", edit(lambda choice: choice["prompt_logprobs"].pop()))
    changed("prompt_logprobs", edit(lambda choice: choice["prompt_logprobs"].__setitem__(-1, {"7": {"logprob": -1.0}})))
    changed("prompt_logprobs", edit(lambda choice: choice["prompt_logprobs"].__setitem__(-1, None)))
    named = {str(tru[-1]): {"logprob": -1.0, "decoded_token": "other"}}
    changed("prompt_logprobs", edit(lambda choice: choice["prompt_logprobs"].__setitem__(-1, named)))
    above = {str(tru[-1]): {"logprob": 0.7}}
    changed("prompt_logprobs", edit(lambda choice: choice["prompt_logprobs"].__setitem__(-1, above)))
    changed("echo", edit(lambda choice: choice["logprobs"]["token_logprobs"].pop()))
    changed("echo", edit(lambda choice: choice["logprobs"]["tokens"].__setitem__(-2, "x")))
    changed("echo", edit(lambda choice: [each.pop(0) for each in choice["logprobs"].values()]))
    changed("echo", edit(lambda choice: choice["logprobs"]["token_logprobs"].__setitem__(-2, None)))
    changed("token by token", edit(lambda choice: choice["logprobs"]["content"][0].__setitem__("id", 9)))
    changed("token by token", edit(lambda choice: choice.pop("logprobs")))


def test_texts_are_those_of_the_model_at_hand(server, at_hand, tmp_path):
    model, tokenizer = at_hand
    prompts = [f"Is {n} even?" for n in range(4)]
    wanted = [each.text for each in generate(model, tokenizer, requests(4, ("a", "b")), max_new_tokens=5)]
    asked = open_prompts(server.ref)
    assert not asked.in_chat
    assert [text for _, text in sorted(asked.answers(prompts, Decoding(5)))] == wanted
    pieces = []
    assert asked.stream(prompts[0], Decoding(5), pieces.append) == wanted[0] == "".join(pieces)
    with pytest.raises(ServerError, match="does not fit the model"):
        list(asked.answers(["x" * 600], Decoding(5)))
    stop = wanted[1][1]
    assert asked.stream(prompts[1], Decoding(5, stops=(stop,)), pieces.append) == wanted[1].partition(stop)[0].strip()
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps({"prompt": each}) + "\n" for each in prompts))
    rows = answer_file(asked, Decoding(5), tmp_path / "prompts.jsonl", tmp_path / "out.jsonl")
    assert [row.line["output"] for row in rows] == wanted
    server.offers = {"chat"}
    assert open_prompts(server.ref).in_chat
    open_prompts(server.ref).stream("Hello", Decoding(2), pieces.append)
    assert server.asked[-1][1]["messages"] == [{"role": "user", "content": "Hello"}]
    server.offers = set()
    with pytest.raises(ConfigError, match=r"--chat on: .* does not accept conversations for tiny: no chat template"):
        open_prompts(server.ref, chat="on")


def test_a_server_that_breaks_down_over_conversations_is_asked_by_completions(server, monkeypatch):
    monkeypatch.setattr("xmtf.servers.client._backoff", lambda attempt: 0.0)
    server.offers = {"chat"}

    def conversations_break(status):
        server.faults += [(status, {}, "Internal Server Error")] * 4
        return open_prompts(server.ref)

    assert not conversations_break(500).in_chat
    assert [path.removeprefix("/v1/") for path, *_ in server.asked] == [*["chat/completions"] * 4, "completions"]
    assert conversations_break(503).in_chat, "a busy server is waited for"
    server.faults += [(500, {}, "Internal Server Error")] * 15
    with pytest.raises(ServerError, match="tried 7 times, last: Internal Server Error"):
        open_prompts(server.ref)
    server.faults += [(500, {}, "Internal Server Error")] * 4
    with pytest.raises(
        ConfigError, match=r"--chat on: .* does not accept conversations for tiny: Internal Server Error"
    ):
        open_prompts(server.ref, chat="on")


def test_a_recipe_is_measured_like_the_model_at_hand_and_says_how_it_was_asked(server, recipe, folder, tmp_path):
    server.offers = {"prompt_logprobs"}
    loaded = recipe()
    room.evaluate(loaded, model=folder, label="here", out=tmp_path / "here")
    room.evaluate(loaded, model=server.ref, label="there", out=tmp_path / "there")
    here, there = items_of(tmp_path / "here"), items_of(tmp_path / "there")
    assert [item["text"] for item in there] == [item["text"] for item in here]
    assert [item["choice"] for item in there] == [item["choice"] for item in here]
    for ours, theirs in zip(here, there, strict=True):
        assert theirs["scores"] == pytest.approx(ours["scores"], abs=1e-4) if ours["scores"] else True
    told = read_manifest(tmp_path / "there").details["server"]
    assert (told["url"], told["asked"], told["requests"]) == (server.url, "completions", len(server.asked))
    assert told["cost"] == pytest.approx((told["tokens_read"] + 2 * told["tokens_written"]) / 1e6, abs=1e-6)
    scores = read_scores(tmp_path / "there" / "scores.jsonl")
    assert {(score.computed["ranking"], score.computed["asked"]) for score in scores} == {
        ("prompt_logprobs", "completions")
    }
    before = len(server.asked)
    room.evaluate(loaded, model=server.ref, label="there", out=tmp_path / "there")
    assert len(server.asked) == before


def test_answered_items_are_not_asked_again_after_a_kill_or_a_limit(server, recipe, tmp_path):
    server.offers = {"prompt_logprobs"}
    child = os.fork()
    if child == 0:
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            add, written = Journal.add, []

            def add_and_die(journal, found, plan=""):
                add(journal, found, plan)
                written.extend(found)
                if len(written) >= 7:
                    os.kill(os.getpid(), signal.SIGKILL)

            Journal.add = add_and_die
            room.evaluate(recipe(), model=server.ref, label="m", out=tmp_path / "out")
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    with pytest.raises(ServerError, match="--max-requests 20 is reached"):
        room.evaluate(recipe(max_requests=20), model=server.ref, label="m", out=tmp_path / "out")
    room.evaluate(recipe(), model=server.ref, label="m", out=tmp_path / "out")
    asked = [json.dumps(body, sort_keys=True) for _, body, _ in server.asked if len(str(body)) < 400]
    twice = {each for each in asked if asked.count(each) > 1}
    assert len(twice) <= 2  # what was under way when it was killed, and no more
    room.evaluate(recipe(), model=server.ref, label="m", out=tmp_path / "whole")
    whole, killed = ((tmp_path / name / "scores.jsonl").read_bytes() for name in ("whole", "out"))
    assert killed == whole


@pytest.mark.skipif(bool(sandbox_fault()), reason=f"no sandbox here: {sandbox_fault()}")
def test_programs_are_asked_of_a_server_and_never_twice_after_a_kill_or_a_limit(server, tmp_path, monkeypatch):
    for name, sign in {"add": "+", "sub": "-", "mul": "*"}.items():
        row = {"task_id": f"HumanEval/{name}", "prompt": f"def {name}(x, y):\n", "entry_point": name}
        row |= {"canonical_solution": f"    return x {sign} y\n"}
        row |= {"test": f"def check(candidate):\n    assert candidate(5, 3) == 5 {sign} 3\n"}
        with (tmp_path / "mine.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
    (tmp_path / "recipe.yaml").write_text(PROGRAMS)
    solutions = {"add": "    return x + y\n\ndef more():", "sub": "    return x - y", "mul": "    return 0"}

    def complete(body, chat):
        name = body["prompt"].partition("(")[0].removeprefix("def ")
        choice = {"index": 0, "text": solutions[name], "finish_reason": "stop"}
        usage = {"prompt_tokens": 7, "completion_tokens": 5}
        return {"model": "tiny", "choices": [choice], "usage": usage}, 200

    server.answer = complete

    def measure(out, *more):
        options = ["--recipe", tmp_path / "recipe.yaml", "--samples", 2, "--temperatures", "0,0.8", "--concurrency", 1]
        arguments = ["evaluate", "code", "--model", server.ref, "--out", tmp_path / out, "--price", "1e6,2e6"]
        return CliRunner().invoke(build_app("evaluate"), list(map(str, [*arguments, *options, *more])))

    whole = measure("whole")
    assert whole.exit_code == 0, whole.output
    assert len(server.asked) == 3 * (1 + 2)
    assert {path for path, _, _ in server.asked} == {"/v1/completions"}
    child = os.fork()
    if child == 0:
        try:
            add = Journal.add
            monkeypatch.setattr(Journal, "add", lambda *found: (add(*found), os.kill(os.getpid(), signal.SIGKILL)))
            measure("out")
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    before = len(server.asked)
    limited = measure("out", "--max-requests", 4)
    assert (limited.exit_code, "--max-requests 4 is reached" in str(limited.exception)) == (1, True), limited.output
    resumed = measure("out")
    assert resumed.exit_code == 0, resumed.output
    assert len(server.asked) - before == 3 * (1 + 2) - 1  # one answer was kept when it was killed
    for name in ("scores.jsonl", "completions.jsonl"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    scores = read_scores(tmp_path / "out" / "scores.jsonl")
    assert [score.metrics[0].value for score in scores] == [pytest.approx(2 / 3)] * 2
    told = json.loads((tmp_path / "out" / ".xmtf.json").read_text())["server"]
    assert (told["requests"], told["tokens_read"], told["tokens_written"]) == (9, 63, 45)
    assert told["cost"] == 63 * 1 + 45 * 2
    assert scores[0].computed == {"server": server.ref, "asked": "completions"}


def test_shots_go_to_a_server_without_a_tokenizer(server, recipe, tmp_path):
    suite = "{name: words, tasks: [{tasks: [words]}], shots: {number: 2, split: test}}"
    loaded = load_recipe(recipe().path, [f"evaluation.suites=[{suite}]", "evaluation.chat=off"])
    server.positions = 60
    room.evaluate(loaded, model=server.ref, label="m", out=tmp_path / "out")
    prompts = [body["prompt"] for _, body, _ in server.asked if "Is " in str(body.get("prompt"))]
    assert len(prompts) == 6
    assert all(prompt.count("even?") == 3 for prompt in prompts)
    (score,) = read_scores(tmp_path / "out" / "scores.jsonl")
    assert (score.shots.number, score.shots.lost) == (2, 0)
    for item in items_of(tmp_path / "out"):
        assert item["prompt"] in prompts
        shown = item["prompt"].split("Is ")[1:]
        assert len({each.partition(" ")[0] for each in shown}) == 3  # no item is shown itself


def test_the_command_line_says_what_goes_with_a_server_and_keeps_keys_out(server, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    (tmp_path / "rows.jsonl").write_text('{"prompt": "Is 1 even?"}\n')

    def run(*arguments):
        result = CliRunner().invoke(build_app(str(arguments[0])), list(map(str, arguments)))
        return result.exit_code, result.output + str(result.exception or "")

    code, said = run("generate", "--model", server.ref, "--max-new-tokens", 3, "Is 1 even?")
    assert code == 0, said
    assert server.asked[-1][2]["authorization"] == "Bearer sk-secret"
    wrong = {
        ("--model", folder, "--concurrency", 2): "--concurrency: applies only to served models",
        ("--model", server.ref, "--extra-body", "[1]"): "--extra-body: '[1]' is not a JSON object",
        ("--model", server.ref, "--extra-body", '{"api_key": "sk-1"}'): "keys belong in the environment",
        ("--model", server.ref, "--max-cost", 1): "max_cost needs price",
        ("--model", server.ref, "--quantize", "int8"): "apply only to models that are loaded locally",
        ("--model", server.ref, "--beams", 2): "have no beam search",
    }
    for options, expected in wrong.items():
        assert expected in run("generate", *options, "x")[1]
    out = tmp_path / "out.jsonl"
    options = ("--file", tmp_path / "rows.jsonl", "--out", out, "--extra-body", '{"top_k": 1}')
    assert run("generate", "--model", server.ref, *options)[0] == 0
    assert server.asked[-1][1]["top_k"] == 1
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"sk-secret" in path.read_bytes()]
    (tmp_path / "text.txt").write_text("Is 1 even?")
    assert "served, not loaded" in run("evaluate", "loss", "--model", server.ref, "--text", tmp_path / "text.txt")[1]


class FakeLLM:
    """vllm's documented interface, over a model of ours."""

    def __init__(self, model, tokenizer):
        self.model, self.tokenizer = model, tokenizer

    def generate(self, prompts, params, use_tqdm=True):
        return [self.one(prompt["prompt_token_ids"], each) for prompt, each in zip(prompts, params, strict=True)]

    def one(self, ids, params):
        with torch.no_grad():
            hidden = self.model.hidden_states(torch.tensor([ids]))[0]
            rows = self.model.logits(hidden).float().log_softmax(-1)
        told = None
        if getattr(params, "prompt_logprobs", None) is not None:
            told = [None] + [
                {each: types.SimpleNamespace(logprob=float(row[each])) for each in {token, int(row.argmax())}}
                for row, token in zip(rows, ids[1:], strict=False)
            ]
        request = Request(self.tokenizer.decode(ids), (), None, ("",), Origin("", "", "", 0))
        (made,) = generate(self.model, self.tokenizer, [request], max_new_tokens=params.max_tokens)
        output = types.SimpleNamespace(text=made.text, token_ids=[1] * 3, finish_reason="length", stop_reason=None)
        return types.SimpleNamespace(prompt_token_ids=ids, prompt_logprobs=told, outputs=[output])


def test_vllm_in_this_process_by_a_double_of_its_interface(at_hand, monkeypatch):
    model, tokenizer = at_hand
    monkeypatch.setitem(sys.modules, "vllm", types.SimpleNamespace(SamplingParams=types.SimpleNamespace))
    rules = prompt_rules(model, tokenizer)
    double = FakeLLM(model, tokenizer)
    backend = VllmBackend(double, Encoder(tokenizer, rules))
    subject = ServedSubject(parse_served("vllm:tiny"), backend, "tiny", "f", "bloomz", Decoding(5), rules, tokenizer)
    asked = [*requests(3), *(Request(each.prompt, (), None, ("x",), each.origin) for each in requests(2))]
    found = {index: answer for batch in subject.ask(asked) for index, answer in batch}
    for index, prediction in enumerate(rank(model, tokenizer, asked[:3], rules=rules)):
        assert found[index].scores == pytest.approx(prediction.scores, abs=1e-4)
    wanted = generate(model, tokenizer, asked[3:], max_new_tokens=5)
    assert [found[index].text for index in (3, 4)] == [each.text for each in wanted]
    assert found[3].ending == "budget"
    assert sum(answer.usage[0] for answer in found.values()) == 3 * 3 + 2
    real = double.one
    double.one = lambda ids, params: types.SimpleNamespace(**vars(real(ids, params)) | {"prompt_logprobs": [None]})
    with pytest.raises(ServerError, match="do not match"):
        list(subject.ask(requests(1)))
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(MissingExtraError, match=r"xmtf\[vllm\]"):
        load_vllm("tiny", "auto", 1)


def test_a_server_section_refuses_what_makes_no_sense():
    for wrong in ({"max_cost": 1}, {"price": [-1, 2]}, {"extra_body": {"messages": []}}, {"concurrency": 0}):
        with pytest.raises(ValueError, match=r"server|price|extra_body|concurrency|max_cost"):
            ServedModel.model_validate(wrong)


def test_a_busy_server_is_waited_for(server, monkeypatch):
    monkeypatch.setattr("xmtf.servers.client._backoff", lambda attempt: 0.01)
    server.faults = [(503, [], "loading model")] * 3
    asked = open_prompts(server.ref, ServedModel(concurrency=2), chat="off")
    assert len(list(asked.answers(["Is 1 even?", "Is 2 even?"], Decoding(2)))) == 2
    assert asked.subject.backend.about((2, 5, 4))["requests"] == 2
    assert Asking().retries == 6
