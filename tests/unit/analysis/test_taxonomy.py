import json

from xmtf.analysis.taxonomy import language_counts, taxonomy
from xmtf.evaluation.suites.setup import setup_of, suite_slices


def test_datasets_stand_under_their_cluster_with_what_they_are_for(notes):
    records = taxonomy(notes.run_folder / "mixture", suite_slices(setup_of(notes)))
    assert [(record["cluster"], record["dataset"], record["role"], record["examples"]) for record in records] == [
        ("sentiment", "notes", "train", 3),
        ("sentiment", "asked", "evaluation", 0),
    ]
    assert records[0]["share"] == 1.0


def test_languages_are_counted_largest_first(notes):
    lines = (notes.path.parent / "train.jsonl").read_text().splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    characters = sum(len(f"{text} Good?yes") for text in texts)
    assert language_counts(notes.run_folder / "mixture") == [
        {"language": "en", "name": "English", "examples": 3, "share": 1.0, "characters": characters}
    ]
