"""Mixtures from the hub: all that is missing is found before anything is rendered, and what is left out is counted."""

import os
from pathlib import Path

import pytest
from tests.hub.repositories import CONVERTED, Repository, mirrored, parquet
from tests.hub.server import READER

from xmtf.artefacts.manifest_parts import MixtureDetails
from xmtf.errors import ConfigError, MissingSourceError, SourceError
from xmtf.mixture import build_mixture, plan_mixture
from xmtf.mixture.build import work_folder
from xmtf.mixture.io.read import select_examples
from xmtf.recipe import load_recipe

TEMPLATES = """\
dataset: sums
templates:
  0b1c2d3e-0000-4000-8000-000000000001: !Template
    answer_choices: null
    id: 0b1c2d3e-0000-4000-8000-000000000001
    jinja: 'What is {{a}} plus {{b}}? ||| {{a + b}}'
    metadata: !TemplateMetadata {choices_in_prompt: false, languages: [en], metrics: [], original_task: true}
    name: ask
    reference: ''
"""

CATALOGUE = """\
tasks:
  - id: sums
    cluster: arithmetic
    dataset: own/sums
    revision: refs/convert/parquet
    templates: templates.yaml
    subsets: {fr: fr, de: de, es: es}
    splits: {train: [train, validation]}
  - {id: large, cluster: arithmetic, dataset: own/large, revision: refs/convert/parquet, templates: templates.yaml,
     language: en, splits: {train: [train]}}
  - {id: asked, cluster: arithmetic, dataset: own/asked, revision: refs/convert/parquet, templates: templates.yaml,
     language: en, splits: {evaluation: [test]}}
"""

RECIPE = """\
name: sums
run_folder: {folder}/run
execution: {{engine: inline}}
catalogues: [mine.yaml]
mixture: {{tasks: [{{tasks: ["sums/*", "large"], catalogue: mine}}]}}
model: {{architecture: bloom, hidden_size: 8, num_layers: 1, num_heads: 1}}
training: {{steps: 1}}
"""

SUITE = "evaluation: {suites: [{name: held, axis: rows, tasks: [{tasks: [asked], catalogue: mine}]}]}\n"


def rows(start, count=20):
    return parquet([{"a": start + number, "b": 1} for number in range(count)])


@pytest.fixture
def recipe(hub, tmp_path):
    """A recipe on sets of which the hub has French whole, German without validation, and no Spanish."""
    (tmp_path / "templates.yaml").write_text(TEMPLATES)
    (tmp_path / "mine.yaml").write_text(CATALOGUE)
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.format(folder=tmp_path))
    names = {"fr/train": 0, "fr/validation": 100, "de/train": 200}
    hub.add(Repository("own/sums").add({f"{name}/0000.parquet": rows(i) for name, i in names.items()}, CONVERTED))
    hub.add(Repository("own/large").add({"default/partial-train/0000.parquet": rows(900)}, CONVERTED))
    return lambda *overrides: load_recipe(path, overrides)


def test_all_misses_are_listed_in_one_table_before_anything_is_rendered(recipe, tmp_path, capsys):
    with pytest.raises(SourceError, match=r"3 splits are unavailable .listed above.: own/sums/de .*mixture\.m"):
        build_mixture(recipe(), tmp_path / "out")
    said = capsys.readouterr().err
    for source in ("own/sums/de [validation]", "own/sums/es [train]", "own/sums/es [validation]"):
        (line,) = [line for line in said.splitlines() if source in line]
        assert "in revision refs/convert/parquet of own/sums there is no" in line
    assert not work_folder(tmp_path / "out").exists()
    assert not list((tmp_path / "hf/hub").rglob("*.parquet"))


def test_what_is_skipped_and_what_is_partial_counts_in_manifest_and_card(hub, recipe, tmp_path):
    loaded = recipe("mixture.missing=skip")
    manifest = build_mixture(loaded, tmp_path / "out")
    assert (manifest.counts["missing"], manifest.counts["partial"], manifest.counts["in"]) == (3, 1, 80)
    details = MixtureDetails.of(manifest, tmp_path / "out")
    assert [(each.task, each.dataset, each.subset, each.split) for each in details.missing] == [
        ("sums/de", "own/sums", "de", "validation"),
        ("sums/es", "own/sums", "es", "train"),
        ("sums/es", "own/sums", "es", "validation"),
    ]
    assert details.missing[0].problem.endswith("there is no split 'validation', but train")
    assert details.partial == ("own/large [train]",)
    repositories = [hub.repositories["dataset", name] for name in ("own/large", "own/sums")]
    assert {name: each[0].commit for name, each in details.versions.items()} == {
        each.name: each.commit(CONVERTED) for each in repositories
    }
    card = (tmp_path / "out/README.md").read_text()
    assert "3 splits of the recipe were unavailable and are not in the mixture" in card
    assert "own/sums (3)" in card
    assert (
        "For 1 splits only the beginning was available, which is all that the hub converted: own/large [train]" in card
    )

    # Skipped splits are part of what the mixture is: once they are there it is another one.
    hub.repositories["dataset", "own/sums"].add({"de/validation/0000.parquet": rows(300)}, CONVERTED)
    from xmtf.sources.hub import listing

    listing._listed.cache_clear()
    assert plan_mixture(loaded).fingerprint != manifest.fingerprint
    with pytest.raises(ConfigError, match="the finished mixture there"):
        build_mixture(loaded, tmp_path / "out")
    assert build_mixture(loaded, tmp_path / "out", replace=True).counts["missing"] == 2


