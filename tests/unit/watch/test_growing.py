"""Files that grow, are cut, replaced, torn or gone between two looks."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmtf.watch.growing import GrowingFile


@pytest.fixture
def file(tmp_path):
    return GrowingFile(tmp_path / "log.jsonl")


def read(file, most=1 << 20):
    new = file.read(most)
    return new.anew, new.lines


def test_lines_come_once_and_a_torn_one_when_it_is_whole(file):
    assert read(file) == (False, [])  # it is not there yet
    file.path.write_bytes(b"one\ntw")
    new = file.read(100)
    assert (new.anew, new.lines, new.is_torn) == (False, [b"one"], True)
    with file.path.open("ab") as stream:
        stream.write(b"o\n\nthree\n")
    new = file.read(100)
    assert (new.anew, new.lines, new.is_torn) == (False, [b"two", b"", b"three"], False)
    assert read(file) == (False, [])


def test_a_large_file_is_read_piece_by_piece_and_no_line_is_cut(file):
    lines = [b"%06d" % number * (1 + number % 50) for number in range(2_000)]
    file.path.write_bytes(b"\n".join(lines) + b"\n")
    found = []
    for _ in range(10_000):
        new = file.read(97)  # shorter than most lines
        found += new.lines
        if not new.behind:
            break
    assert found == lines


def cut(path):
    path.write_bytes(b"one\n")


def replaced(path):
    other = path.with_name("new")
    other.write_bytes(b"one\ntwo\nfour\nfive\n")
    other.replace(path)


def overwritten(path):
    """In place, longer than before: neither the inode nor the length tells."""
    inode = path.stat().st_ino
    with path.open("rb+") as stream:
        stream.write(b"uno\ndos\ntres\ncuatro\n")
    assert path.stat().st_ino == inode


@pytest.mark.parametrize("change", [cut, replaced, overwritten])
def test_a_file_that_is_another_one_is_read_from_its_beginning(file, change):
    file.path.write_bytes(b"one\ntwo\nthree\n")
    assert read(file) == (False, [b"one", b"two", b"three"])
    change(file.path)
    assert read(file) == (True, file.path.read_bytes().splitlines())
    assert read(file) == (False, [])


def test_a_file_that_goes_and_comes_back(file):
    file.path.write_bytes(b"one\n")
    read(file)
    file.path.unlink()
    assert read(file) == (True, [])
    assert read(file) == (False, [])
    file.path.write_bytes(b"one\n")
    assert read(file) == (False, [b"one"])


def test_a_pipe_is_no_file_and_nothing_waits_for_it(file):
    os.mkfifo(file.path)
    assert read(file) == (False, [])


@given(st.lists(st.binary(max_size=30).map(lambda text: text.replace(b"\n", b"")), max_size=30), st.data())
def test_whatever_is_written_in_whatever_pieces_is_read_once(tmp_path_factory, lines, data):
    path = tmp_path_factory.mktemp("grows") / "log"
    content = b"".join(line + b"\n" for line in lines)
    file, found, place = GrowingFile(path), [], 0
    while place < len(content):
        size = data.draw(st.integers(1, 40))
        with path.open("ab") as stream:
            stream.write(content[place : place + size])
        place += size
        new = file.read(data.draw(st.integers(1, 64)))
        assert not new.anew
        found += new.lines
    while (new := file.read(16)).lines:
        found += new.lines
    assert found == lines
