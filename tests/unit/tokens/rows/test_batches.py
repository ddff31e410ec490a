"""The worked example of the module, array for array."""

from pathlib import Path

import numpy as np

from xmtf.tokens.rows.batches import Pair, Segments, causal_batch, encoder_decoder_batch
from xmtf.tokens.store.store import StoreWriter, open_store


def _append(writer: StoreWriter, items: list[list[int]]) -> None:
    writer.append(np.array([token for item in items for token in item], dtype=np.int64), np.array([*map(len, items)]))


def _pair(folder: Path, inputs: list[list[int]], targets: list[list[int]]) -> Pair:
    for name, items in (("inputs", inputs), ("targets", targets)):
        with StoreWriter(folder / name, np.dtype("<u2")) as writer:
            _append(writer, items)
    return Pair(open_store(folder / "inputs"), open_store(folder / "targets"))


def _segments(**columns: list[int]) -> Segments:
    return Segments(**{name: np.array(values, dtype=np.int64) for name, values in columns.items()})


WORKED = {
    "row": [0, 0],
    "pair": [0, 0],
    "item": [0, 1],
    "head": [2, 1],
    "tail": [0, 0],
    "target": [2, 2],
    "group": [3, 4],
}


def test_causal_row_is_the_worked_example(tmp_path: Path) -> None:
    pair = _pair(tmp_path, [[5, 6], [8]], [[7, 1], [9, 1]])
    batch = causal_batch(_segments(**WORKED), [pair], num_rows=1, length=8, pad=0)
    assert batch.tokens.tolist() == [[5, 6, 7, 1, 8, 9, 1, 0]]
    assert batch.segment_ids.tolist() == [[1, 1, 1, 1, 2, 2, 2, 0]]
    assert batch.is_input.astype(int).tolist() == [[1, 1, 0, 0, 1, 0, 0, 0]]
    assert batch.groups.tolist() == [[3, 4]]
    assert (batch.tokens.dtype, batch.segment_ids.dtype, batch.groups.dtype) == (np.int64, np.int32, np.int32)


def test_encoder_decoder_row_is_the_worked_example(tmp_path: Path) -> None:
    pair = _pair(tmp_path, [[5, 6], [8]], [[7, 1], [9, 1]])
    batch = encoder_decoder_batch(_segments(**WORKED), [pair], num_rows=1, lengths=(4, 5), pad=0)
    assert batch.encoder_tokens.tolist() == [[5, 6, 8, 0]]
    assert batch.encoder_segment_ids.tolist() == [[1, 1, 2, 0]]
    assert batch.decoder_inputs.tolist() == [[0, 7, 0, 9, 0]]
    assert batch.decoder_targets.tolist() == [[7, 1, 9, 1, 0]]
    assert batch.decoder_segment_ids.tolist() == [[1, 1, 2, 2, 0]]


def test_rows_of_two_languages_and_an_empty_row(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    pairs = [_pair(tmp_path / "a", [[5, 6]], [[7]]), _pair(tmp_path / "b", [[50]], [[60, 61]])]
    places = {"row": [0, 0, 2], "pair": [1, 0, 0], "item": [0, 0, 0], "group": [1, 0, 0]}
    segments = _segments(**places, head=[1, 2, 2], tail=[0] * 3, target=[2, 1, 1])
    batch = causal_batch(segments, pairs, num_rows=3, length=7, pad=3)
    assert batch.tokens.tolist() == [[50, 60, 61, 5, 6, 7, 3], [3] * 7, [5, 6, 7, 3, 3, 3, 3]]
    assert batch.segment_ids.tolist() == [[1, 1, 1, 2, 2, 2, 0], [0] * 7, [1, 1, 1, 0, 0, 0, 0]]
    assert batch.groups.tolist() == [[1, 0], [-1, -1], [0, -1]]


def test_cut_inputs_keep_their_head_and_their_tail(tmp_path: Path) -> None:
    pair = _pair(tmp_path, [[1, 11, 12, 13, 2]], [[7]])
    segments = _segments(row=[0], pair=[0], item=[0], head=[1], tail=[2], target=[1], group=[0])
    assert causal_batch(segments, [pair], num_rows=1, length=5, pad=0).tokens.tolist() == [[1, 13, 2, 7, 0]]


def test_cut_targets_keep_their_head(tmp_path: Path) -> None:
    pair = _pair(tmp_path, [[5, 6], [8]], [[7, 9, 1], [4, 1]])
    segments = _segments(row=[0, 0], pair=[0, 0], item=[0, 1], head=[2, 1], tail=[0, 0], target=[2, 2], group=[0, 0])
    batch = encoder_decoder_batch(segments, [pair], num_rows=1, lengths=(4, 4), pad=0)
    assert batch.decoder_targets.tolist() == [[7, 9, 4, 1]]
    assert batch.decoder_inputs.tolist() == [[0, 7, 0, 4]]
