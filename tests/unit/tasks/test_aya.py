"""Aya's rows in the hub's layout: their languages, and the terms that are shown before anything is fetched."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from xmtf.cli.app import build_app
from xmtf.files import read_manifest
from xmtf.sources.terms import ON_REQUEST

RECIPE = """
name: aya
offline: true
mixture:
  tasks: [{tasks: [aya], languages: [zu, ar, en]}, {tasks: ["flores-plus/eng_Latn-fra_Latn"], splits: [dev]}]
model: {architecture: bloom, hidden_size: 16, num_layers: 1, num_heads: 2}
training: {steps: 1}
execution: {engine: inline}
"""
TEXTS = {"zul": "Umbuzo", "arb": "سؤال", "eng": "Question", "fra": "Question", "xxq": "?"}


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    folder = tmp_path / "mirror"
    rows = [
        {"inputs": f"{word} {n}?", "targets": f"{word} {n}", "language": "as a word", "language_code": code}
        | {"annotation_type": "original-annotations", "user_id": "someone"}
        for code, word in TEXTS.items()
        for n in range(2)
    ]
    write(folder / "CohereLabs/aya_dataset/default/train.parquet", rows)
    for code, word in (("eng_Latn", "town"), ("fra_Latn", "ville")):
        rows = [{"id": n, "iso_639_3": code[:3], "text": f"{word} {n}"} for n in range(3)]
        write(folder / f"openlanguagedata/flores_plus/{code}/dev.parquet", rows)
    monkeypatch.setenv("XMTF_DATA_ROOT", str(folder))
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return path


def write(path, rows):
    path.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def run(*arguments):
    result = CliRunner().invoke(build_app("data"), ["data", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_each_row_is_in_its_language_and_pairs_join_theirs(recipe, tmp_path):
    run("build", recipe, "--out", tmp_path / "mix")
    counts = read_manifest(tmp_path / "mix").counts
    assert counts["languages"] == {"ar": 2, "en": 2, "fr": counts["languages"]["fr"], "zu": 2}
    assert counts["dropped"] == {"language is not selected": 2, "unknown language": 2}
    arabic = pq.read_table(tmp_path / "mix" / "language=ar").to_pylist()
    assert {(row["inputs"], row["targets"], row["prompt_language"]) for row in arabic} == {
        (f"سؤال {n}?", f"سؤال {n}", "ar") for n in range(2)
    }
    french = pq.read_table(tmp_path / "mix" / "language=fr").to_pylist()
    assert {(row["row"], row["targets"]) for row in french} == {(n, f"ville {n}") for n in range(3)}
    assert {row["inputs"].count(f"town {row['row']}") for row in french} == {1}


def test_licence_and_gating_are_shown_before_a_fetch(recipe):
    assert run("fetch", recipe, "--dry-run").splitlines() == [
        "CohereLabs/aya_dataset [train]  Apache-2.0",
        f"openlanguagedata/flores_plus/eng_Latn [dev]  CC-BY-SA-4.0  {ON_REQUEST}",
        f"openlanguagedata/flores_plus/fra_Latn [dev]  CC-BY-SA-4.0  {ON_REQUEST}",
    ]
    lines = [json.loads(line) for line in run("fetch", recipe, "--dry-run", "--json").splitlines()]
    assert [line["gated"] for line in lines] == [False, True, True]
    before = run("fetch", recipe, "--to", recipe.with_name("copy"))
    assert next(line.split() for line in before.splitlines() if line.startswith("openlanguagedata/flores_plus ")) == [
        *("openlanguagedata/flores_plus", "2", "CC-BY-SA-4.0", *ON_REQUEST.split())
    ]
    listed = ["task", "list", "--json", "flores-plus/eng_Latn-fra_Latn"]
    shown = CliRunner().invoke(build_app("task"), listed, catch_exceptions=False).stdout
    assert json.loads(shown)["gated"] == ON_REQUEST
    assert json.loads(shown)["join"] == {"on": "id", "subsets": {"source": "eng_Latn", "target": "fra_Latn"}}
    plan = run("plan", recipe)
    assert f"{ON_REQUEST}: openlanguagedata/flores_plus" in plan
    assert "CC-BY-SA-4.0" in plan
    assert "Apache-2.0" in plan
