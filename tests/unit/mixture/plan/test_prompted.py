import gzip
import json

import pytest

from xmtf.artefacts.manifest_parts import MixtureDetails
from xmtf.errors import ConfigError, SourceError, UnknownNameError
from xmtf.mixture import build_mixture, plan_mixture, read_mixture
from xmtf.mixture.io.export import export_jsonl
from xmtf.mixture.plan.overview import planned_splits
from xmtf.tasks import DropReport

XP3X = {"language": "fra_Latn", "split": "test", "template": "ask", "dataset": "facebook/xnli", "config": "fr"}


def write(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(record) + "\n" for record in records).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)


@pytest.fixture
def folder(tmp_path):
    """Return a folder like xP3's, beside the recipe."""
    plain = [{"inputs": f"Combien font {n} et 1 ?", "targets": str(n + 1)} for n in range(4)]
    write(tmp_path / "xP3" / "fr" / "xp3_sums_None_train_ask.jsonl", [*plain, plain[0], {"inputs": "no answer"}])
    write(tmp_path / "xP3" / "fra_Latn" / "xp3x.jsonl.gz", [{"inputs": "a", "targets": "b"} | XP3X])
    write(tmp_path / "xP3" / "de" / "other.jsonl", [{"inputs": "Was ist 101 plus 1?", "targets": "102"}])
    write(tmp_path / "xP3" / "fr" / "merged_fr.jsonl", plain)
    return tmp_path / "xP3"


def rows_of(mixture):
    return [row for table in read_mixture(mixture) for row in table.to_pylist()]


def test_a_folder_of_xp3_alone_is_a_mixture(recipe, folder, tmp_path):
    loaded = recipe("mixture.tasks=[]", "mixture.prompted=[{path: xP3, licence: Apache-2.0}]")
    manifest = build_mixture(loaded, tmp_path / "mixture")
    assert manifest.counts["languages"] == {"fr": 5, "de": 1}
    assert manifest.counts["dropped"] == {"duplicate": 1, "no inputs or targets": 1}
    rows = {row["inputs"]: row for row in rows_of(tmp_path / "mixture")}
    assert rows["Combien font 2 et 1 ?"] | {"targets": ""} == {
        "inputs": "Combien font 2 et 1 ?", "targets": "", "choices": None, "language": "fr", "prompt_language": "en",
        "translation": "none", "task": "xP3/fr/xp3_sums_None_train_ask", "cluster": "prompted", "dataset": "xP3",
        "subset": "", "split": "train", "template": "xp3_sums_None_train_ask", "row": 2,
    }  # fmt: skip
    assert {rows["a"][name] for name in ("dataset", "subset", "split", "template")} == {
        "facebook/xnli", "fr", "test", "ask",
    }  # fmt: skip
    assert "| xP3 | Apache-2.0 | 5 |" in (tmp_path / "mixture" / "README.md").read_text()


def test_a_plan_lists_the_files(recipe, folder):
    records = planned_splits(recipe("mixture.prompted=[{path: xP3, files: [xp3*]}]"))
    assert [(record["task"], record["language"]) for record in records[2:]] == [
        ("xP3/fr/xp3_sums_None_train_ask", "fr"),
        ("xP3/fra_Latn/xp3x", "fr"),
    ]


def test_beside_tasks_under_the_same_rules(recipe, folder, tmp_path):
    held = [{"inputs": "What is 101 plus 1?", "targets": "102"}, {"inputs": "x" * 500, "targets": "y"}]
    write(folder / "de" / "other.jsonl", held)
    prompted = "mixture.prompted=[{path: xP3, languages: [de]}]"
    manifest = build_mixture(recipe(prompted, "mixture.max_characters=400"), tmp_path / "mixture")
    assert manifest.counts["dropped"]["stands in an evaluation suite"] == 7
    assert manifest.counts["dropped"]["over 400 characters"] == 1
    assert manifest.counts["languages"] == {"fr": 118, "de": 112}


def test_held_out_languages_stay_out(recipe, folder, tmp_path):
    settings = ["mixture.tasks=[]", "mixture.prompted=[{path: xP3}]", "mixture.held_out.languages=[fr]"]
    assert build_mixture(recipe(*settings), tmp_path / "mixture").counts["languages"] == {"de": 1}
    in_full = [*settings[:2], "mixture.held_out.languages=[fra_Latn]"]
    assert build_mixture(recipe(*in_full), tmp_path / "in-full").counts["languages"] == {"de": 1}
    with pytest.raises(ConfigError, match=r"mixture\.prompted\.0.*every file.*held_out"):
        build_mixture(recipe(*settings, "mixture.held_out.clusters=[prompted]"), tmp_path / "mixture")


def test_records_of_held_out_templates_stay_out(recipe, folder, tmp_path):
    write(folder / "fra_Latn" / "xp3x.jsonl.gz", [{"inputs": n, "targets": n} | XP3X | {"template": n} for n in "ab"])
    settings = ("mixture.tasks=[]", "mixture.prompted=[{path: xP3}]", "mixture.held_out.templates=[a*]")
    manifest = build_mixture(recipe(*settings), tmp_path / "mixture")
    assert manifest.counts["dropped"]["template is held out"] == 1
    assert "a" not in {row["inputs"] for row in rows_of(tmp_path / "mixture")}


