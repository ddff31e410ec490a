"""Token files: the bytes of the format, round trips, and damage that is always noticed."""

import os
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xmtf.errors import DataError
from xmtf.tokens.store.index import choose_dtype, dtype_code, write_index
from xmtf.tokens.store.store import StoreWriter, merge_stores, open_store


def _append(writer: StoreWriter, items: list[list[int]]) -> None:
    writer.append(np.array([token for item in items for token in item], dtype=np.int64), np.array([*map(len, items)]))


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def _write(prefix: Path, items: list[list[int]], dtype: str = "<u2") -> Path:
    with StoreWriter(prefix, np.dtype(dtype)) as writer:
        _append(writer, items)
    return prefix


def test_bytes_of_the_format(tmp_path: Path) -> None:
    prefix = _write(tmp_path / "xp3_fr", [[5, 6, 2], [7]])
    assert (tmp_path / "xp3_fr.bin").read_bytes() == struct.pack("<4H", 5, 6, 2, 7)
    assert (tmp_path / "xp3_fr.idx").read_bytes() == (
        b"MMIDIDX\x00\x00" + struct.pack("<QBQQ", 1, 8, 2, 3) + struct.pack("<2i", 3, 1) + struct.pack("<2q", 0, 6)
        + struct.pack("<3q", 0, 1, 2)
    )  # fmt: skip
    assert [item.tolist() for item in open_store(prefix)] == [[5, 6, 2], [7]]


@given(
    items=st.lists(st.lists(st.integers(0, 65_535), max_size=9), max_size=30),
    dtype=st.sampled_from(["<u2", "<i4", "<i8"]),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trip(tmp_path: Path, items: list[list[int]], dtype: str) -> None:
    store = open_store(_write(tmp_path / "a", items, dtype))
    assert [store[index].tolist() for index in range(len(store))] == items
    where = np.arange(len(items))[::-1].copy()
    gathered = store.gather(store.starts(where), store.index.sizes[where].astype(np.int64))
    assert gathered.tolist() == [token for item in reversed(items) for token in item]


def test_dtypes_of_vocabularies_have_codes() -> None:
    assert (choose_dtype(65_499), choose_dtype(65_500)) == (np.uint16, np.int32)
    assert [dtype_code(np.dtype(name)) for name in ("<u2", "<i4")] == [8, 4]
    with pytest.raises(DataError, match="cannot hold"):
        dtype_code(np.dtype("<u4"))


def test_merged_stores_are_the_items_in_order(tmp_path: Path) -> None:
    parts = [_write(tmp_path / "a", [[1], [2, 3]]), _write(tmp_path / "b", []), _write(tmp_path / "c", [[4, 5]])]
    merge_stores(parts, tmp_path / "all", np.dtype("<u2"))
    assert [item.tolist() for item in open_store(tmp_path / "all")] == [[1], [2, 3], [4, 5]]
    with pytest.raises(DataError, match=r"uint16.*int32"):
        merge_stores(parts, tmp_path / "other", np.dtype("<i4"))
    assert not list(tmp_path.glob("*other*"))


def test_a_token_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="70000 does not fit uint16"):
        _write(tmp_path / "a", [[70_000]])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda idx, bin_: idx.unlink(), r"a\.idx: missing"),
        (lambda idx, bin_: bin_.unlink(), r"a\.bin: missing"),
        (
            lambda idx, bin_: bin_.write_bytes(bin_.read_bytes()[:-1]),
            r"a\.bin: byte 7: has 7 bytes, but a\.idx gives 8",
        ),
        (lambda idx, bin_: bin_.write_bytes(bin_.read_bytes() + b"\0"), r"a\.bin: byte 8: has 9 bytes"),
        (lambda idx, bin_: idx.write_bytes(idx.read_bytes()[:20]), r"byte 20: the file ends inside its header"),
        (lambda idx, bin_: idx.write_bytes(idx.read_bytes()[:-8]), r"byte 18: 2 items and 3 document entries need"),
        (lambda idx, bin_: idx.write_bytes(b"TNTIDX\0\0" + bytes(60)), r"older `cached` format"),
        (lambda idx, bin_: idx.write_bytes(bytes(82)), r"byte 0: not an index"),
    ],
)
def test_damage_names_file_and_offset(tmp_path: Path, damage: object, says: str) -> None:
    prefix = _write(tmp_path / "a", [[5, 6, 2], [7]])
    damage(tmp_path / "a.idx", tmp_path / "a.bin")  # type: ignore[operator]
    with pytest.raises(DataError, match=says):
        open_store(prefix)


@given(data=st.data())
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_index_never_gives_wrong_tokens(tmp_path: Path, data: st.DataObject) -> None:
    """Change, cut or lengthen an index: it is refused, or every item still reads as it was written."""
    items = data.draw(st.lists(st.lists(st.integers(0, 65_535), max_size=6), min_size=1, max_size=8))
    prefix = _write(tmp_path / "a", items)
    path = tmp_path / "a.idx"
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    path.write_bytes(bytes(content) + data.draw(st.binary(max_size=9)))
    try:
        store = open_store(prefix)
        where = np.arange(len(store))
        flat = store.gather(store.starts(where), store.index.sizes.astype(np.int64))
    except DataError:
        return
    assert flat.tolist() == [token for item in items for token in item]
    assert store.index.sizes.tolist() == [len(item) for item in items]


def test_index_writing_has_no_loop_over_items(tmp_path: Path) -> None:
    def lines(items: int) -> int:
        """Return how many lines of Python run while an index of so many items is written."""
        seen = 0

        def count(frame: object, event: str, argument: object) -> Any:
            nonlocal seen
            seen += event == "line"
            return count

        before = sys.gettrace()
        sys.settrace(count)
        try:
            write_index(tmp_path / "a.idx", np.full(items, 7, dtype=np.int32), np.dtype("<u2"))
        finally:
            sys.settrace(before)
        return seen

    assert 0 < lines(100_000) < lines(10) + 1000
