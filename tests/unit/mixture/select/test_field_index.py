import hashlib
import os
import random
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xmtf.mixture.select.asked_fields import asked_fields
from xmtf.mixture.select.merge_fields import merge_fields, read_index, write_index

COPA = [
    {"premise": "It rained.", "choice1": "The ground got wet.", "choice2": "He slept.", "question": "effect"},
    {"premise": "Kell lõi.", "choice1": "Oli täistund.", "choice2": "Tund näis venivat.", "question": "cause"},
    {"premise": "我掏空了口袋。", "choice1": "我找到了票根。", "choice2": "我找到了武器。", "question": "effect"},
    {"premise": "I could not find the key.", "choice1": "I stayed.", "choice2": "I left.", "question": "effect"},
]


@pytest.fixture
def index(tmp_path):
    def make(rows, **others):
        tables = {"suite": rows} | others
        parts = [asked_fields(pa.Table.from_pylist(t), np.arange(len(t))) for t in tables.values()]
        write_index(tmp_path / "fields", merge_fields(parts, list(tables), ["data test"] * len(tables)))
        return read_index(tmp_path / "fields")

    return make


def found(index, text):
    hit = index.find(["nothing here", text]).get(1)
    return None if hit is None else (hit.row, sorted(hit.fields))


def test_a_field_of_four_words_counts_alone_and_a_short_one_beside_another_of_its_row(index):
    copa = index(COPA)
    assert found(copa, "What now? the GROUND got   wet!") == (0, ["choice1"])
    assert found(copa, "It rained.") is None
    assert found(copa, "He slept. Why? It rained.") == (0, ["choice2", "premise"])
    assert found(copa, "Oli täistund. Why? KELL LÕI") == (1, ["choice1", "premise"])
    assert found(copa, "It rained. Oli täistund.") is None


def test_scripts_without_spaces_are_found_wherever_they_stand(index):
    copa = index(COPA)
    assert found(copa, "问：我找到了武器。因为我掏空了口袋。") == (2, ["choice2", "premise"])
    assert found(copa, "我掏空了") is None


def test_letters_inside_longer_words_are_no_field(index):
    copa = index(COPA)
    assert found(copa, "xxThe ground got wetter") is None


def test_a_field_of_many_rows_counts_only_beside_another(index):
    rows = [{"context": "One story for all of them.", "question": f"Who is number {n} here?"} for n in range(4)]
    shared = index(rows)
    assert found(shared, "One story for all of them.") is None
    assert found(shared, "One story for all of them. Who is number 2 here?") == (2, ["question"])
    rare = index(rows[:3])
    assert found(rare, "One story for all of them.") == (0, ["context"])


def test_rows_of_one_number_in_parallel_subsets_are_one(index):
    rows = [{"source": "The same English sentence.", "target": f"target text number {n}"} for n in range(3)]
    many = index(rows[:1], a=rows[:1], b=rows[:1])
    assert found(many, "the same english sentence") == (0, ["source"])


def test_a_blank_may_be_filled_and_the_sentence_turned_round(index):
    row = {"sentence": "The cup fell off the table; _ broke at once.", "option1": "the cup", "option2": "the man"}
    wino = index([row])
    assert found(wino, "The cup fell off the table; the man broke at once.") == (0, ["sentence with option2"])
    assert found(wino, row["sentence"]) == (0, ["sentence"])
    halves = (0, ["sentence after the blank", "sentence before the blank"])
    assert found(wino, "Broke at once -- what? The cup fell off the table") == halves
    assert found(wino, "the cup and the man") is None


def test_options_and_names_never_count_alone(index):
    rows = [{"text": f"number {n} of the sentences", "option": "the United States" if n else "Bob"} for n in range(3)]
    rows.append({"text": "another one of the sentences", "option": "Ann"})
    assert found(index(rows), "He went to the United States.") is None


def test_nested_strings_are_fields_and_numbers_are_none(index):
    rows = [{"id": 12345678901234567, "answers": {"text": ["a rather long answer of words"], "start": [7]}}]
    assert found(index(rows), "It is a rather long answer of words.") == (0, ["answers.text"])
    assert found(index(rows), "12345678901234567") is None


def test_the_quick_look_at_texts_loses_none(index):
    rows = [
        {"premise": "The café was closed.", "choice1": "He went home early.", "choice2": "Nobody came"},
        {"premise": "It rained", "choice1": "The ground got wet.", "choice2": "12345678 of 9"},
    ]
    shared = index(rows)
    texts = [f"{a}{gap}{b}" for row in rows for a in row.values() for b in row.values() for gap in (" ", "\0", " so ")]
    texts += [f"ещё {text}" for text in texts]
    texts += [text.replace("é", "e").upper() for text in texts] + [text.replace(" ", "") for text in texts]
    everything = SimpleNamespace(may_hold=lambda given, dense: np.arange(len(given)))
    assert shared.find(texts) == replace(shared, plain=everything).find(texts)
    assert len(shared.find(texts)) > len(texts) / 2
    assert len(shared.plain.may_hold(pa.array(["nothing of them stands here", "The ground got wet."]))) == 1