def test_languages_are_taken_in_any_spelling_and_misspelt_patterns_are_named(recipe, folder, tmp_path):
    taken = build_mixture(
        recipe("mixture.tasks=[]", "mixture.prompted=[{path: xP3, languages: [fra]}]"), tmp_path / "m"
    )
    assert taken.counts["languages"] == {"fr": 5}
    for wrong in ("languages: [fr, sw]", 'files: ["*ask*", "*aks*"]'):
        with pytest.raises(UnknownNameError, match=r"mixture\.prompted\.0\.(languages|files)"):
            plan_mixture(recipe("mixture.tasks=[]", f"mixture.prompted=[{{path: xP3, {wrong}}}]"))


def test_rows_of_records_are_not_taken_for_rows_of_a_split(recipe, folder, tmp_path):
    of_suite = {"dataset": "held", "config": "", "split": "test", "template": "other"}
    write(folder / "de" / "other.jsonl", [{"inputs": "a", "targets": "b"} | of_suite])
    manifest = build_mixture(recipe("mixture.tasks=[]", "mixture.prompted=[{path: xP3}]"), tmp_path / "mixture")
    assert manifest.counts["languages"]["de"] == 1


def test_an_exported_mixture_can_be_read_again(recipe, tmp_path):
    build_mixture(recipe(), tmp_path / "first")
    export_jsonl(tmp_path / "first", tmp_path / "xP3", fields="xp3x", filters={})
    build_mixture(recipe("mixture.tasks=[]", "mixture.prompted=[{path: xP3}]"), tmp_path / "second")

    def texts(mixture):
        return sorted((row["language"], row["inputs"], row["targets"], row["template"]) for row in rows_of(mixture))

    assert texts(tmp_path / "second") == texts(tmp_path / "first")


def test_what_is_wrong_is_named(recipe, folder, tmp_path):
    prompted = ["mixture.tasks=[]", "mixture.prompted=[{path: xP3}]"]
    write(folder / "de" / "other.jsonl", [{"inputs": "a", "targets": ["b"]}])
    with pytest.raises(SourceError, match=r"other\.jsonl: cannot be read as JSONL"):
        build_mixture(recipe(*prompted), tmp_path / "mixture")
    write(folder / "klingon" / "other.jsonl", [])
    with pytest.raises(UnknownNameError, match=r"klingon"):
        build_mixture(recipe(*prompted), tmp_path / "mixture")
    with pytest.raises(SourceError, match="nowhere has no <language>"):
        build_mixture(recipe("mixture.prompted=[{path: nowhere}]"), tmp_path / "mixture")
    with pytest.raises(ConfigError, match="give `tasks`"):
        recipe("mixture.tasks=[]")


def test_the_language_of_a_prompt_is_the_records_the_names_or_the_folders(recipe, folder, tmp_path):
    records = [
        {"template": "ask_frmt"},
        {"template": "ask_frmt", "prompt_language": "spa"},
        {"template": "ask", "prompt_language": "yor_Latn"},
        {"template": "ask"},
    ]
    texts = [{"inputs": f"i{n}", "targets": f"t{n}"} | record for n, record in enumerate(records)]
    write(folder / "fra_Latn" / "xp3x.jsonl.gz", texts)
    settings = (
        "mixture.tasks=[]",
        "mixture.prompted=[{path: xP3, languages: [fr], files: [xp3x*], prompt_language: swa}]",
    )
    build_mixture(recipe(*settings), tmp_path / "m")
    found = {row["inputs"]: (row["prompt_language"], row["translation"]) for row in rows_of(tmp_path / "m")}
    assert found == {"i0": ("fr", "machine"), "i1": ("es", "machine"), "i2": ("yo", "none"), "i3": ("sw", "none")}
    manifest = build_mixture(recipe(*settings, "mixture.held_out.languages=[yo, swh]"), tmp_path / "without")
    assert manifest.counts["dropped"] == {"prompt language is held out": 2}


def test_relatives_of_held_out_languages_that_stay_are_named(recipe, folder, tmp_path):
    write(folder / "nn" / "a.jsonl", [{"inputs": "kva", "targets": "er"}])
    write(folder / "nb" / "b.jsonl", [{"inputs": "hva", "targets": "er"}])
    settings = ("mixture.tasks=[]", "mixture.prompted=[{path: xP3}]", "mixture.held_out.languages=[no]")
    manifest = build_mixture(recipe(*settings), tmp_path / "m")
    assert set(manifest.counts["languages"]) == {"fr", "de", "nn"}
    lines = list(DropReport.of(MixtureDetails.of(manifest, tmp_path / "m")).lines({}))
    said = "held out no: its relatives nn are in the mixture; mixture.held_out.relatives: true excludes them"
    assert said in lines
    assert "- relatives of no that are kept: nn" in (tmp_path / "m" / "README.md").read_text(encoding="utf-8")
    without = build_mixture(recipe(*settings, "mixture.held_out.relatives=true"), tmp_path / "without")
    assert set(without.counts["languages"]) == {"fr", "de"}
    assert without.details["relatives"] == {}
