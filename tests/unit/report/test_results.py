"""Which folders are results, what their columns are called, and which items a page shows."""

import dataclasses
import json
import shutil

import fsspec
import pytest

from xmtf.api.results import load_results
from xmtf.cli.app import _run as xmtf
from xmtf.errors import ConfigError, DataError, SourceError
from xmtf.files import MANIFEST, file_sha256, read_jsonl, read_manifest, write_jsonl, write_manifest
from xmtf.recipe.schema import Report
from xmtf.remote.copies import forget
from xmtf.remote.storage import copy_up
from xmtf.report import build_report
from xmtf.report.collect import collect
from xmtf.report.comparison.compare import compare
from xmtf.report.comparison.results import collect_results, results_folders
from xmtf.report.comparison.summary import strips
from xmtf.report.items import item_sets, script_text
from xmtf.results.files import describe_results


def relabel(folder, model, **changes):
    path = folder / "scores.jsonl"
    write_jsonl(path, [score | {"model": model, "model_fingerprint": model} | changes for score in read_jsonl(path)])
    return folder


@pytest.fixture
def two(run_folder):
    results = run_folder / "results"
    return relabel(results / "before", "bloom"), relabel(results / "after", "mt0")


def test_a_run_gives_its_finished_evaluations_in_order(run_folder):
    assert [folder.name for folder in results_folders(run_folder)] == ["before", "after"]
    (run_folder / "results" / "after" / "manifest.json").unlink()
    assert [folder.name for folder in results_folders(run_folder)] == ["before"]


def test_columns_are_named_by_model(two):
    assert list(collect_results(two).scores) == ["bloom", "mt0"]


def test_two_models_of_one_name_are_told_apart_by_their_folders(run_folder, tmp_path):
    other = shutil.copytree(run_folder, tmp_path / "other")
    labels = ["tiny: before", "tiny: after", "other: before", "other: after"]
    assert list(collect_results([run_folder, other]).scores) == labels


def test_parts_of_one_evaluation_share_a_column(two, tmp_path):
    part = shutil.copytree(two[0], tmp_path / "more")
    relabel(part, "bloom", suite="other suite")
    scores = collect_results([two[0], part]).scores
    assert list(scores) == ["bloom"]
    assert {score.suite for score in scores["bloom"]} == {"rows", "text", "other suite"}


def test_a_folder_without_results_is_one_line(tmp_path):
    with pytest.raises(SourceError, match="no results here"):
        results_folders(tmp_path)


def test_a_line_that_is_no_score_is_named(two):
    write_jsonl(two[0] / "scores.jsonl", [{"suite": "rows"}])
    with pytest.raises(DataError, match=r"scores.jsonl, line 1: no score .*lacks model, model_fingerprint, axis"):
        collect_results(two)


def test_items_hold_what_each_model_answered(run_folder):
    (found,) = item_sets(collect([run_folder]).results, 100)
    assert (found.dataset, found.total, found.shown, found.suites) == ("cldr/weekday", 8, 8, ("rows",))
    item = next(item for item in found.payload["items"] if item["row"] == 0)
    assert [answer["correct"] for answer in item["answers"]] == [False, True]
    assert item["answers"][1]["scores"] == [-2.5, -1.25]
    assert item["answers"][1]["tokens"] == [1, 2]
    assert (item["gold"], item["choices"][1]) == (1, "mardi <b>")
    assert found.payload["jobs"][item["job"]]["prompt_language"] == "en"


def test_a_limit_keeps_whole_rows(run_folder):
    (found,) = item_sets(collect([run_folder]).results, 3)
    assert (found.total, found.shown) == (8, 4)  # two rows of two templates each
    rows = [item["row"] for item in found.payload["items"]]
    assert sorted(rows.count(row) for row in set(rows)) == [2, 2]


def test_completions_of_programs_are_items_too(two):
    code = {
        "suite": "humaneval", "axis": "none", "kind": "code", "task": "humaneval", "template_hash": "h",
        "dataset": "openai_humaneval", "subset": "", "split": "test", "template": "prompt at temperature 0.2",
        "cluster": "code", "language": "code", "prompt_language": "en", "translation": "none", "metrics": [],
        "model": "bloom", "model_fingerprint": "bloom", "scoring": "greedy",
    }  # fmt: skip
    line = {"task": "humaneval", "problem": "HumanEval/0", "sample": 0, "temperature": 0.2, "completion": "pass"}
    write_jsonl(two[0] / "scores.jsonl", [*read_jsonl(two[0] / "scores.jsonl"), code])
    write_jsonl(two[0] / "completions.jsonl", [line | {"passed": False, "outcome": "timed out", "detail": "3 s"}])
    found = {entry.dataset: entry for entry in item_sets(collect_results(two), 10)}["openai_humaneval"]
    (item,) = found.payload["items"]
    assert item["prompt"] == "HumanEval/0"
    assert item["answers"] == [{"text": "pass", "correct": False, "note": "timed out: 3 s"}, None]


@pytest.mark.parametrize(
    "text", ["</script>", "<!-- <script>", "\u2028\u2029", "a&b", "\u05e9\u05dc\u05d5\u05dd \U0001f600"]
)
def test_data_is_inert_in_a_script_and_reads_back_the_same(text):
    script = script_text("name", {"text": text})
    assert not set("<>&\u2028\u2029") & set(script)
    assert json.loads(f"[{script.removeprefix('xmtfItems(').removesuffix(');' + chr(10))}]") == ["name", {"text": text}]


