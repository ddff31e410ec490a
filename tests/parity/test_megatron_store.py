"""Our token files against the indexed dataset of megatron-core: each reads what the other wrote.

Needs the package megatron-core; its indexed dataset is plain numpy and torch, no accelerator.
"""

import importlib.util
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from xmtf.tokens.store.store import StoreWriter, merge_stores, open_store

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("megatron") is None,
    reason="megatron-core is not installed: pip install --no-deps megatron-core",
)

CASES = {
    "uint16": [[5, 6, 2], [], [65_535], list(range(300))],
    "int32": [[250_679, 0], [3], [], []],
    "int64": [[2**40], [1, 2]],
    "one item": [[7, 8]],
}


def _append(writer: StoreWriter, items: list[list[int]]) -> None:
    writer.append(np.array([token for item in items for token in item], dtype=np.int64), np.array([*map(len, items)]))


@pytest.fixture(scope="module")
def megatron() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports all of Megatron, and its deprecations are not ours
        return importlib.import_module("megatron.core.datasets.indexed_dataset")


def _dtype(case: str) -> np.dtype:
    return np.dtype(case if case != "one item" else "uint16")


@pytest.mark.parametrize("case", CASES)
def test_what_we_write_megatron_reads(tmp_path: Path, megatron: ModuleType, case: str) -> None:
    with StoreWriter(tmp_path / "ours", _dtype(case)) as writer:
        _append(writer, CASES[case])
    theirs = megatron.IndexedDataset(str(tmp_path / "ours"))
    assert [theirs[index].tolist() for index in range(len(theirs))] == CASES[case]
    assert theirs.document_indices.tolist() == list(range(len(CASES[case]) + 1))
    assert theirs.sequence_lengths.tolist() == [len(item) for item in CASES[case]]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("multimodal", [False, True])
def test_what_megatron_writes_we_read(tmp_path: Path, megatron: ModuleType, case: str, multimodal: bool) -> None:
    import torch

    path = tmp_path / "theirs"
    builder = megatron.IndexedDatasetBuilder(f"{path}.bin", dtype=_dtype(case).type, multimodal=multimodal)
    for item in CASES[case]:
        builder.add_item(torch.tensor(item, dtype=torch.int64))
        builder.end_document()
    builder.finalize(f"{path}.idx")
    store = open_store(path)
    assert [item.tolist() for item in store] == CASES[case]
    assert store.index.dtype == _dtype(case)
    assert store.index.documents.tolist() == list(range(len(CASES[case]) + 1))


def test_the_bytes_are_the_same(tmp_path: Path, megatron: ModuleType) -> None:
    import torch

    builder = megatron.IndexedDatasetBuilder(str(tmp_path / "theirs.bin"), dtype=np.uint16)
    for item in CASES["uint16"]:
        builder.add_item(torch.tensor(item, dtype=torch.int64))
        builder.end_document()
    builder.finalize(str(tmp_path / "theirs.idx"))
    with StoreWriter(tmp_path / "ours", np.dtype("uint16")) as writer:
        _append(writer, CASES["uint16"])
    for suffix in (".bin", ".idx"):
        assert (tmp_path / f"ours{suffix}").read_bytes() == (tmp_path / f"theirs{suffix}").read_bytes()


def test_several_items_a_document(tmp_path: Path, megatron: ModuleType) -> None:
    builder = megatron.IndexedDatasetBuilder(str(tmp_path / "theirs.bin"), dtype=np.int32)
    builder.add_document(np.array([1, 2, 3, 4, 5]), [2, 3])
    builder.add_document(np.array([6]), [1])
    builder.finalize(str(tmp_path / "theirs.idx"))
    store = open_store(tmp_path / "theirs")
    assert [item.tolist() for item in store] == [[1, 2], [3, 4, 5], [6]]
    assert store.index.documents.tolist() == [0, 2, 3]
    merge_stores([tmp_path / "theirs", tmp_path / "theirs"], tmp_path / "twice", np.dtype("int32"))
    assert open_store(tmp_path / "twice").index.documents.tolist() == [0, 2, 3, 5, 6]


def test_merged_as_megatron_merges(tmp_path: Path, megatron: ModuleType) -> None:
    parts = []
    for name, items in (("a", [[1], [2, 3]]), ("b", [[4, 5]])):
        with StoreWriter(tmp_path / name, np.dtype("uint16")) as writer:
            _append(writer, items)
        parts.append(tmp_path / name)
    merge_stores(parts, tmp_path / "ours", np.dtype("uint16"))
    builder = megatron.IndexedDatasetBuilder(str(tmp_path / "theirs.bin"), dtype=np.uint16)
    for part in parts:
        builder.add_index(str(part))
    builder.finalize(str(tmp_path / "theirs.idx"))
    for suffix in (".bin", ".idx"):
        assert (tmp_path / f"ours{suffix}").read_bytes() == (tmp_path / f"theirs{suffix}").read_bytes()


def test_dtype_codes_and_choice_agree(megatron: ModuleType) -> None:
    from xmtf.tokens.store.index import DTYPES, choose_dtype

    theirs = {kind.value: np.dtype(kind.name) for kind in megatron.DType}
    assert theirs == DTYPES
    for vocab_size in (100, 65_499, 65_500, 250_880):
        assert choose_dtype(vocab_size) == megatron.DType.optimal_dtype(vocab_size)
