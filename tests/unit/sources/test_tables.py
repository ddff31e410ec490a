import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from xmtf.errors import SourceError, TemplateError
from xmtf.sources.locate import locate_here
from xmtf.sources.reference import SourceRef
from xmtf.sources.stream import stream_files
from xmtf.sources.tables import fingerprint_files, read_table_file, read_table_files
from xmtf.templates import Template


def test_text_that_looks_like_a_date_or_a_missing_value_stays_text(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text('when,text,label\n2020-01-01,NA,0\n2020-01-02,"two\nlines, one comma",1\n', encoding="utf-8")
    table = read_table_file(path)
    assert table.to_pylist() == [
        {"when": "2020-01-01", "text": "NA", "label": 0},
        {"when": "2020-01-02", "text": "two\nlines, one comma", "label": 1},
    ]


def test_a_quoted_column_name_may_hold_a_comma(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text('"day, month",x\n2020-01-01,1\n', encoding="utf-8")
    assert read_table_file(path).to_pylist() == [{"day, month": "2020-01-01", "x": 1}]


def test_only_plain_integers_become_integers(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("a,b,c\n1,007,1.50\n-2,2,2\n", encoding="utf-8")
    assert read_table_file(path).to_pylist() == [{"a": 1, "b": "007", "c": "1.50"}, {"a": -2, "b": "2", "c": "2"}]


def test_tsv_knows_no_quotes_and_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    path = tmp_path / "rows.tsv"
    path.write_text('\ufeffs1\ts2\n"El Cementerio\tsays "no"\n', encoding="utf-8")
    assert read_table_file(path).to_pylist() == [{"s1": '"El Cementerio', "s2": 'says "no"'}]


def test_jsonl_takes_the_columns_of_all_rows(tmp_path):
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a": 1}\n\n{"a": 2, "b": ["x"]}\n'))
    assert read_table_file(path).to_pylist() == [{"a": 1, "b": None}, {"a": 2, "b": ["x"]}]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.jsonl", b'{"a": 1}\n{"a": \n', "line 2 is not JSON"),
        ("rows.jsonl", b"[1]\n", "line 1 is not a JSON object"),
        ("rows.jsonl", b'{"a": 1}\n{"a": "x"}\n', "column 'a' mixes types"),
        ("rows.jsonl.gz", b"not gzip", "cannot be read"),
        ("rows.parquet", b"not parquet", "cannot be read"),
        ("rows.xlsx", b"", "not a kind of file"),
    ],
)
def test_a_broken_file_is_named_with_what_is_wrong(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SourceError, match=message) as error:
        read_table_file(path)
    assert str(path) in str(error.value)


def test_a_missing_file_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(SourceError, match="no such file"):
        read_table_file(tmp_path / "none.csv")


def test_shards_are_joined_in_order_and_hashed_by_content_alone(tmp_path):
    one, two = tmp_path / "a.parquet", tmp_path / "b.parquet"
    pq.write_table(pa.table({"x": [1, 2]}), one)
    pq.write_table(pa.table({"x": [3]}), two)
    assert read_table_files([one, two])["x"].to_pylist() == [1, 2, 3]
    moved = tmp_path / "c.parquet"
    moved.write_bytes(one.read_bytes())
    assert fingerprint_files([one]) == fingerprint_files([moved])
    assert fingerprint_files([one]) != fingerprint_files([two])
    pq.write_table(pa.table({"x": [9, 9, 9]}), one)
    assert fingerprint_files([one]) != fingerprint_files([moved])


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path):
    (tmp_path / "rows.jsonl").write_bytes(b'\xef\xbb\xbf{"a": "x"}\r\n{"a": "y"}\r\n')
    assert read_table_file(tmp_path / "rows.jsonl").to_pylist() == [{"a": "x"}, {"a": "y"}]


def test_a_document_of_megabytes_in_csv_is_read(tmp_path):
    text = "word, " * 500_000
    (tmp_path / "rows.csv").write_text(f'id,text\n1,"{text}"\n')
    assert read_table_file(tmp_path / "rows.csv").column("text").to_pylist() == [text]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("large.jsonl", b'{"a": 9223372036854775808}\n{"a": -1}\n', "column 'a' .*too large a number"),
        ("twice.csv", b"a,a\n1,2\n", "more than one column 'a'"),
    ],
)
def test_odd_files_are_refused_in_one_line(tmp_path, name, content, problem):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=problem):
        read_table_file(tmp_path / name)


def test_minus_zero_stays_text(tmp_path):
    (tmp_path / "rows.csv").write_text("a,b\n-0,-1\n")
    assert read_table_file(tmp_path / "rows.csv").to_pylist() == [{"a": "-0", "b": -1}]


def test_long_whole_numbers_are_refused_by_line_and_column(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"n": 1e29}\n{"n": 2.5}\n')
    assert read_table_file(path).column("n").to_pylist() == [1e29, 2.5]
    path.write_text('{"n": 1}\n\n{"n": [{"m": 123456789012345678901234567890}]}\n')
    with pytest.raises(SourceError, match=r"line 3: column 'n' holds 123456789012345678901234567890, an integer"):
        read_table_file(path)