def _planted(row, rng):
    """Return texts in which the fields of a row are planted, in other orders, cases and spacings."""
    if "choice1" in row:
        pairs = [(row["premise"], row["choice1"]), (row["choice2"], row["premise"])]
    elif "hypothesis" in row:
        pairs = [(row["premise"], row["hypothesis"]), (row["hypothesis"], row["premise"])]
    else:
        sentence = row["sentence"]
        pairs = [(sentence, "?"), *((re.sub("_+", row[o], sentence), "") for o in ("option1", "option2"))]
    for first, second in pairs:
        text = f"Read this: {first} So? {second}"
        text = rng.choice([str, str.upper, str.lower, str.swapcase, str.title])(text)
        yield rng.choice([text, text.replace(" ", "  "), text.replace(" ", "\n"), text.replace(" ", "\u00a0\u200b")])


@pytest.mark.skipif("XMTF_DATA_ROOT" not in os.environ, reason="needs the local mirror (XMTF_DATA_ROOT)")
@pytest.mark.parametrize(
    "pattern",
    ["cambridgeltl/xcopa/*/test", "cambridgeltl/xcopa/*/validation", "facebook/xnli/*/validation",
     "Muennighoff/xwinograd/*/test"],
)  # fmt: skip
def test_no_planted_row_of_a_suite_passes(pattern, tmp_path):
    rng = random.Random(1)
    paths = sorted(Path(os.environ["XMTF_DATA_ROOT"]).glob(f"{pattern}.parquet"))
    tables = [pq.read_table(path) for path in paths]
    fields = [asked_fields(table, np.arange(table.num_rows)) for table in tables]
    write_index(tmp_path, merge_fields(fields, ["suite"] * len(tables), ["data"] * len(tables)))
    index = read_index(tmp_path)
    for path, table in zip(paths, tables, strict=True):
        rows = rng.sample(table.to_pylist(), min(100, table.num_rows))
        texts = [text for row in rows for text in _planted(row, rng)]
        passed = sorted(set(range(len(texts))) - set(index.find(texts)))
        assert not passed, (path, [texts[number] for number in passed[:3]])


def _shuffled(table, rng):
    """Return rows in which the words of each text are in another order; texts without spaces stay as they are."""
    columns = {}
    for name in table.column_names:
        column = table[name]
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            words = [(value or "").split() for value in column.to_pylist()]
            column = pa.array([" ".join(rng.sample(each, len(each))) for each in words], column.type)
        columns[name] = column
    return pa.table(columns)


@pytest.mark.skipif("XMTF_DATA_ROOT" not in os.environ, reason="needs the local mirror (XMTF_DATA_ROOT)")
def test_at_most_one_row_in_a_thousand_matches_suites_whose_words_are_shuffled():
    rng = random.Random(3)
    root = Path(os.environ["XMTF_DATA_ROOT"])
    patterns = ("cambridgeltl/xcopa/*/test", "facebook/xnli/*/validation", "Muennighoff/xwinograd/*/test")
    suites = [path for pattern in patterns for path in sorted(root.glob(f"{pattern}.parquet"))]
    tables = [_shuffled(pq.read_table(path).slice(0, 300), rng) for path in suites]
    assert len(tables) > 20
    index = merge_fields(
        [asked_fields(table, np.arange(table.num_rows)) for table in tables],
        ["suite"] * len(tables), ["data"] * len(tables),
    )  # fmt: skip
    own = ["\0".join(value for value in row.values() if isinstance(value, str)) for row in tables[0].to_pylist()]
    assert len(index.find(own)) > 0.9 * len(own)  # as they are asked they are found
    rows, matches = 0, {}
    for path in sorted(
        root.glob("*/*/**/train*.parquet"),
        key=lambda path: hashlib.sha256(str(path.relative_to(root)).encode()).digest(),
    )[:80]:
        file = pq.ParquetFile(path)
        names = [field.name for field in file.schema_arrow if pa.types.is_string(field.type)]
        batch = next(file.iter_batches(500, columns=names), None) if names else None
        if batch is None:
            continue
        texts = ["\0".join(value or "" for value in row.values()) for row in batch.to_pylist()]
        rows += len(texts)
        matches |= {(path.name, row): (hit.fields, hit.texts) for row, hit in index.find(texts).items()}
    assert rows > 10_000
    assert len(matches) <= rows / 1000, matches
