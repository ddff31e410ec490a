import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xmtf.analysis.corpus import CorpusColumns, read_corpus
from xmtf.errors import ConfigError, SourceError, UnknownNameError


def everything(path, columns=None):
    return [pair for part in read_corpus(path, columns) for pair in zip(part.languages, part.texts, strict=True)]


def test_a_mixture_gives_the_side_that_is_asked_for(tmp_path):
    folder = tmp_path / "language=fr"
    folder.mkdir()
    pq.write_table(pa.table({"inputs": ["Ou ?", "Qui ?"], "targets": ["Ici.", "Moi."]}), folder / "part-0.parquet")
    assert everything(tmp_path) == [("fr", "Ici."), ("fr", "Moi.")]
    assert len(everything(tmp_path, CorpusColumns(side="both"))) == 4


def test_files_declare_their_language_by_column_folder_or_option(tmp_path):
    (tmp_path / "swh_Latn").mkdir()
    (tmp_path / "swh_Latn" / "a.txt").write_text("Habari\n\nNzuri\n")
    with gzip.open(tmp_path / "b.jsonl.gz", "wt") as stream:
        stream.write('{"text": "Hallo", "language": "deu"}\n{"text": "Hi", "language": "en"}\n')
    assert everything(tmp_path) == [("de", "Hallo"), ("en", "Hi"), ("sw", "Habari"), ("sw", "Nzuri")]
    assert everything(tmp_path / "swh_Latn" / "a.txt", CorpusColumns(declared="swh")) == [
        ("sw", "Habari"),
        ("sw", "Nzuri"),
    ]


def test_bad_corpora_are_named(tmp_path):
    with pytest.raises(SourceError, match="nowhere"):
        everything(tmp_path / "nowhere")
    plain = tmp_path / "a.txt"
    plain.write_text("hello\n")
    with pytest.raises(ConfigError, match="--language"):
        everything(plain)
    torn = tmp_path / "b.jsonl"
    torn.write_text('{"text": "a", "language": "en"}\n{"text": \n')
    with pytest.raises(SourceError, match="line 2"):
        everything(torn)
    with pytest.raises(UnknownNameError, match="'body'"):
        torn.write_text('{"text": "a", "language": "en"}\n')
        everything(torn, CorpusColumns(text="body"))


def test_marks_and_strange_bytes(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"text": "a", "language": "en"}\r\n')
    assert everything(path) == [("en", "a")]
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfa\r\n\r\nb")
    assert everything(tmp_path / "a.txt", CorpusColumns(declared="fr")) == [("fr", "a"), ("fr", "b")]
    (tmp_path / "a.txt").write_bytes(b"a\ncaf\xe9\n")
    with pytest.raises(SourceError, match="line 2 is not UTF-8"):
        everything(tmp_path / "a.txt", CorpusColumns(declared="fr"))
    path.write_bytes(b'{"text": "caf\xe9", "language": "en"}\n')
    with pytest.raises(SourceError, match="line 1 is not UTF-8"):
        everything(path)
