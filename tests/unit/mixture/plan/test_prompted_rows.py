"""What prompted folders hold beside clean JSON lines: strange bytes, other kinds, empty targets, misspelt fields."""

import gzip
import json
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xmtf.errors import ConfigError, SourceError
from xmtf.mixture import build_mixture, plan_mixture
from xmtf.mixture.plan.prompted import PromptedFile
from xmtf.mixture.plan.prompted_rows import prompted_tables
from xmtf.tasks import DropReport

GOOD = {"inputs": "a", "targets": "b"}


def lines(*records):
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def read(path, content, **about):
    path.write_bytes(content)
    spec = dict.fromkeys(("language", "task", "dataset", "split", "template", "cluster", "licence"), "x")
    part = {**spec, "path": str(path), "rate": 1.0, "size": 1, "fingerprint": "", **about}
    PromptedFile(**part)
    dropped, report = Counter(), DropReport()
    tables = [table for some in prompted_tables(part, 2**20, dropped, report) for table in some]
    rows = [(row["inputs"], row["targets"], row["row"]) for table in tables for row in table.to_pylist()]
    return rows, +dropped, report


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", b"\xef\xbb\xbf" + lines(GOOD)),
        ("a.jsonl", lines(GOOD).replace(b"\n", b"\r\n")),
        ("a.jsonl", b"\n" + lines(GOOD | {"other": [1, {"x": "2024-01-01"}]})),
        ("a.ndjson", lines(GOOD)),
        ("a.json", json.dumps([GOOD], indent=1).encode()),
        ("a.csv", b"inputs;targets\na;b\n"),
        ("a.jsonl.gz", gzip.compress(lines(GOOD), mtime=0)),
        ("a.jsonl.zst", pa.Codec("zstd").compress(lines(GOOD), asbytes=True)),
    ],
)
def test_every_kind_of_file_is_read(tmp_path, name, content):
    assert read(tmp_path / name, content)[0] == [("a", "b", 0)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", lines(GOOD) + b'{"inputs": "caf\xe9", "targets": "b"}\n', "line 2 is not UTF-8 text.*save it as"),
        ("a.jsonl", "x".join(["", lines(GOOD).decode()]).encode("utf-16"), "is UTF-16 text; save it as UTF-8"),
        ("a.jsonl", lines(GOOD) + b'{"inputs": "\\ud800", "targets": "b"}\n', "line 2 contains half a character"),
        ("a.jsonl", lines(GOOD) + b'{"inputs": "a", "inputs": "b"}\n', "line 2: the key 'inputs' occurs twice"),
        ("a.jsonl", lines(GOOD, {"inputs": "a", "targets": 5}), "line 2: `targets` is 5, not text"),
        ("a.jsonl", lines(GOOD, {"inputs": ["a"], "targets": "b"}), "line 2: `inputs` is .'a'., not text"),
        ("a.jsonl", lines(GOOD) + b"[1]\n", "line 2 is not a JSON object"),
        ("a.jsonl.gz", gzip.compress(lines(GOOD) * 99, mtime=0)[:-9], "cannot be read: .*copy or compress it again"),
        ("a.csv", b"inputs,targets\na,1\n", None),
        ("a.jsonl", lines({"input": "a", "target": "b"}), "has `inputs` and `targets`; did you mean 'input', "),
        ("a.csv", b"inputs,target\na,b\n", "no record has `targets`; did you mean 'target'"),
        ("a.jsonl", lines({"q": "a"}), "no record has `inputs` and `targets`; they have q. Rename the fields"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_one_line(tmp_path, name, content, message):
    if message is None:
        assert read(tmp_path / name, content)[0] == [("a", "1", 0)]
        return
    with pytest.raises(SourceError, match=rf"{name}: .*{message}") as error:
        read(tmp_path / name, content)
    assert "\n" not in str(error.value)


def test_a_record_of_any_size_is_read(tmp_path):
    long = "word " * 4_000_000
    rows, _, _ = read(tmp_path / "a.jsonl", lines(GOOD, {"inputs": long, "targets": "b"}, GOOD))
    assert [(len(inputs), row) for inputs, _, row in rows] == [(1, 0), (len(long), 1), (1, 2)]


def test_a_target_of_which_nothing_is_seen_is_an_empty_target(tmp_path):
    blank = ["", " \n", "\u200b", "\ufeff", "\u200f", "\u00ad\u00a0", "\u2060", "\u2800"]
    records = [GOOD, {"inputs": "c"}, *({"inputs": "a", "targets": target} for target in blank)]
    rows, dropped, report = read(tmp_path / "a.jsonl", lines(*records))
    assert rows == [("a", "b", 0)]
    assert dropped == {"empty target": len(blank), "no inputs or targets": 1}
    assert (report.firsts["empty target"].row, report.firsts["no inputs or targets"].row) == (2, 1)
    kept, dropped, _ = read(tmp_path / "a.jsonl", lines(*records), mode="legacy")
    assert (len(kept), dropped) == (1 + len(blank), {"no inputs or targets": 1})


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "xP3" / "fr").mkdir(parents=True)
    (tmp_path / "xP3" / "fr" / "a.jsonl").write_bytes(lines(GOOD))
    return tmp_path / "xP3"


def test_files_that_are_not_read_are_named_and_other_kinds_are_read(recipe, folder, tmp_path, monkeypatch):
    said: list[str] = []
    monkeypatch.setattr("xmtf.mixture.plan.prompted.warn", said.append)
    (folder / "fr" / "deeper").mkdir()
    (folder / "fr" / "deeper" / "b.jsonl").write_bytes(lines(GOOD))
    for name in ("fr/notes.txt", "c.jsonl", "README.md", ".hidden.jsonl", "fr/._a.jsonl"):
        (folder / name).write_bytes(lines(GOOD))
    (folder / "fr" / "d.json").write_text('[{"inputs": "c", "targets": "d"}]')
    pq.write_table(pa.table({"inputs": ["e"], "targets": ["f"]}), folder / "fr" / "e.parquet")
    loaded = recipe("mixture.tasks=[]", "mixture.prompted=[{path: xP3}]")
    manifest = build_mixture(loaded, tmp_path / "mixture")
    assert manifest.counts["languages"] == {"fr": 3}
    assert len(said) == 1
    assert "xP3: skipped, since " in said[0]
    assert said[0].endswith(" are read: c.jsonl, fr/deeper/b.jsonl, fr/notes.txt")


def test_two_files_of_one_name_are_refused(recipe, folder):
    pq.write_table(pa.table({"inputs": ["e"], "targets": ["f"]}), folder / "fr" / "a.parquet")
    with pytest.raises(ConfigError, match=r"a.jsonl and a.parquet have the same name; .*`files`"):
        plan_mixture(recipe("mixture.tasks=[]", "mixture.prompted=[{path: xP3}]"))
    plan_mixture(recipe("mixture.tasks=[]", 'mixture.prompted=[{path: xP3, files: ["*.jsonl"]}]'))
