import math

import pytest
import torch

from xmtf.errors import ConfigError, SourceError
from xmtf.evaluation import loss as room
from xmtf.evaluation.asking.journal import Journal
from xmtf.evaluation.asking.subject import Subject
from xmtf.evaluation.engine.answer import Answer
from xmtf.evaluation.engine.encoding import PromptRules
from xmtf.evaluation.generation.decoding import Decoding
from xmtf.evaluation.loss import loss_lines, mixture_loss, summarize, text_loss
from xmtf.evaluation.parallel_bits import parallel_bits
from xmtf.evaluation.suites.setup import Setup
from xmtf.files import Manifest, write_manifest
from xmtf.recipe.schema import Evaluation
from xmtf.records import Origin
from xmtf.tasks import Catalogue
from xmtf.tasks.prompting.prompted import PROMPTED_SCHEMA


def test_means_over_tokens_and_over_targets_differ():
    found = summarize("fr", [Answer((-2.0,), (1,)), Answer((-3.0,), (3,)), Answer(error="non-finite score")])
    assert (found.targets, found.tokens, found.failed) == (2, 4, 1)
    assert found.per_token == 5 / 4
    assert found.per_target == (2 + 1) / 2
    assert found.perplexity == math.exp(5 / 4)
    assert found.low <= found.per_target <= found.high
    assert math.isnan(summarize("fr", []).per_token)


def test_targets_of_a_row_are_resampled_together():
    losses = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    once = summarize("fr", [Answer((-loss,), (1,)) for loss in losses])
    rows = [Origin("t", "", "train", row) for row in range(6) for _ in range(5)]
    often = summarize("fr", [Answer((-loss,), (1,)) for loss in losses for _ in range(5)], rows)
    assert often.per_target == once.per_target
    assert often.high - often.low > 0.8 * (once.high - once.low)
    alone = summarize("fr", [Answer((-1.0,), (1,))])
    assert math.isnan(alone.low)
    assert "[" not in loss_lines([alone])[1]


@pytest.fixture
def mixture(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [field.name for field in PROMPTED_SCHEMA]
    for part, start in enumerate((0, 6)):
        rows = [
            dict.fromkeys(names, "x") | {"inputs": f"in {n}", "targets": "a" * (n + 1), "choices": None, "row": n}
            for n in range(start, start + (6 if part == 0 else 4))
        ]
        path = tmp_path / "language=fr" / f"part-0000{part}.parquet"
        path.parent.mkdir(exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows, schema=PROMPTED_SCHEMA), path)
    manifest = Manifest(
        "mixture", "f", counts={"rows": {"fr": 10}}, details={"validation_fraction": 0.3, "rows": {"fr": 10}}
    )
    write_manifest(tmp_path, manifest)
    return tmp_path


@pytest.mark.parametrize(
    ("part", "limit", "rows"),
    [("validation", None, [0, 4, 5]), ("train", 6, [1, 2, 3, 6, 7, 8]), ("all", None, list(range(10)))],
)
def test_parts_are_those_of_the_token_files(mixture, part, limit, rows):
    ((language, requests),) = room._requests(mixture, part, limit)
    assert language == "fr"
    assert [request.origin.row for request in requests] == rows


def test_loss_of_a_mixture(mixture, causal, tokenizer, monkeypatch, tmp_path):
    subject = Subject(causal, tokenizer, PromptRules(), "tiny", "f", "bloomz", Decoding(4), 512)
    monkeypatch.setattr(room, "load_subject", lambda *args: subject)
    setup = Setup(Evaluation(), Catalogue({}))
    french, everything = mixture_loss(setup, mixture, model="tiny", out=tmp_path / "loss.jsonl")
    assert french.targets == everything.targets == 3
    assert french.tokens == sum(n + 3 for n in (0, 4, 5))  # space, n + 1 letters, end of text
    assert loss_lines([french])[1].startswith("fr")
    assert (tmp_path / "loss.jsonl").read_text().count("\n") == 2
    with pytest.raises(ConfigError, match="has no validation rows"):
        write_manifest(mixture, Manifest("mixture", "f", details={"validation_fraction": 0.0, "rows": {"fr": 10}}))
        mixture_loss(setup, mixture, model="tiny")


