"""Every dataset: enough languages, splits that share nothing, answers that are right, unique and balanced."""

from collections import Counter
from pathlib import Path

import pytest

from cldr_rows.draw import SPLITS
from cldr_rows.kinds import KINDS
from cldr_rows.locales import language_data, offered_languages
from xmtf.errors import SourceError, UnknownNameError
from xmtf.languages.codes import language_set
from xmtf.recipe import load_recipe
from xmtf.sources import SourceRef, fingerprint_source, read_source
from xmtf.sources.cldr import cldr_datasets, cldr_fingerprint, cldr_languages, read_cldr
from xmtf.tasks import load_catalogue

# The column that says what a row asks about: its values never stand in both splits of any language.
ASKED = {
    "dates": "date",
    "past-or-future": "text",
    "time-units": "text",
    "kinds": "name",
    "languages": "target",
    "lists": "target",
    "official-languages": "territory",
    "quantities": "target",
    "relative-times": "target",
    "same-place": "second",
    "territories": "target",
    "which-language": "text",
    "currencies": "territory",
}


def rows(name, split):
    return [
        row for code in cldr_languages(f"cldr/{name}") for row in read_cldr(f"cldr/{name}", code, split).to_pylist()
    ]


@pytest.mark.parametrize("dataset", cldr_datasets())
def test_languages_and_sizes(dataset):
    codes = cldr_languages(dataset)
    assert len(codes) >= 60
    tables = {split: [read_cldr(dataset, code, split) for code in codes] for split in SPLITS}
    assert 2000 <= sum(table.num_rows for table in tables["train"]) <= 6000
    assert 400 <= sum(table.num_rows for table in tables["test"]) <= 1500
    schemas = {str(table.schema) for split in tables.values() for table in split}
    assert len(schemas) == 1


def test_most_languages_of_bloom():
    assert len(set(language_set("bloom")) & set(cldr_languages("cldr/next-in-order"))) == 42


@pytest.mark.parametrize(("name", "column"), ASKED.items())
def test_splits_share_no_question(name, column):
    train, test = ({row[column].casefold() for row in rows(name, split)} for split in ("train", "test"))
    assert not train & test


@pytest.mark.parametrize("name", ["past-or-future", "same-day", "same-place", "date-entailment", "list-entailment"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_yes_is_as_frequent_as_no(name, split):
    labels = Counter(row["label"] for row in rows(name, split))
    assert set(labels) == {0, 1}
    assert 0.45 < labels[1] / labels.total() < 0.55


@pytest.mark.parametrize(
    "name",
    [
        "calendar-completion",
        "currencies",
        "date-months",
        "list-items",
        "next-in-order",
        "odd-one-out",
        "which-language",
    ],
)
def test_the_answer_stands_everywhere_among_distinct_choices(name):
    places = Counter()
    for row in rows(name, "train") + rows(name, "test"):
        assert len(set(row["choices"])) == len(row["choices"])
        places[row["label"], len(row["choices"])] += 1
    for (_, count), seen in places.items():
        total = sum(number for (_, other), number in places.items() if other == count)
        assert 0.8 < seen / total * count < 1.2


def test_the_languages_that_the_demo_trains_on_are_those_offered():
    recipe = Path(__file__).parents[3] / "recipes" / "demo.yaml"
    trained = max((part.languages for part in load_recipe(recipe).recipe.mixture.tasks), key=len)
    assert trained == offered_languages()
    wrong = {name for row in rows("which-language", "train") for name in row["choices"][: row["label"]]}
    assert wrong == {language_data(code).english_name for code in trained}


def test_kinds_are_balanced():
    labels = Counter(row["label"] for row in rows("kinds", "train"))
    assert set(labels) == set(range(len(KINDS)))
    assert min(labels.values()) > 0.6 * max(labels.values())


def test_same_day_is_never_written_the_same_way():
    assert all(row["first"] != row["second"] for row in rows("same-day", "train"))


def test_next_in_order_is_right():
    for row in read_cldr("cldr/next-in-order", "fr", "train").to_pylist():
        language = language_data("fr")
        names = language.weekdays if row["kind"] == "weekday" else language.months
        step = {"after": 1, "before": -1, "two after": 2}[row["relation"]]
        assert row["choices"][row["label"]] == names[(names.index(row["name"]) + step) % len(names)]


def test_list_entailment_is_right():
    for row in rows("list-entailment", "test"):
        assert (row["name"] in row["list"]) >= bool(row["label"])
    negatives = [row for row in read_cldr("cldr/list-entailment", "fr", "train").to_pylist() if not row["label"]]
    assert not any(row["name"] in row["list"].replace(" et ", ", ").split(", ") for row in negatives)


def test_facts():
    french = [
        *read_cldr("cldr/currencies", "fr", "train").to_pylist(),
        *read_cldr("cldr/currencies", "fr", "test").to_pylist(),
    ]
    found = {row["territory"]: row["choices"][row["label"]] for row in french}
    assert found["Afrique du Sud"] == "rand sud-africain"
    spanish = read_cldr("cldr/territories", "es", "train").to_pylist()
    assert {"Germany": "Alemania"}.items() <= {row["source"]: row["target"] for row in spanish}.items()


def test_the_tables_are_the_same_everywhere():
    first = read_cldr("cldr/next-in-order", "sw", "train").to_pylist()[0]
    assert first == {
        "language": "sw",
        "language_name": "Swahili",
        "kind": "weekday",
        "name": "Jumatatu",
        "relation": "after",
        "choices": ["Alhamisi", "Jumapili", "Jumanne", "Jumamosi"],
        "label": 2,
    }


def test_the_catalogue_lists_what_there_is():
    tasks = [task for task in load_catalogue().tasks.values() if task.catalogue == "demo"]
    listed = {}
    for task in tasks:
        listed.setdefault(task.dataset, []).append(task.subset)
        assert task.language == task.subset
    assert listed == {dataset: list(cldr_languages(dataset)) for dataset in listed}
    assert sorted(listed) == sorted(cldr_datasets())
    assert len({task.cluster for task in tasks}) == 11


def test_read_as_a_source():
    ref = SourceRef("cldr/dates", "fr", "test")
    data = read_source(ref, offline=True)
    assert data.table.equals(read_cldr("cldr/dates", "fr", "test"))
    assert data.fingerprint == fingerprint_source(ref)
    assert len(cldr_fingerprint()) == 64


@pytest.mark.parametrize(
    ("dataset", "subset", "split", "message"),
    [
        ("cldr/date", "fr", "train", "unknown CLDR dataset 'cldr/date'; did you mean 'cldr/dates'"),
        ("cldr/dates", "frr", "train", "cldr/dates: unknown language 'frr'; did you mean 'fr'"),
        ("cldr/dates", "fr", "validation", "cldr/dates: unknown split 'validation'; known: test, train"),
    ],
)
def test_unknown_names(dataset, subset, split, message):
    with pytest.raises(UnknownNameError, match=message):
        read_cldr(dataset, subset, split)


def test_a_language_with_too_little_data():
    with pytest.raises(SourceError, match="cldr/dates: CLDR has too little data of its own for 'rw'"):
        read_cldr("cldr/dates", "rw", "train")
