"""Packing: the original's order to the letter, and nothing lost or doubled under any policy."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from xmtf.tokens.rows.packing import Policy, RowStream, pack


def _original_rows(sizes: list[int], capacity: int, num_rows: int, seed: int) -> list[list[int]]:
    """Pack as the packed dataset of BLOOMZ's training code does, item by item."""
    random = np.random.RandomState(seed)
    rows: list[list[int]] = []
    order: list[int] = []
    start = length = epoch = 0
    while len(rows) <= num_rows:
        permutation = np.arange(len(sizes))
        random.shuffle(permutation)
        order += permutation.tolist()
        for offset, item in enumerate(permutation.tolist()):
            position = epoch * len(sizes) + offset
            length += sizes[item]
            if length > capacity:
                if position > start:
                    rows.append(order[start:position])
                start, length = position, sizes[item]
                if length > capacity:
                    start, length = position + 1, 0
        epoch += 1
    return rows[:num_rows]


@given(
    sizes=st.lists(st.integers(2, 30), min_size=1, max_size=40),
    capacity=st.integers(10, 60),
    seed=st.integers(0, 2**31 - 1),
    num_rows=st.integers(1, 50),
)
@settings(deadline=None)
def test_next_fit_is_the_order_of_bloomz(sizes: list[int], capacity: int, seed: int, num_rows: int) -> None:
    assume(min(sizes) <= capacity)
    stream = RowStream(pack("next_fit", np.array([sizes]), (capacity,), seed, 1))
    assert [stream[row].tolist() for row in range(num_rows)] == _original_rows(sizes, capacity, num_rows, seed)


@given(
    items=st.lists(st.tuples(st.integers(1, 30), st.integers(1, 12)), min_size=1, max_size=60),
    capacity=st.sampled_from([(33,), (64,), (20, 9), (40, 12)]),
    policy=st.sampled_from(["next_fit", "best_fit", "pad"]),
    seed=st.integers(0, 2**31 - 1),
    window=st.integers(1, 70),
    epochs=st.integers(1, 4),
)
@settings(deadline=None, max_examples=300)
def test_no_item_is_lost_or_doubled(
    items: list[tuple[int, int]], capacity: tuple[int, ...], policy: Policy, seed: int, window: int, epochs: int
) -> None:
    """Over E epochs every item that fits stood in E rows, but for the items of the one row still open."""
    pairs = np.array(items, dtype=np.int64).T
    sizes = pairs if len(capacity) == 2 else pairs.sum(axis=0, keepdims=True)
    fitting = (sizes <= np.array(capacity)[:, None]).all(axis=0)
    if not fitting.any():
        with pytest.raises(ValueError, match="no item"):
            pack(policy, sizes, capacity, seed, window)
        return
    chunks_per_epoch = -(-int(fitting.sum()) // window) if policy == "best_fit" else 1
    seen = np.zeros(len(items), dtype=int)
    for chunk in itertools.islice(pack(policy, sizes, capacity, seed, window), epochs * chunks_per_epoch):
        for row in range(len(chunk)):
            assert len(chunk[row]) > 0
            assert (sizes[:, chunk[row]].sum(axis=1) <= capacity).all()
            seen += np.bincount(chunk[row], minlength=len(items))
    assert (seen[~fitting] == 0).all()
    waiting = np.where(fitting, epochs - seen, 0)
    assert (waiting >= 0).all()
    assert (sizes @ waiting <= capacity).all()
    if policy == "pad":
        assert not waiting.any()


def test_best_fit_fills_over_99_5_percent() -> None:
    """Lengths as the facts measured them: log-normal, mean 93."""
    sizes = np.clip(np.random.RandomState(1).lognormal(4.1, 0.9, 40_000).astype(np.int64) + 2, 4, 4000)
    fill = {}
    for policy in ("next_fit", "best_fit"):
        stream = RowStream(pack(policy, sizes[None], (2049,), 42, 4096))  # type: ignore[arg-type]
        rows = [stream[row] for row in range(1000)]
        fill[policy] = sum(sizes[row].sum() for row in rows) / (1000 * 2049)
    assert fill["best_fit"] > 0.995 > fill["next_fit"] > 0.9


def test_rows_do_not_depend_on_how_they_are_asked_for() -> None:
    sizes = np.random.RandomState(3).randint(2, 40, (1, 300))
    for policy in ("next_fit", "best_fit", "pad"):
        forwards = RowStream(pack(policy, sizes, (64,), 5, 64))  # type: ignore[arg-type]
        jump = RowStream(pack(policy, sizes, (64,), 5, 64))  # type: ignore[arg-type]
        expected = [forwards[row].tolist() for row in range(700)]
        assert [jump[row].tolist() for row in (699, 0, 350)] == [expected[row] for row in (699, 0, 350)]


def test_a_language_smaller_than_a_row_still_fills_rows() -> None:
    for policy in ("next_fit", "best_fit"):
        stream = RowStream(pack(policy, np.array([[3, 4]]), (50,), 0, 4096))  # type: ignore[arg-type]
        assert all(np.bincount(stream[row], minlength=2).min() >= 6 for row in range(3))
