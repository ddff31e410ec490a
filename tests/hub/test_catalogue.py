"""The table of ids, subsets, splits and files: what was checked, and what the hub calls otherwise."""

import os
from pathlib import Path

import pytest
import yaml
from tests.hub.repositories import CONVERTED, Repository, parquet

from xmtf.errors import MissingSourceError
from xmtf.sources import read_source
from xmtf.sources.fetch import fetch_sources
from xmtf.sources.locate import locate
from xmtf.sources.mirror import find_in_mirror
from xmtf.tasks import catalogue as module
from xmtf.tasks import load_catalogue

FILES = sorted((Path(module.__file__).parent / "catalogue/families").glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_entry_of_the_family_says_what_was_checked(path):
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))["tasks"]
    assert entries
    assert [entry["id"] for entry in entries if "checked" not in entry] == []


@pytest.mark.skipif("XMTF_DATA_ROOT" not in os.environ, reason="needs the mirror of real data")
def test_what_was_checked_with_the_mirror_is_in_it():
    tasks = [task for task in load_catalogue(sets=["xp3", "xp3x"]).tasks.values() if task.checked == "mirror"]
    assert len(tasks) > 200
    lost = [(task.id, name) for task in tasks for names in task.splits.values() for name in names]
    assert [(key, name) for key, name in lost if not find_in_mirror(by_id(tasks, key).source(name))] == []


def by_id(tasks, key):
    return next(task for task in tasks if task.id == key)


def test_what_the_hub_calls_otherwise_is_found_there_and_keeps_its_name(hub, tmp_path, monkeypatch):
    row = parquet([{"text": "x"}])
    for name, files in {
        "juletxara/xstory_cloze": ["ar/eval/0000.parquet", "ar/train/0000.parquet"],
        "teven/code_docstring_corpus": ["default/top_level/0000.parquet", "default/class_level/0000.parquet"],
        "teven/code_contests": [f"default/{split}/0000.parquet" for split in ("train", "valid", "test")],
        "ybisk/piqa": ["plain_text/train/0000.parquet"],
        "GEM/wiki_lingua": ["de_fr/wiki_lingua-train.parquet", "de_fr/wiki_lingua-test.parquet"],
    }.items():
        hub.add(Repository(name).add(dict.fromkeys(files, row), CONVERTED))
    tasks = load_catalogue(sets=["xp3", "xp3x", "bloomz-l1", "multilingual"]).tasks
    places = {
        "bloomz-l1:Muennighoff/xstory_cloze/ar": ("validation", "ar/eval/0000.parquet"),
        "xstory-cloze/ar": ("validation", "ar/eval/0000.parquet"),
        "xp3:teven/code_docstring_corpus/top_level": ("top_level", "default/top_level/0000.parquet"),
        "xp3:teven/code_contests": ("validation", "default/valid/0000.parquet"),
        "xp3:piqa": ("train", "plain_text/train/0000.parquet"),
        "xp3x:GEM/wiki_lingua/de_fr": ("train", "de_fr/wiki_lingua-train.parquet"),
    }
    refs = {key: tasks[key].source(split) for key, (split, _) in places.items()}
    assert {key: locate(ref).split.files[0].path for key, ref in refs.items()} == {
        key: path for key, (_, path) in places.items()
    }
    fetched = fetch_sources(refs.values(), tmp_path / "mirror")
    assert {each.status for each in fetched} == {"fetched"}
    assert (tmp_path / "mirror/Muennighoff/xstory_cloze/ar/validation.parquet").is_file()
    monkeypatch.setenv("XMTF_DATA_ROOT", str(tmp_path / "mirror"))
    assert read_source(refs["xp3:teven/code_contests"], offline=True).table["text"].to_pylist() == ["x"]
    with pytest.raises(MissingSourceError, match="emo has the splits train and test alone"):
        locate(load_catalogue(sets=["bloomz-validation"]).tasks["bloomz-validation:emo"].source("validation"))
