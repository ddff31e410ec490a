import sys
from pathlib import Path

import pytest

from xmtf.errors import ConfigError, UnknownNameError
from xmtf.languages.codes import normalize_language
from xmtf.recipe import load_recipe
from xmtf.sources import SourceRef
from xmtf.sources.adapters import ADAPTERS
from xmtf.tasks import catalogue, load_catalogue
from xmtf.tasks.entries import Pairs, read_catalogue_file

RECIPE = """
name: tiny
catalogues: [tiny.yaml]
own_tasks:
  - {id: mine, path: mine.csv, templates: templates.yaml, language: swh, role: train}
mixture:
  tasks: [{tasks: [mine]}]
model: {architecture: bloom, hidden_size: 16, num_layers: 1, num_heads: 2}
training: {steps: 1}
"""


def test_an_entry_becomes_one_task_per_subset_with_our_language_codes(catalogue_file):
    tasks = {task.id: task for task in read_catalogue_file(catalogue_file)}
    assert [(task.id, task.language) for task in tasks.values()] == [
        ("tiny/en", "en"),
        ("tiny/fra", "fr"),
        ("tiny/jp", "ja"),
        ("pair/en-fr", "fr"),
        ("judge", "en"),
    ]
    assert tasks["judge"].source("validation") == SourceRef("own/judge", "main", "validation")
    assert tasks["judge"].metrics == ("accuracy",)
    assert tasks["pair/en-fr"].input_languages == ("en",)
    assert [template.name for template in tasks["judge"].templates()] == ["ask", "demander", "only long texts"]


def test_the_codes_of_our_catalogues_are_known_without_langcodes(monkeypatch):
    folder = Path(catalogue.__file__).with_name("catalogue")
    normalize_language.cache_clear()
    monkeypatch.setitem(sys.modules, "langcodes", None)  # takes a tenth of a second to load
    for path in sorted(folder.glob("*.yaml")):
        assert read_catalogue_file(path, packaged=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("language: en", "give the languages either in `subsets` or in `language`"),
        ("clusters: x", "tasks.0.clusters"),
        ("kind: guess", "tasks.0.kind"),
    ],
)
def test_a_wrong_entry_is_named_with_its_key(catalogue_file, change, message):
    text = catalogue_file.read_text()
    catalogue_file.write_text(text.replace("    kind: rank\n    licence: CC0-1.0\n", f"    {change}\n", 1))
    with pytest.raises(ConfigError, match=message):
        read_catalogue_file(catalogue_file)


def test_an_unknown_language_names_the_entry(catalogue_file):
    catalogue_file.write_text(catalogue_file.read_text().replace("jp: ja", "jp: japanish"))
    with pytest.raises(UnknownNameError, match=r"tiny\.yaml: tasks\.0: unknown language 'japanish'"):
        read_catalogue_file(catalogue_file)


def test_a_recipe_brings_its_catalogues_and_own_tasks(catalogue_file):
    path = catalogue_file.with_name("recipe.yaml")
    path.write_text(RECIPE)
    catalogue = load_catalogue(load_recipe(path))
    mine = catalogue.tasks["mine"]
    assert (mine.language, mine.cluster, mine.splits) == ("sw", "own", {"train": ("train",)})
    assert mine.source("train").path == str(path.with_name("mine.csv"))
    assert "tiny/jp" in catalogue.tasks
    assert "xnli/fr" in catalogue.tasks


def test_two_tasks_of_one_name_are_refused(catalogue_file):
    path = catalogue_file.with_name("recipe.yaml")
    path.write_text(RECIPE.replace("id: mine", "id: tiny/jp"))
    with pytest.raises(ConfigError, match="'tiny/jp' is defined twice"):
        load_catalogue(load_recipe(path))


def test_every_built_in_task_has_templates_an_adapter_that_exists_and_a_normal_language():
    for task in load_catalogue().tasks.values():
        if task.catalogue == "open":
            assert task.templates(), task.id
            assert task.licence, task.id
        assert task.adapter is None or task.adapter in ADAPTERS, task.id
        assert task.language == normalize_language(task.language), task.id
        assert task.splits, task.id


def test_the_open_catalogue_keeps_the_held_out_clusters_out_of_training():
    tasks = [task for task in load_catalogue().tasks.values() if task.catalogue == "open"]
    trained = {task.cluster for task in tasks if "train" in task.splits}
    evaluated = {task.cluster for task in tasks if "evaluation" in task.splits}
    assert {"natural language inference", "sentence completion", "coreference resolution"} <= evaluated - trained


@pytest.mark.parametrize("hole", ["{x}", "{source:>999999999}", "{source.__class__}", "{", "{0}"])
def test_only_source_and_target_are_filled_into_the_names_of_pairs(hole):
    with pytest.raises(ValueError, match=r"only \{source\} and \{target\} are filled in"):
        Pairs(codes=("en", "fr"), subset=f"{{source}}-{hole}")
    assert Pairs(codes=("en", "fr"), subset="{source}-{target}").expand()[0] == ("en-fr", "en", "fr")
