import csv
import re

import numpy as np
import pytest
from markupsafe import escape

from xmtf.errors import ConfigError, SourceError
from xmtf.files import read_jsonl, write_jsonl
from xmtf.recipe.schema import Report
from xmtf.report import build_report, collect_run, summary_lines
from xmtf.report.comparison.compare import compare, verdict
from xmtf.report.figures import catalogue
from xmtf.report.figures.drawing import fonts
from xmtf.report.inputs import Inputs
from xmtf.report.reference.demonstration import NOTE, demonstration_texts
from xmtf.report.tables import composition_tables, render_table, result_tables, results_table
from xmtf.report.tables_and_figures import tables_of
from xmtf.results.overlap import OVERLAP, Overlap, write_overlap


def test_items_are_paired_by_row_and_pooled_over_templates(run_folder):
    accuracy, chrf = compare(collect_run(run_folder).results)
    assert (accuracy.first.value, accuracy.last.value) == (0.25, 0.75)
    assert accuracy.change.value == 0.5
    assert accuracy.num_items == 8
    # four rows, not eight answers, are the units: two of four rows changed, and a resample may draw none of them
    assert (accuracy.change.low, accuracy.change.high) == (0.0, 1.0)
    assert chrf.change is None
    assert (chrf.last.low, chrf.last.high) == (30.0, 50.0)


def test_the_reading_says_what_the_figures_allow(run_folder):
    accuracy, chrf = compare(collect_run(run_folder).results)
    assert verdict(accuracy) == "no measurable change, at chance"
    assert verdict(chrf) == ""


def test_tables_in_three_forms(run_folder):
    table = results_table("results", "Results", compare(collect_run(run_folder).results))
    assert render_table(table, "csv").splitlines()[0] == (
        "suite,held out,metric,items,chance,majority,before,after,change,cut,reading"
    )
    assert "| rows | rows | accuracy % | 8 | 25.0 | - | 25.0 [" in render_table(table, "md")
    assert r"accuracy \% & 8 & 25.0 & -" in render_table(table, "tex")


def test_the_page_stands_alone_and_escapes_what_models_wrote(run_folder, verify_outputs):
    out = run_folder / "report"
    build_report([run_folder], out, Report())
    page = (out / "index.html").read_text()
    assert "Say &lt;hi&gt; &amp; go" in page
    assert "<b>one</b>" not in page
    assert "BEFORE" in page
    assert "AFTER" in page
    assert not re.search(r'(src|href)="https?://', page)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    verify_outputs(out)


def test_programs_and_samples_are_among_the_figures(run_folder):
    for label in ("before", "after"):
        program = {"task": "humaneval", "problem": "HumanEval/0", "completion": f"    return '{label}'", "sample": 0}
        line = program | {"temperature": 0.2, "passed": False, "outcome": "failed"}
        write_jsonl(run_folder / "results" / label / "completions.jsonl", [line])
    build_report([run_folder], run_folder / "report", Report())
    figures = {path.name for path in (run_folder / "report" / "figures").iterdir()}
    assert {"samples.svg", "samples.png", "code-samples.svg", "code-samples.png"} <= figures
    page = (run_folder / "report" / "index.html").read_text()
    assert "Programs side by side." in page
    assert "What models write." not in page  # the page has them as text
    assert NOTE not in page


def test_a_missing_font_is_named_and_the_next_build_tries_again(run_folder, monkeypatch, capsys):
    path = run_folder / "results" / "after" / "samples.jsonl"
    write_jsonl(path, [sample | {"text": "\u0c06\u0c15"} for sample in read_jsonl(path)])
    out = run_folder / "report"
    with monkeypatch.context() as patched:
        patched.setattr(fonts, "_installed", lambda: frozenset({"DejaVu Sans"}))
        build_report([run_folder], out, Report())
    assert "no installed font has Telugu (it lacks U+0C06): install Noto Sans Telugu" in capsys.readouterr().err
    assert not (out / "figures" / "samples.svg").exists()
    write_jsonl(path, [sample | {"text": "ok"} for sample in read_jsonl(path)])
    build_report([run_folder], out, Report())
    assert (out / "figures" / "samples.svg").exists()


def test_the_page_of_the_published_numbers_says_whose_texts_it_shows(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "FIGURES", catalogue.FIGURES[-2:])  # the others take half a minute
    manifest = build_report([], tmp_path / "report", Report(figures=("svg",)), Inputs(reference=True))
    page = (tmp_path / "report" / "index.html").read_text()
    assert "<dd>27</dd>" in page
    assert page.count('class="keyed"') == 3  # all results, and medians on seen and unseen languages
    assert ">Coref. resolution \u00b7 winogrande \u00b7 xl \u00b7 validation \u00b7 EN \u00b7 Median acc.<" in page
    section = page[page.index('<section id="demonstration"') :]
    assert f"<strong>{NOTE}</strong>" in section
    assert page.count(NOTE) == section.count(NOTE)
    for row in demonstration_texts()["samples"]:
        assert escape(row["text"] or "(nothing)") in section
    figures = {path.stem for path in (tmp_path / "report" / "figures").iterdir()}
    without_font = {"samples"} if manifest.details else set()  # its prompts are in Chinese, too
    assert figures | without_font == {"code-samples", "samples", "composition", "loss"}


