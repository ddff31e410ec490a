"""What becomes of every kind of file, of strange bytes and of strange records."""

import bz2
import gzip
import json
import lzma
import tracemalloc

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmtf.errors import SourceError
from xmtf.sources.files import lines, unpack
from xmtf.sources.files.json_tables import JsonBlocks
from xmtf.sources.files.kinds import SUFFIXES
from xmtf.sources.tables import read_blocks, read_table_file
from xmtf.text.files import NotUtf8Error, not_utf8, read_text_file

ROWS = [{"text": "naïve, 'é'", "label": 1}, {"text": "zwei\nZeilen", "label": 0}]
PACK = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: pa.Codec("zstd").compress(data, asbytes=True),
}


def bytes_of(rows, kind):
    table, sink = pa.Table.from_pylist(rows), pa.BufferOutputStream()
    if kind == ".parquet":
        pq.write_table(table, sink)
    elif kind == ".feather":
        pyarrow.feather.write_feather(table, sink)
    elif kind == ".arrow":
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    elif kind == ".json":
        return json.dumps(rows, indent=1, ensure_ascii=False).encode()
    elif kind in (".jsonl", ".ndjson"):
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    else:
        mark, quote = ("\t", "") if kind == ".tsv" else (",", '"')
        cells = [[str(cell) for cell in row.values()] for row in rows]
        head = mark.join(rows[0])
        return "\n".join([head, *(mark.join(f"{quote}{cell}{quote}" for cell in row) for row in cells)]).encode()
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_kind_is_read_alone_and_packed(tmp_path, suffix):
    kind = "." + suffix.split(".")[1]
    rows = [row | {"text": row["text"].replace("\n", " ")} for row in ROWS] if kind == ".tsv" else ROWS
    path = tmp_path / f"a{suffix}"
    path.write_bytes(PACK[suffix.removeprefix(kind)](bytes_of(rows, kind)))
    assert read_table_file(path).to_pylist() == rows
    texts = [text for block in read_blocks(path) for text in block.column("text").to_pylist()]
    assert texts == [row["text"] for row in rows]


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_marks_and_line_ends_of_any_system(tmp_path, start, end):
    for name, content in (
        ("a.jsonl", [b'{"text": "a", "n": 1}', b"", b'{"text": "b", "n": 2}']),
        ("a.csv", [b"text,n", b"a,1", b"b,2"]),
        ("a.tsv", [b"text\tn", b"a\t1", b"b\t2"]),
    ):
        (tmp_path / name).write_bytes(start + end.join(content) + end)
        assert read_table_file(tmp_path / name).to_pylist() == [{"text": "a", "n": 1}, {"text": "b", "n": 2}], name
    (tmp_path / "a.txt").write_bytes(start + end.join([b"a", b"b"]))
    assert read_text_file(tmp_path / "a.txt") == "a\nb"
    assert lines.read_whole_text(tmp_path / "a.txt") == "a\nb"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5)), st.sampled_from(["\n", "\r\n", "\r"]))
@settings(max_examples=50, deadline=None)
def test_blocks_of_any_size_are_the_lines_of_the_whole(tmp_path_factory, texts, end):
    data = "".join(json.dumps({"t": text}) + end for text in texts).encode()
    path = tmp_path_factory.mktemp("lines") / "a.jsonl"
    path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "BLOCK_BYTES", 7)
        found = list(lines.line_blocks(path))
    assert b"".join(block for _, block in found) == data
    assert [number for number, _ in found] == [
        1 + lines.num_lines(b"".join(block for _, block in found[:place])) for place in range(len(found))
    ]