def test_what_fails_just_now_or_is_held_out_is_never_skipped(hub, recipe, tmp_path):
    hub.faults["/api/datasets/own/large"] += [503] * 9
    with pytest.raises(SourceError, match=r"failed \(status") as caught:
        plan_mixture(recipe("mixture.missing=skip"))
    assert not isinstance(caught.value, MissingSourceError)
    hub.faults.clear()
    path = tmp_path / "recipe.yaml"
    path.write_text(path.read_text() + SUITE)
    with pytest.raises(SourceError, match="the hub has no own/asked"):
        plan_mixture(recipe("mixture.missing=skip", "mixture.tasks.0.tasks=[sums/fr]"))
    with pytest.raises(SourceError, match=r"own/asked"):
        plan_mixture(recipe("mixture.missing=skip"))
    with pytest.raises(ConfigError, match="skip leaves nothing"):
        path.write_text(path.read_text().replace(SUITE, ""))
        plan_mixture(recipe("mixture.missing=skip", "mixture.tasks.0.tasks=[sums/es]"))


def test_a_gated_set_is_built_and_its_token_stands_in_no_artefact(hub, recipe, tmp_path, monkeypatch, capsys):
    hub.repositories["dataset", "own/sums"].gated = True
    wanted = ("mixture.tasks.0.tasks=[sums/fr]",)
    with pytest.raises(SourceError, match=r"2 splits are unavailable"):
        build_mixture(recipe(*wanted), tmp_path / "out")
    said = capsys.readouterr().err
    assert "own/sums/fr [train]       own/sums is gated, and the hub denies it to users" in said
    assert (
        plan_mixture(recipe("mixture.missing=skip"))
        .gathered.missing[0]
        .problem.endswith("HF_TOKEN to a token of your account")
    )
    monkeypatch.setenv("HF_TOKEN", READER)
    assert build_mixture(recipe(*wanted), tmp_path / "out").counts["out"] == 40
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(written) > 5
    assert not [path for path in written if READER.encode() in path.read_bytes()]


def examples_of(folder):
    for table in select_examples(folder, {}):
        yield from table.to_pylist()


MIRRORED = """\
name: mirrored
run_folder: {folder}/run
execution: {{engine: {engine}, workers: 2}}
mixture: {{tasks: [{{tasks: ["xquad/xquad.hi", "nusax-senti/ace", "nusax-mt/eng-min"], cap_examples: 200}}]}}
model: {{architecture: bloom, hidden_size: 8, num_layers: 1, num_heads: 1}}
training: {{steps: 1}}
"""


@pytest.mark.skipif("XMTF_DATA_ROOT" not in os.environ, reason="needs the mirror of real data")
@pytest.mark.parametrize("engine", ["inline", pytest.param("pool", marks=pytest.mark.slow)])
def test_a_build_from_the_hub_gives_the_rows_of_the_mirror(engine, tmp_path, request):
    root = Path(os.environ["XMTF_DATA_ROOT"])
    path = tmp_path / "recipe.yaml"
    path.write_text(MIRRORED.format(folder=tmp_path, engine=engine))
    build_mixture(load_recipe(path, ["offline=true"]), tmp_path / "mirror")
    hub = request.getfixturevalue("hub")
    assert "XMTF_DATA_ROOT" not in os.environ
    for name in ("google/xquad", "indonlp/NusaX-senti", "indonlp/NusaX-MT"):
        hub.add(mirrored(root, name, converted=name != "google/xquad"))
    hub.faults["/storage/"] += ["cut", 503, "wrong"]
    manifest = build_mixture(load_recipe(path), tmp_path / "hub")
    from_mirror, from_hub = ([*examples_of(tmp_path / name)] for name in ("mirror", "hub"))
    assert from_hub == from_mirror
    assert len(from_hub) > 500
    asked = len(hub.requests)
    assert plan_mixture(load_recipe(path, ["offline=true"])).fingerprint == manifest.fingerprint  # it stays at hand
    assert len(hub.requests) == asked
