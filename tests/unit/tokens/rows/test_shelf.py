"""What processes of a machine share: made once, mapped by all, and the rows that each would plan by itself."""

import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from xmtf.guards.unfinished import shared_scratch, sweep_scratch
from xmtf.recipe.load import LoadedRecipe
from xmtf.tokens import open_loader
from xmtf.tokens.rows import opening, shelf
from xmtf.tokens.rows.packing import Rows
from xmtf.tokens.rows.shelf import Shelf

Recipe = Callable[..., LoadedRecipe]


def same(one: object, other: object) -> bool:
    return all(
        np.array_equal(left, right) for left, right in zip(asdict(one).values(), asdict(other).values(), strict=True)
    )


@pytest.mark.parametrize("policy", ["next_fit", "best_fit", "pad"])
@pytest.mark.parametrize("group", ["train", "validation"])
def test_shared_rows_are_those_of_each_process(
    tokens: Path, recipe: Recipe, tmp_path: Path, policy: str, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "_FIRST_ITEMS", 16)
    loaded = recipe(f"tokens.packing.policy={policy}", "mixture.validation_fraction=0.2")
    options = {"group": group, "family": "causal"}
    alone = open_loader(tokens, loaded, **options)
    late = open_loader(tokens, loaded, shelf=Shelf(tmp_path, first=False, patience_s=0), **options)
    first = open_loader(tokens, loaded, shelf=Shelf(tmp_path), **options)
    steps = range(12) if group == "train" else range(alone.available(64) // alone.rows_per_step)
    assert len(steps)
    for step in steps:  # the one that should wait is ahead at first, and behind later
        loaders = (late, first) if step < 6 else (first, late)
        assert all(same(alone.batch(step), loader.batch(step)) for loader in loaders)
    assert (alone.skipped, alone.truncated, alone.group_names) == (late.skipped, late.truncated, late.group_names)
    assert not any(each.fitted.head.flags.writeable for each in late.languages)  # mapped from a file


def test_what_is_made_is_not_made_again(
    tokens: Path, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_loader(tokens, recipe(), family="causal", shelf=Shelf(tmp_path))
    batches = [first.batch(step) for step in range(4)]

    def never(*_: object, **__: object) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr(opening, "fit_items", never)
    monkeypatch.setattr(opening, "pack", lambda *_: iter(never, None))
    other = open_loader(tokens, recipe(), family="causal", shelf=Shelf(tmp_path, first=False))
    assert all(same(batch, other.batch(step)) for step, batch in enumerate(batches))


def test_other_settings_share_nothing(tokens: Path, recipe: Recipe, tmp_path: Path) -> None:
    for seed in (1, 2):
        loaded = recipe(f"seed={seed}")
        shared = open_loader(tokens, loaded, family="causal", shelf=Shelf(tmp_path))
        assert same(shared.batch(0), open_loader(tokens, loaded, family="causal").batch(0))


def test_a_full_disk_shares_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf.shutil, "disk_usage", lambda _: type("usage", (), {"free": 10}))
    for first in (True, False):
        found = Shelf(tmp_path, first).arrays("a", lambda: [np.arange(3)])
        assert found[0].tolist() == [0, 1, 2]
    assert not (tmp_path / "a").exists()


def test_a_plan_that_ends_and_empty_arrays_are_shared(tmp_path: Path) -> None:
    chunks = [
        Rows(np.array([0, 1]), np.array([0, 1, 2])),
        Rows(np.empty(0, dtype=np.int64), np.zeros(1, dtype=np.int64)),
    ]
    for first in (True, False):
        [rows] = list(Shelf(tmp_path, first).rows("a", iter(chunks)))
        assert [rows[number].tolist() for number in range(len(rows))] == [[0], [1]]
        [empty] = Shelf(tmp_path, first).arrays("empty", lambda: [np.empty((2, 0), dtype=np.int32)])
        assert empty.shape == (2, 0)


def test_the_last_of_the_processes_deletes_what_they_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    with shared_scratch("rows-a") as first:
        assert first is not None
        (first / "array").touch()
        with shared_scratch("rows-a") as second:
            assert second == first
        assert (first / "array").exists()
        sweep_scratch("rows-")
        assert (first / "array").exists()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / f"rows-b-{os.getuid()}").symlink_to(tmp_path)
    with shared_scratch("rows-b") as foreign:
        assert foreign is None