BAD = "café".encode("latin-1")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"t": "a"}\n{"t": "' + BAD + b'"}\n', r"line 2 is not UTF-8 text \(byte 0xe9\); save it as"),
        ("a.jsonl.gz", gzip.compress(b'\n\n{"t": "' + BAD + b'"}\n', mtime=0), "line 3 is not UTF-8"),
        ("a.json", b'[{"t": "a"},\n{"t": "' + BAD + b'"}]', "line 2 is not UTF-8"),
        ("a.csv", b"t,u\r\na,b\r\n" + BAD + b",b\r\n", "line 3 is not UTF-8"),
        ("a.tsv", b"t\tu\na\tb\n" + BAD + b"\tb\n", "line 3 is not UTF-8"),
        ("a.csv", BAD + b",u\n1,b\n", "line 1 is not UTF-8"),
        ("a.csv", "t\tu\n1\t2\n".encode("utf-16"), "is UTF-16 text; save it as UTF-8"),
        ("a.jsonl", '{"t": 1}'.encode("utf-16-le"), "is UTF-16 text; save it as UTF-8"),
        ("a.json", '[{"t": 1}]'.encode("utf-16-be"), "is UTF-16 text; save it as UTF-8"),
        ("a.jsonl", '{"t": 1}'.encode("utf-32"), "is UTF-32 text; save it as UTF-8"),
        ("a.jsonl", b'{"t": "a"}\n{"t": "b\\ud800"}\n', "line 2 contains half a character"),
        ("a.json", b'[{"t": "\\udc00b"}]', "contains half a character"),
        ("a.jsonl", b'{"t": 1, "u": {"k": 1, "k": 2}}\n', "line 1: the key 'k' occurs twice"),
        ("a.jsonl", b'{"t": 1, "t" : 2}\n', "line 1: the key 't' occurs twice"),
        ("a.jsonl", b'{"t": NaN}\n', "line 1 is not JSON"),
        ("a.jsonl", b'{"t": 1,}\n', "line 1 is not JSON"),
        ("a.jsonl", b'[{"t": 1}]', "line 1 is not a JSON object.*a file with a single array must be named .json"),
        ("a.json", b'[{"t": 1}, 2]', "line 2 is not a JSON object"),
        ("a.jsonl", b'{"t": 1}\n\n{"t": "x"}\n', r"column 't' mixes types: line 1 has a number \(1\), line 3 has text"),
        ("a.jsonl", b'{"t": {"u": [1]}}\n{"t": {"u": ["x"]}}\n', r"column 't.u\[\]' mixes types: line 1 .*line 2"),
        ("a.jsonl", b'{"t": true}\n{"t": 1}\n', r"line 1 has true or false \(True\), line 2 has a number"),
        ("a.jsonl", b'{"t": 0.5}\n{"t": 9007199254740993}\n', "too large a number among decimals: line 2: 9007199254"),
        ("a.json", b'[{"t": 12345678901234567890123}]', "too large a number: line 1: 12345678901234567890123"),
        ("a.csv", b"a,b\n1,2\n3\n", r"Row #3: Expected 2 columns, got 1.*separated by ','"),
        ("a.csv", b"\na,b\n", "its first line, which names the columns, is empty"),
        ("a.jsonl.gz", gzip.compress(b'{"t": 1}\n' * 99, mtime=0)[:-9], "cannot be read: .*copy or compress it again"),
        ("a.jsonl.bz2", bz2.compress(b'{"t": 1}\n' * 99)[:-9], "cannot be read: .*copy or compress it again"),
        ("a.jsonl.xz", lzma.compress(b'{"t": 1}\n' * 99)[:-9], "cannot be read: .*copy or compress it again"),
        ("a.jsonl.zst", PACK[".zst"](b'{"t": 1}\n' * 99)[:-3], "cannot be read: .*copy or compress it again"),
        (
            "a.csv.gz",
            gzip.compress(b"t,u\n" + b"1,2\n" * 99, mtime=0)[:-9], "cannot be read: .*copy or compress it again"),
        ("a.parquet.gz", gzip.compress(b"no", mtime=0), "cannot be read"),
        ("a.arrow", b"no", "cannot be read"),
        ("a.feather", b"FEA1", "cannot be read"),
    ],
)  # fmt: skip
def test_what_is_no_text_and_no_record_is_one_line(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SourceError, match=message) as error:
        read_table_file(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_texts_of_parquet_that_are_no_utf8_are_refused_by_column(tmp_path):
    wrong = pa.Array.from_buffers(pa.string(), 1, pa.array([BAD]).buffers())
    pq.write_table(pa.table({"t": ["a"], "u": wrong}), tmp_path / "a.parquet")
    for read in (read_table_file, lambda path: list(read_blocks(path))):
        with pytest.raises(SourceError, match="column 'u' contains bytes that are not UTF-8"):
            read(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"text;label\na,b;1\n", [{"text": "a,b", "label": 1}]),
        (b"sep=;\r\ntext;label\r\na,b;1\r\n", [{"text": "a,b", "label": 1}]),
        (b'\xef\xbb\xbf"sep=|"\ntext|label\na|1\n', [{"text": "a", "label": 1}]),
        (b"text\tlabel\na;b\t1\n", [{"text": "a;b", "label": 1}]),
        (b' text , "label" \na,1\n', [{"text": "a", "label": 1}]),
        (b"a,b;c\n1,2;3\n", [{"a": 1, "b;c": "2;3"}]),
        (b"a,x;b\n1;2\n3;4\n", [{"a,x": 1, "b": 2}, {"a,x": 3, "b": 4}]),
        (b"question|answer\nno\n", None),
        (b"text\nno separator; here\n", [{"text": "no separator; here"}]),
        (b"a,b\n007,NA\n", [{"a": "007", "b": "NA"}]),
        (b"a,b\n", []),
    ],
)
def test_the_separator_is_found(tmp_path, content, rows):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    if rows is None:
        assert read_table_file(path).column_names == ["question|answer"]
        return
    assert read_table_file(path).to_pylist() == rows
    assert read_table_file(path).num_columns > 0


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('q,a\nx,"y\nz,1\nw,2\n', 2),
        ('q,a\nx,"y\nz,1\nw,2', 2),
        ('q,a\r\n"o\r\nk",1\r\nx,"y\r\nz,1\r\n\r\n', 4),
        ('q,a\rx,"y\rz,1\r', 2),
        ('q,a\nx,"y ""so""\nz,""1""\n', 2),
        ('q\n"x\ny\n', 2),
        ('q,a\nx,"y\nz"\n', None),
        ('q,a\nx,"y\nz ""so"""', None),
        ('q,a\nx,"y\n"\n\n', None),
        ('q,a\nx,"y\nz" \n', None),
    ],
)
def test_a_cell_that_takes_in_the_rest_of_a_file_is_refused(tmp_path, content, line, suffix):
    path = tmp_path / f"rows.csv{suffix}"
    path.write_bytes(PACK[suffix](content.encode()))
    if line is None:
        assert read_table_file(path).num_rows == 1
    else:
        with pytest.raises(SourceError, match=rf"line {line}: a quotation mark opens a cell that nothing closes"):
            read_table_file(path)