def test_a_second_build_does_nothing_and_new_results_redo_it(run_folder):
    out = run_folder / "report"
    build_report([run_folder], out, Report())
    before = (out / "index.html").stat().st_mtime_ns
    build_report([run_folder], out, Report())
    assert (out / "index.html").stat().st_mtime_ns == before
    build_report([run_folder], out, Report(title="Other"))
    assert ">Other</h1>" in (out / "index.html").read_text()


def test_the_same_run_gives_the_same_figures(run_folder):
    first = build_report([run_folder], run_folder / "a", Report())
    second = build_report([run_folder], run_folder / "b", Report())
    assert first.outputs == second.outputs


def test_a_run_without_results_still_has_a_report(run_folder):
    import shutil

    shutil.rmtree(run_folder / "results")
    build_report([run_folder], run_folder / "report", Report())
    assert "training examples" in (run_folder / "report" / "index.html").read_text()
    assert summary_lines(run_folder / "report") == ()


def test_the_summary_is_a_table_of_text(run_folder):
    build_report([run_folder], run_folder / "report", Report())
    lines = summary_lines(run_folder / "report")
    assert " ".join(lines[0].split()) == "suite held out metric items chance majority before after change cut reading"
    assert len(lines) == 3


def write_found(folder, mixture="f-mixture", data=None, seen=(True, False, False, False)):
    rows = np.arange(len(seen))
    found = Overlap(mixture, 13, data or {}, {"weekday/fr [test]": (rows, np.array(seen))})
    write_overlap(folder / OVERLAP, found)
    return folder


def read_results(report):
    with (report / "tables" / "results.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_overlap_that_was_found_is_joined(run_folder, tmp_path):
    found = write_found(tmp_path / "overlap")
    manifest = build_report([run_folder], run_folder / "report", Report(figures=("svg",)), Inputs(overlap=found))
    assert str(found / OVERLAP) in manifest.inputs  # so that a new one redoes the report
    accuracy, chrf = read_results(run_folder / "report")
    assert (accuracy["clean items"], accuracy["seen items"]) == ("6", "2")
    assert [value.partition(" [")[0] for value in accuracy["clean"].split(" / ")] == ["33.3", "66.7"]
    assert [value.partition(" [")[0] for value in accuracy["seen"].split(" / ")] == ["0.0", "100.0"]
    assert chrf["clean"] == "-"
    assert "clean items" in (run_folder / "report" / "index.html").read_text()
    assert not any("clean" in line for line in summary_lines(run_folder / "report"))


def test_a_run_brings_its_own_overlap(run_folder):
    write_found(run_folder / "overlap")
    (table, *_) = tables_of([run_folder], Inputs())
    assert dict(zip(table.columns, table.rows[0], strict=True))["seen items"] == "2"


def test_overlap_of_other_data_or_another_mixture_is_refused(run_folder, tmp_path):
    with pytest.raises(ConfigError, match=r"was computed for a mixture other than .*mixture; run `xmtf analyze contam"):
        tables_of([run_folder], Inputs(overlap=write_found(tmp_path / "a", mixture="other")))
    for label in ("before", "after"):
        path = run_folder / "results" / label / "scores.jsonl"
        write_jsonl(path, [score | {"hashes": {"data": "ours"}} for score in read_jsonl(path)])
    other = write_found(tmp_path / "b", data={"weekday/fr [test]": "theirs"})
    with pytest.raises(
        ConfigError, match=r"was computed on data of weekday/fr \[test\] other than those of the results of be"
    ):
        tables_of([run_folder], Inputs(overlap=other))
    with pytest.raises(ConfigError, match="covers none of the rows of these results"):
        tables_of([run_folder], Inputs(overlap=write_found(tmp_path / "c", seen=(True,))))
    with pytest.raises(SourceError, match=r"has no overlap\.parquet"):
        tables_of([run_folder], Inputs(overlap=tmp_path / "nothing"))


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(SourceError, match="not a run folder"):
        collect_run(tmp_path)


def test_every_table_has_square_rows(run_folder):
    run = collect_run(run_folder)
    for table in [*composition_tables(run), *result_tables(run.results)]:
        assert {len(row) for row in table.rows} <= {len(table.columns)}
        assert len(table.numeric) == len(table.columns)


def test_no_changed_answer_is_no_measurable_change(run_folder):
    import shutil

    results = run_folder / "results"
    shutil.rmtree(results / "before")
    shutil.copytree(results / "after", results / "before")
    accuracy, _ = compare(collect_run(run_folder).results)
    assert accuracy.change.value == 0
    assert accuracy.change.low < 0 < accuracy.change.high
    assert verdict(accuracy).startswith("no measurable change")
