from collections import deque
from dataclasses import replace

import numpy as np
import pyarrow as pa

from xmtf.analysis.contamination import ItemReader, find_overlap
from xmtf.analysis.shared_fields import FieldReader
from xmtf.evaluation.suites.setup import setup_of, suite_slices
from xmtf.mixture.select.ngrams import find_hashes


def overlap(loaded, words, setup=None):
    reader = ItemReader(setup or setup_of(loaded), words)
    for part in suite_slices(reader.setup):
        reader.add(part)
    (found,) = deque(find_overlap(loaded.run_folder / "mixture", reader.items()), maxlen=1)
    return found


def test_items_are_found_by_prompt_and_by_shared_words(notes):
    found = overlap(notes, 5)
    assert found.examples == 3
    (summary,) = found.summary()
    assert {name: value for name, value in summary.items() if isinstance(value, int)} == {
        "items": 4, "row": 0, "prompt": 1, "fields": 1, "words": 2, "half": 1, "any": 2,
        "measurable": 3, "by_fields": 3, "by_words": 3, "clean": 1,
    }  # fmt: skip
    first, second = found.found()
    assert (first["row"], first["share_of_runs"]) == (0, 1.0)
    assert first["training"]["prompt"]["row"] == 1
    assert first["training"]["fields"]["shared"] == ("a fine evening by the sea",)
    assert (second["row"], second["share_of_runs"]) == (1, 0.25)
    assert second["training"]["words"]["shared"] == "the soup was cold and"
    assert set(second["training"]) == {"words"}


def test_longer_runs_find_less(notes):
    (summary,) = overlap(notes, 7).summary()
    assert (summary["words"], summary["prompt"], summary["by_words"]) == (0, 1, 2)


def test_every_item_that_a_text_holds_is_found_by_its_fields():
    rows = pa.table({"premise": ["It rained.", "It rained."], "choice": ["The ground got wet.", "The sun was out."]})
    short = pa.table({"word": ["yes", "no"]})
    reader = FieldReader()
    reader.add(rows, np.array([4, 7]), "copa", "copa test")
    reader.add(rows.slice(1), np.array([7]), "again", "again test")
    reader.add(short, np.array([0, 1]), "short", "short test")
    search = reader.search()
    assert search.measurable.tolist() == [True, True, True, False, False]
    text = "The sun was out, so the ground got wet. Yes or no?"
    assert sorted((hit.text, hit.item, hit.fields) for hit in search.find(["nothing", text])) == [
        (1, 0, ("choice",)),
        (1, 1, ("choice",)),
        (1, 2, ("choice",)),
    ]


def test_rows_that_the_mixture_prompts_are_found_by_their_place(notes):
    setup = setup_of(notes)
    trained = {"tasks": ("notes",), "splits": ("train",)}
    suite = setup.settings.suites[0]
    suite = suite.model_copy(update={"tasks": (suite.tasks[0].model_copy(update=trained),)})
    setup = replace(setup, settings=setup.settings.model_copy(update={"suites": (suite,)}))
    (summary,) = overlap(notes, 5, setup).summary()
    assert (summary["row"], summary["prompt"], summary["any"]) == (3, 3, 3)


def test_hashes_are_found_in_a_sorted_list():
    found, at = find_hashes(np.array([5, 9, 7, 9], np.uint64), np.array([2, 7, 9], np.uint64))
    assert (found.tolist(), at.tolist()) == ([1, 2, 3], [2, 1, 2])
    found, at = find_hashes(np.array([5], np.uint64), np.empty(0, np.uint64))
    assert len(found) == len(at) == 0
