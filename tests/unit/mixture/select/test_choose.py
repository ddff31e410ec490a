import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from xmtf.errors import ConfigError
from xmtf.mixture.select.asked_fields import asked_fields
from xmtf.mixture.select.choose import Rules, choose_rows
from xmtf.mixture.select.compare_rows import SAME_FIELDS
from xmtf.mixture.select.guard import Asked, read_guard, write_guard
from xmtf.mixture.select.keys import hash_strings
from xmtf.mixture.select.ngrams import word_runs
from xmtf.records import PROMPTED_COLUMNS

RULES = Rules(
    seed=1, cap_examples=None, cap_policy="random", deduplicate=True,
    min_input_characters=1, max_characters=None, overlap="drop",
)  # fmt: skip


def prompted(rows):
    """Return a prompted table of (inputs, targets, template) rows."""
    shared = {
        "choices": None, "language": "fr", "prompt_language": "en", "translation": "none", "task": "demo/fr",
        "cluster": "demo", "dataset": "demo", "subset": "fr", "split": "train",
    }  # fmt: skip
    records = [
        shared | {"inputs": inputs, "targets": targets, "template": template, "row": number}
        for number, (inputs, targets, template) in enumerate(rows)
    ]
    columns = {name: [record[name] for record in records] for name in PROMPTED_COLUMNS}
    columns["choices"] = pa.array(columns["choices"], pa.list_(pa.string()))
    return pa.table(columns)


@pytest.fixture
def guard(tmp_path):
    write_guard(tmp_path, [Asked("held out", "xnli/fr", "test", hash_strings(pa.array(["asked"])))])
    return read_guard(tmp_path)


def test_texts_of_chosen_examples_are_gathered_once(guard):
    chosen = choose_rows(prompted([("x", "t", "a"), ("asked", "t", "b"), ("y", "t", "b")]), RULES, guard)
    assert chosen.places.tolist() == [0, 2]
    assert chosen.rendered.num_rows == 3  # nothing was copied yet
    assert chosen.gathered().rendered.equals(chosen.table)
    assert chosen.table.column("inputs").to_pylist() == ["x", "y"]


def inputs_of(chosen):
    return chosen.table.column("inputs").to_pylist()


def test_every_drop_has_a_counted_reason(guard):
    table = prompted([("", "t", "a"), ("one", "", "a"), ("asked", "t", "a"), ("two", "t", "a"), ("three", "t", "b")])
    chosen = choose_rows(table, dataclasses.replace(RULES, max_characters=5), guard)
    assert inputs_of(chosen) == ["two"]
    assert chosen.dropped == {
        "empty inputs": 1,
        "empty target": 1,
        "over 5 characters": 2,
    }


def test_the_guard_drops_and_says_what_asks_it(guard):
    chosen = choose_rows(prompted([("x", "t", "a"), ("asked", "t", "b")]), RULES, guard)
    assert inputs_of(chosen) == ["x"]
    assert chosen.dropped == {"stands in an evaluation suite": 1}
    assert chosen.overlaps == [
        {
            "task": "demo/fr",
            "split": "train",
            "template": "b",
            "row": 1,
            "reason": "stands in an evaluation suite",
            "evaluation": {"suite": "held out", "task": "xnli/fr", "split": "test"},
            "words": None,
        }
    ]


def test_the_guard_finds_runs_of_words_inside_other_prompts(tmp_path):
    runs = word_runs(pa.array(["Le chat est assis sur le tapis."]), 5).hashes
    write_guard(tmp_path, [Asked("held out", "xnli/fr", "test", np.empty((0, 2), np.uint64), runs)])
    rows = [("Vrai ? LE CHAT est assis, sur la table", "t", "a"), ("Le chat est sur le tapis", "t", "a")]
    table = prompted([*rows, ("autre", "il est assis sur le tapis", "b")])
    chosen = choose_rows(table, dataclasses.replace(RULES, overlap_words=5), read_guard(tmp_path))
    assert inputs_of(chosen) == [rows[1][0]]
    assert chosen.dropped == {"shares 5 words with an evaluation suite": 2}
    assert [(record["row"], record["words"]) for record in chosen.overlaps] == [
        (0, "le chat est assis sur"),
        (2, "est assis sur le tapis"),
    ]


def test_the_guard_may_only_flag(guard):
    chosen = choose_rows(prompted([("asked", "t", "a")]), dataclasses.replace(RULES, overlap="flag"), guard)
    assert inputs_of(chosen) == ["asked"]
    assert not chosen.dropped
    assert len(chosen.overlaps) == 1


def test_the_guard_may_stop_the_build(guard):
    with pytest.raises(ConfigError, match=r"demo/fr \[train\].*row 0.*suite 'held out'.*overlap to drop or flag"):
        choose_rows(prompted([("asked", "t", "a")]), dataclasses.replace(RULES, overlap="error"), guard)


def test_the_cap_counts_per_template(guard):
    rows = [(f"{template} {number}", "t", template) for template in "ab" for number in range(5)]
    chosen = choose_rows(prompted(rows), dataclasses.replace(RULES, cap_examples=2), guard)
    assert chosen.group_of_row.tolist() == [0, 0, 1, 1]
    assert [group.template for group in chosen.groups] == ["a", "b"]
    assert chosen.dropped == {"over the cap": 6}
    assert len(chosen.keys) == 4


def test_a_random_cap_does_not_keep_all_copies_of_one_example(guard):
    rows = [("same", "t", "a")] * 50 + [(f"other {number}", "t", "a") for number in range(50)]
    chosen = choose_rows(prompted(rows), dataclasses.replace(RULES, cap_examples=20), guard)
    assert 2 <= inputs_of(chosen).count("same") <= 18


def test_without_deduplication_equal_examples_have_keys_of_their_own(guard):
    table = prompted([("same", "t", "a"), ("same", "t", "a")])
    assert len(np.unique(choose_rows(table, RULES, guard).keys.high)) == 1
    assert len(np.unique(choose_rows(table, dataclasses.replace(RULES, deduplicate=False), guard).keys.high)) == 2


def test_a_table_without_rows(guard):
    assert choose_rows(prompted([("x", "t", "a")]).slice(0, 0), RULES, guard).table.num_rows == 0


def test_rows_are_compared_under_a_cap_as_if_all_had_been(tmp_path):
    suite = pa.table({"text": [f"held out sentence number {n} of the suite" for n in range(60)]})
    write_guard(
        tmp_path, [Asked("s", "t", "test", np.empty((0, 2), np.uint64), fields=asked_fields(suite, np.arange(60)))]
    )
    guard = read_guard(tmp_path)
    rows = [(f"{'Held out' if n % 2 else 'Free'} sentence number {n} of the suite", "t", "a") for n in range(60)]
    rules = dataclasses.replace(RULES, overlap_fields=True, cap_examples=10)
    table = prompted(rows)
    chosen = choose_rows(table, rules, guard)
    free = choose_rows(table.filter(pc.starts_with(table["inputs"], "Free")), rules, guard)
    assert sorted(chosen.table["inputs"].to_pylist()) == sorted(free.table["inputs"].to_pylist())
    assert chosen.table.num_rows == 10
    assert 0 < chosen.dropped[SAME_FIELDS] <= 30
    assert sum(chosen.dropped.values()) == 50
    assert len(chosen.overlaps) == chosen.dropped[SAME_FIELDS]