def test_whole_numbers_beside_decimals_are_refused_where_a_template_reads_them(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"t": "a", "n": 1, "m": 1, "s": {"x": [1]}}\n{"t": "b", "n": 2.5, "m": 2, "s": {"x": [0.5]}}\n')
    table = read_table_file(path)

    def render(jinja, mode="fixed"):
        found = Template("t", jinja).render_table(table, dataset="d", subset="", split="s", mode=mode)
        return found.inputs.to_pylist()

    assert render("{{t}} {{m}} ||| x") == ["a 1", "b 2"]
    assert render("{{n}} ||| x", "legacy") == ["1.0", "2.5"]
    for name in ("n", "s.x[0]"):
        with pytest.raises(TemplateError, match=r"column '.' has whole numbers among .* \(line 1: 1, line 2: "):
            render(f"{{{{{name}}}}} ||| x")


def test_views_and_runs_are_read_as_plain_columns(tmp_path):
    runs = pa.RunEndEncodedArray.from_arrays([2, 3], ["a", "b"])
    views = pa.array(["x", None, "y"], pa.string_view())
    nested = pa.array([{"t": ["x"]}, None, {"t": []}], pa.struct({"t": pa.list_(pa.string_view())}))
    table = pa.table({"runs": runs, "views": views, "nested": nested})
    feather.write_feather(table, tmp_path / "rows.arrow", compression="uncompressed")
    pq.write_table(table.drop_columns("runs"), tmp_path / "rows.parquet")
    read = read_table_file(tmp_path / "rows.arrow").take([2, 0])
    assert read.to_pylist() == [table.to_pylist()[2], table.to_pylist()[0]]
    assert read_table_file(tmp_path / "rows.parquet").take([1]).column("views").to_pylist() == [None]


def test_runs_inside_other_values_are_refused_by_column(tmp_path):
    runs = pa.RunEndEncodedArray.from_arrays([1], ["a"])
    table = pa.table({"x": pa.StructArray.from_arrays([runs], ["a"])})
    feather.write_feather(table, tmp_path / "rows.arrow", compression="uncompressed")
    with pytest.raises(SourceError, match=r"column 'x' is of type .*write it without run-length encoding"):
        read_table_file(tmp_path / "rows.arrow")


@pytest.mark.parametrize(
    "content",
    [
        '{"a": ["x", "y"], "b": [1, 2]}',
        '{\n "a": {"0": "x", "1": "y"}}'.replace("\n", ""),
        '{"a": {"0": "x"}, "b": {"0": 1}}',
    ],
)
def test_a_json_file_of_columns_is_not_one_row(tmp_path, content):
    (tmp_path / "rows.json").write_text(content)
    with pytest.raises(SourceError, match="one object of columns; write one object per row"):
        read_table_file(tmp_path / "rows.json")
    (tmp_path / "rows.jsonl").write_text(content)
    assert read_table_file(tmp_path / "rows.jsonl").num_rows == 1


@pytest.mark.parametrize(
    "content", ['{"a": ["x", "y"]}', '{"a": ["x"], "b": [1]}', '{"a": ["x", "y"], "b": 1}', '[{"a": ["x"]}, {"a": []}]']
)
def test_a_json_file_may_have_one_row_with_lists(tmp_path, content):
    (tmp_path / "rows.json").write_text(content)
    assert read_table_file(tmp_path / "rows.json").num_rows in (1, 2)


def test_files_of_one_split_have_the_same_columns(tmp_path):
    for name, columns in (("a", {"x": 1, "label": 1}), ("b", {"x": 1, "Label": 1}), ("c", {"x": 1})):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(columns))
    a, b, c = (tmp_path / f"{name}.jsonl" for name in "abc")
    with pytest.raises(SourceError, match=r"b.jsonl: has 'Label' where .*a.jsonl has 'label'"):
        read_table_files([a, b])
    with pytest.raises(SourceError, match=r"b.jsonl: has 'Label' where"):
        stream_files(SourceRef("d", "", "train"), [a, b])
    assert read_table_files([a, c]).to_pylist() == [{"x": 1, "label": 1}, {"x": 1, "label": None}]


@pytest.mark.parametrize(
    ("path", "said"),
    [("", "is a folder; name its files"), ("*.jsonl", "patterns are not read: name each file"), ("b.csv", "looked in")],
)
def test_what_is_no_file_is_said(tmp_path, path, said):
    with pytest.raises(SourceError, match=said):
        read_table_file(tmp_path / path)
    with pytest.raises(SourceError, match=said):
        locate_here(SourceRef("d", path=str(tmp_path / path)))


def test_a_file_that_is_named_twice_is_refused(tmp_path):
    (tmp_path / "a.jsonl").write_text("{}")
    paths = [str(tmp_path / "a.jsonl"), str(tmp_path / "." / ".." / tmp_path.name / "a.jsonl")]
    with pytest.raises(SourceError, match="named twice for one split"):
        locate_here(SourceRef("d", path=paths[0], further_paths=tuple(paths[1:])))
