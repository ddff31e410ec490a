"""A small server of OpenAI's interface over a real model: what it offers, and how it fails, is chosen by the test."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch


class Handler(BaseHTTPRequestHandler):
    """Answers one request; ``server`` holds the choices."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        known = {"data": [{"id": "tiny", "max_model_len": self.server.positions}]}
        self.reply(known if self.path.endswith("/models") else {"error": {"message": "no such page"}})

    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            server.asked.append((self.path, body, {name.lower(): text for name, text in self.headers.items()}))
            fault = server.faults.pop(0) if server.faults else None
        if fault is not None:
            status, headers, said = fault
            self.reply({"error": {"message": said, "code": said}}, status, headers)
            return
        chat = self.path.endswith("/chat/completions")
        if chat and "chat" not in server.offers:
            self.reply({"error": {"message": "no chat template"}}, 400)
            return
        if body.get("stream"):
            self.stream(body, chat)
            return
        with server.lock:
            found = server.answer(body, chat)
        self.reply(*found)
        with server.lock:
            server.answered.append(body)

    def reply(self, value, status=200, headers=()):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, text in headers:
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(data)

    def stream(self, body, chat):
        with self.server.lock:
            whole, _ = self.server.answer(body, chat)
        choice = whole["choices"][0]
        text = choice["message"]["content"] if chat else choice["text"]
        parts = [(piece, None) for piece in text] + [("", choice["finish_reason"])]
        lines = [
            {"choices": [{"delta": {"content": piece}} if chat else {"text": piece}], "usage": None}
            for piece, _ in parts
        ]
        lines[-1]["choices"][0]["finish_reason"] = parts[-1][1]
        lines[-1]["usage"] = whole["usage"]
        data = "".join(f"data: {json.dumps(line)}\n\n" for line in lines) + "data: [DONE]\n\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", str(len(data.encode())))
        self.end_headers()
        self.wfile.write(data.encode())

    def log_message(self, *arguments):
        pass


class FakeServer(ThreadingHTTPServer):
    """Serves a model of ours.

    Attributes:
        offers: Of ``prompt_logprobs``, ``echo``, ``bias`` (log-probabilities from before it), ``biased`` (those from
            after it), ``chat``, ``stop_reason``.
        keeps_back: Whether tokens that are no whole characters have no log-probability, as those of llama.cpp's server.
        faults: (status, headers, message) that the next requests get.
        asked: (path, body, headers) of all requests.
        answered: Bodies of those that were answered.
        wrong: Changes the answer before it is sent.
    """

    daemon_threads = True

    def __init__(self, model, tokenizer):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"
        self.model, self.tokenizer = model, tokenizer
        self.lock = threading.RLock()
        self.offers, self.faults, self.asked, self.answered = set(), [], [], []
        self.keeps_back, self.positions, self.wrong = False, 512, lambda reply: reply

    @property
    def ref(self):
        return f"openai:{self.url}#tiny"

    def log_probs(self, ids):
        with torch.no_grad():
            hidden = self.model.hidden_states(torch.tensor([ids]))[0]
            return self.model.logits(hidden).float().log_softmax(-1)

    def answer(self, body, chat):
        """Return what stands in the body of the answer, and its status."""
        prompt = body.get("prompt")
        if chat:
            prompt = "".join(f"<{each['role']}>{each['content']}\n" for each in body["messages"])
        ids = prompt if isinstance(prompt, list) else self.tokenizer.encode([prompt])[0].tolist()
        if len(ids) + body["max_tokens"] > self.positions:
            return {"error": {"message": f"the maximum context length is {self.positions} tokens"}}, 400
        written, finish, told = list(ids), "length", self.log_probs(ids)
        next_ = told[-1]
        bias = {int(token): value for token, value in (body.get("logit_bias") or {}).items()}
        for _ in range(body["max_tokens"]):
            scores = self.log_probs(written)[-1].clone()
            for token, value in bias.items():
                scores[token] += value
            token = int(scores.argmax())
            if token in self.tokenizer.ends:
                finish = "stop"
                break
            written.append(token)
            if any(stop in self.tokenizer.decode(written[len(ids) :]) for stop in body.get("stop") or ()):
                finish = "stop"
                break
        text = self.tokenizer.decode(written[len(ids) :])
        choice = {"index": 0, "finish_reason": finish}
        choice |= {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        if "prompt_logprobs" in self.offers and body.get("prompt_logprobs") is not None:
            choice["prompt_logprobs"] = [None] + [
                {
                    str(each): {"logprob": float(row[each]), "decoded_token": self.tokenizer.decode([each])}
                    for each in {token, int(row.argmax())}
                }
                for row, token in zip(told, ids[1:], strict=False)
            ]
        if "echo" in self.offers and body.get("echo"):
            every = self.log_probs(written)
            choice["logprobs"] = {
                "tokens": [self.tokenizer.decode([token]) for token in written],
                "token_logprobs": [None, *(float(row[t]) for row, t in zip(every, written[1:], strict=False))],
                "top_logprobs": [None, *({"x": float(row.max())} for row in every[:-1])],
            }
        if self.offers & {"bias", "biased"} and body.get("logprobs") and not body.get("echo"):
            token = written[len(ids)]
            if "biased" in self.offers:
                for each, value in bias.items():
                    next_[each] += value
                next_ = next_.log_softmax(-1)
            tops = next_.topk(min(body["logprobs"], len(next_)))
            entries = [
                {"id": int(i), "token": self.tokenizer.decode([int(i)]), "logprob": float(v)}
                for v, i in zip(tops.values, tops.indices, strict=True)
            ]
            name = self.tokenizer.decode([token])
            content = [{"id": token, "token": name, "logprob": float(next_[token]), "top_logprobs": entries}]
            choice["logprobs"] = None if self.keeps_back and "\ufffd" in name else {"content": content}
        usage = {"prompt_tokens": len(ids), "completion_tokens": len(written) - len(ids)}
        return self.wrong({"model": "tiny", "choices": [choice], "usage": usage}), 200


@contextmanager
def serving(model, tokenizer):
    """Serve until the end of the block."""
    server = FakeServer(model, tokenizer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="session")
def serve():
    """The function :func:`serving`."""
    return serving