def test_the_separator_is_given(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"a,b:c\n1:2\n")
    assert read_table_file(tmp_path / "a.csv", separator=":").to_pylist() == [{"a,b": 1, "c": 2}]
    (tmp_path / "a.jsonl").write_bytes(b'{"a": 1}\n')
    with pytest.raises(SourceError, match="has no separator"):
        read_table_file(tmp_path / "a.jsonl", separator=":")


def test_records_of_any_size_are_read(tmp_path):
    long = "word " * 4_000_000  # 20 MB, beyond the blocks that files are read in
    (tmp_path / "a.jsonl").write_text(f'{{"t": "a"}}\n{{"t": "{long}"}}\n{{"t": "c"}}\n')
    (tmp_path / "a.csv").write_text(f't,u\na,1\n"{long}",2\nc,3\n')
    for name in ("a.jsonl", "a.csv"):
        assert [len(text) for text in read_table_file(tmp_path / name).column("t").to_pylist()] == [1, len(long), 1]


def test_a_line_without_end_is_refused_by_its_number(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "MOST_BYTES", 2**20)
    monkeypatch.setattr(lines, "BLOCK_BYTES", 2**18)
    (tmp_path / "a.jsonl").write_bytes(b'{"t": 1}\n' + b'{"t": "' + b"a" * 2**22)
    with pytest.raises(SourceError, match=r"a.jsonl: line 2 has more than a gigabyte"):
        read_table_file(tmp_path / "a.jsonl")


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.csv.xz", "a.json.bz2", "a.parquet.zst"])
def test_a_bomb_is_refused_in_bounded_memory(tmp_path, monkeypatch, name):
    monkeypatch.setattr(unpack, "_SUSPECT_BYTES", 2**22)
    start = b"[" if ".json." in name else b"t,u\n" if ".csv" in name else b""
    path = tmp_path / name
    path.write_bytes(PACK[f".{name.rpartition('.')[2]}"](start + b'{"t": 1}\n' * 2**17 + b" " * 2**24))
    tracemalloc.start()
    try:
        with pytest.raises(SourceError, match="unpacks to more than 200 times its size"):
            for _ in read_blocks(path):
                pass
        assert tracemalloc.get_traced_memory()[1] < 40 * 2**20
    finally:
        tracemalloc.stop()


def test_types_of_blocks_become_those_of_the_whole(tmp_path, monkeypatch):
    rows = [
        {"a": 1, "s": {"x": 1}, "l": [], "late": None},
        {"a": 2.5, "s": {"y": "b", "x": None}, "l": [0.5], "late": None},
        {"a": None, "s": None, "l": [1], "late": "c"},
    ]
    path = tmp_path / "a.jsonl"
    path.write_bytes(bytes_of(rows, ".jsonl"))
    whole = read_table_file(path)
    monkeypatch.setattr("xmtf.sources.files.json_tables._BLOCK_ROWS", 1)
    blocks = read_table_file(path)
    assert blocks.equals(whole, check_metadata=True)
    assert blocks.schema.field("a").metadata
    assert len(list(JsonBlocks(path, array=False))) == 3
    path.write_bytes(b'{"a": 1}\n{"b": 1}\n{"a": "x"}\n')
    with pytest.raises(SourceError, match=r"column 'a' mixes types: line 1 .*line 3"):
        read_table_file(path)


@given(st.binary(max_size=40), st.integers(1, 7))
@settings(max_examples=200, deadline=None)
def test_the_line_of_bytes_that_are_no_utf8(data, size):
    blocks = [data[start : start + size] for start in range(0, len(data), size)]
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = len((data[: error.start] + b"x").splitlines())
        assert not_utf8(blocks).startswith(f"line {line} is not UTF-8 text")
    else:
        assert not_utf8(blocks) is None


def test_texts_of_other_rooms_are_named_by_line(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"a: 1\n# " + BAD)
    with pytest.raises(NotUtf8Error, match=r"a.yaml: line 2 is not UTF-8"):
        read_text_file(tmp_path / "a.yaml")