def test_a_report_of_two_models_has_a_column_for_each(two, tmp_path):
    build_report(two, tmp_path / "report", Report(figures=("svg",)))
    page = (tmp_path / "report" / "index.html").read_text()
    table = (tmp_path / "report" / "tables" / "results.csv").read_text().splitlines()
    assert table[0] == "suite,held out,metric,items,chance,majority,bloom,mt0,change,cut,reading"
    assert "From bloom to mt0" in page
    assert not (tmp_path / "report" / "model-card.md").exists()


def test_large_item_sets_lie_beside_the_page(two, tmp_path, monkeypatch):
    monkeypatch.setattr("xmtf.report.build._INLINE_BYTES", 10)
    build_report(two, tmp_path / "report", Report(figures=("svg",)))
    (side,) = (tmp_path / "report" / "items").iterdir()
    assert side.read_text().startswith('xmtfItems("cldr/weekday",{')
    assert "Which day is number" not in (tmp_path / "report" / "index.html").read_text()


def test_a_folder_with_other_files_is_not_replaced(two):
    with pytest.raises(ConfigError, match="contains something other than a report"):
        build_report(two, two[0], Report())
    assert (two[0] / "scores.jsonl").exists()


def test_suites_of_one_name_but_other_items_say_so(two):
    path = two[0] / "scores.jsonl"
    write_jsonl(path, [score for score in read_jsonl(path) if score["template"] != "quiz"])
    accuracy = compare(collect_results(two))[0]
    assert accuracy.items_text == "8 / 4"
    assert "8 / 4 items (not the same for every model)" in strips([accuracy])[0].note


def test_an_axis_that_the_mixture_does_not_bear_out_is_not_shown(run_folder):
    folder = run_folder / "mixture"
    manifest = read_manifest(folder)
    for held_out, shown in ((["rows"], "rows"), ([], "none")):
        suites = [{"suite": "rows", "axis": "rows", "held_out": held_out}]
        write_manifest(folder, dataclasses.replace(manifest, details=manifest.details | {"suites": suites}))
        scores = collect_results([run_folder]).scores["after"]
        assert {score.axis for score in scores if score.suite == "rows"} == {shown}


@pytest.mark.parametrize(
    ("described", "damage", "said"),
    [
        (False, lambda content: b"", "is empty"),
        (False, lambda content: content[:-20], "is cut short in its last line"),
        (True, lambda content: b"", "does not match its recorded checksum"),
        (True, lambda content: content.splitlines(keepends=True)[0], "does not match its recorded checksum"),
        (True, lambda content: content.replace(b"0.0", b"0.9", 1), "does not match its recorded checksum"),
    ],
)
def test_a_model_never_vanishes_from_a_report(two, described, damage, said):
    first, second = two
    scores = second / "scores.jsonl"
    if described:  # of code, or of another harness
        (second / "manifest.json").unlink()
        describe_results(second)
        assert collect_results([first, second]).scores.keys() == {"bloom", "mt0"}
    changed = damage(scores.read_bytes())
    scores.write_bytes(changed)
    with pytest.raises(DataError, match=rf"scores\.jsonl: {said}"):
        collect_results([first, second])
    scores.unlink()
    with pytest.raises(SourceError, match=f"{second}: no results here"):
        collect_results([first, second])


def test_results_of_a_run_that_have_lost_their_manifest_are_named(run_folder):
    (run_folder / "results" / "after" / "manifest.json").unlink(missing_ok=True)
    with pytest.raises(DataError, match=r"results/after/manifest\.json: is missing"):
        collect([run_folder])


def test_results_at_an_address_are_those_of_the_folder(run_folder, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("XMTF_CACHE", str(tmp_path / "cache"))
    storage = fsspec.filesystem("memory")
    storage.store.clear()
    address = "memory://bucket/demo"
    for label in ("before", "after"):
        folder = run_folder / "results" / label
        files = [path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST]
        outputs = {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}
        write_manifest(folder, dataclasses.replace(read_manifest(folder), outputs=outputs))
        copy_up(folder, f"{address}/results/{label}")
    here = load_results(run_folder).scores.drop(columns="folder")
    for place in (address, f"{address}/results"):
        forget()
        assert load_results(place).scores.drop(columns="folder").equals(here)
    assert xmtf(["report", "tables", address, "--format", "csv"]) == 0
    there = capfd.readouterr().out
    assert xmtf(["report", "tables", str(run_folder), "--format", "csv"]) == 0
    assert there == capfd.readouterr().out != ""
    assert xmtf(["report", "build", address]) == 2
    assert "--out" in capfd.readouterr().err
    pair = [f"{address}/results/{label}" for label in ("before", "after")]
    assert xmtf(["evaluate", "compare", *pair]) == 0
    # an upload that was cut short is no result
    storage.rm_file(f"/bucket/demo/results/after/{MANIFEST}")
    forget()
    assert len(load_results(address).folders) == 1
    assert "results/after: skipped: no manifest.json" in capfd.readouterr().err
    assert xmtf(["evaluate", "compare", *pair]) != 0
    storage.rm_file(f"/bucket/demo/results/before/{MANIFEST}")
    forget()
    with pytest.raises(SourceError, match="memory://bucket/demo: no finished results here"):
        load_results(address)