def test_loss_of_plain_text(causal, tokenizer, monkeypatch, tmp_path):
    subject = Subject(causal, tokenizer, PromptRules(), "tiny", "f", "bloomz", Decoding(4), 512)
    monkeypatch.setattr(room, "load_subject", lambda *args: subject)
    (tmp_path / "a.txt").write_text("one text\n\n\n\nanother\n\n")
    (tmp_path / "b.jsonl").write_text('{"text": "line"}\n')
    setup = Setup(Evaluation(), Catalogue({}))
    first, second, everything = text_loss(setup, [tmp_path / "a.txt", tmp_path / "b.jsonl"], model="tiny")
    assert (first.targets, second.targets, everything.targets) == (2, 1, 3)
    ids = [tokenizer.bos, *tokenizer.encode(["line"])[0].tolist()]
    logp = torch.log_softmax(causal.logits(causal.hidden_states(torch.tensor([ids]))[0, :-1]), -1)
    expected = -logp[torch.arange(4), torch.tensor(ids[1:])].mean().item()
    assert second.per_token == pytest.approx(expected, abs=1e-5)
    assert everything.tokens == first.tokens + 4
    with pytest.raises(SourceError, match="has no text"):
        (tmp_path / "empty.txt").write_text("\n")
        text_loss(setup, [tmp_path / "empty.txt"], model="tiny")


@pytest.mark.parametrize("what", ["mixture", "texts"])
def test_a_stopped_measurement_is_resumed_with_the_same_bytes(mixture, causal, tokenizer, monkeypatch, tmp_path, what):
    subject = Subject(causal, tokenizer, PromptRules(), "tiny", "f", "bloomz", Decoding(4), 16)
    monkeypatch.setattr(room, "load_subject", lambda *args: subject)
    setup, real, batches = Setup(Evaluation(), Catalogue({})), Journal.add, []
    (tmp_path / "a.txt").write_text("\n\n".join(f"text {'a' * 60} {n}" for n in range(40)))

    def measure(name, stop=None):
        batches.clear()

        def add(journal, found, plan=""):
            if len(batches) == stop:
                raise KeyboardInterrupt
            batches.append([key for key, _ in found])
            real(journal, found, plan)

        monkeypatch.setattr(Journal, "add", add)
        if what == "mixture":
            return mixture_loss(setup, mixture, model="tiny", part="all", out=tmp_path / name)
        return text_loss(setup, [tmp_path / "a.txt"], model="tiny", out=tmp_path / name)

    losses = measure("whole.jsonl")
    whole = list(batches)
    assert len(whole) > 4
    for stop in (0, 1, len(whole) - 1):
        with pytest.raises(KeyboardInterrupt):
            measure(f"{stop}.jsonl", stop)
        assert measure(f"{stop}.jsonl") == losses
        assert batches == whole[stop:], "no batch is asked again, nor cut"
        assert (tmp_path / f"{stop}.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    with pytest.raises(ConfigError, match="already exists"):
        measure("whole.jsonl")
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"one\n\ncaf\xe9\n", "line 3 is not UTF-8 text .*save it as UTF-8"),
        ("a.txt", "one".encode("utf-16"), "is UTF-16 text; save it as UTF-8"),
        ("a.jsonl", b'{"text": "caf\xe9"}\n', "line 1 is not UTF-8 text"),
        ("a.jsonl", b'{"text": "\\ud800"}\n', "line 1 contains half a character"),
        ("a.jsonl", b'{"txt": "a"}\n', "has no field `text`; it has txt"),
        ("a.csv", b"text,n\n,1\n", "has no text"),
        ("a.jsonl", b'{"text": 5}\n', "its field `text` holds values of type int64"),
        ("a.jsonl", b'{"text": "a"}\n{"text": null}\n', "a line has no field `text`, or it is null"),
    ],
)
def test_texts_that_cannot_be_read_are_one_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=rf"{name}: {message}"):
        text_loss(Setup(Evaluation(), Catalogue({})), [tmp_path / name], model="none")


@pytest.mark.parametrize(("rank", "refused"), [("0", ConfigError), ("1", SystemExit)])
def test_several_processes_are_refused_by_the_first(monkeypatch, tmp_path, rank, refused):
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", "2")
    setup = Setup(Evaluation(), Catalogue({}))
    for measure in (
        lambda: mixture_loss(setup, tmp_path, model="none"),
        lambda: text_loss(setup, [tmp_path / "a.txt"], model="none"),
        lambda: parallel_bits(setup, {"en": ["a"]}, model="none"),
    ):
        with pytest.raises(refused, match="start it without torchrun" if rank == "0" else "2"):
            measure()
