from dataclasses import replace

import pytest
from typer.testing import CliRunner

from xmtf.cli.app import build_app
from xmtf.errors import ConfigError, DataError, SourceError, UnknownNameError
from xmtf.files import write_jsonl
from xmtf.records import Metric, Provenance, Score
from xmtf.report.inputs import Inputs, parse_inputs
from xmtf.report.published import gather, published_tables


def score(dataset, subset, template, value, **more):
    metrics = more.pop("metrics", (Metric("accuracy", value, 0.0, 1.0, 1 / 3, 40),))
    asked = Provenance(
        subset, "en", "none", dataset, "natural language inference", dataset, subset, "validation", template
    )
    return Score("mine", "f", "s", "none", "rank", "bloomz", replace(asked, **more), "h", metrics)


def line(table, *names):
    (found,) = [row for row in table.rows if row[: len(names)] == names]
    return dict(zip(table.columns, found, strict=True))


def test_own_results_stand_on_the_lines_of_the_published_ones():
    scores = [score("facebook/xnli", "fr", name, value) for name, value in (("a", 0.5), ("b", 0.4), ("c", 0.9))]
    scores.append(score("facebook/anli", "plain_text", "a", 0.25, split="dev_r2"))
    scores.append(score("allenai/winogrande", "winogrande_xl", "a", 0.75, cluster="coreference resolution"))
    table = published_tables(gather({"mine": scores}, reference=True), Inputs(reference=True))[0]
    median = line(table, "NLI", "xnli", "fr", "validation", "EN", "Median acc.")
    assert (median["mine"], median["BLOOMZ"]) == ("50.00", "57.71")
    assert line(table, "NLI", "xnli", "fr", "validation", "EN", "Max acc.")["mine"] == "90.00"
    assert line(table, "NLI", "anli", "r2", "validation", "EN", "Median acc.")["mine"] == "25.00"
    assert line(table, "Coref. resolution", "winogrande", "xl", "validation", "EN", "Max acc.")["mine"] == "75.00"
    assert table.columns[-1] == "mine"
    assert len(table.rows) == 205


def test_a_part_of_a_set_is_said_to_be_one_and_is_never_the_best():
    scores = [score("facebook/xnli", "fr", "a", 0.5), score("facebook/xnli", "sw", "a", 0.5)]
    metrics = (Metric("pass@1", 1.0, 0.0, 1.0, None, 2),)
    program = score("openai/openai_humaneval", "", "a", 0, metrics=metrics, split="test", cluster="program synthesis")
    tables = {
        table.name: table
        for table in published_tables(gather({"mine": [*scores, program]}, reference=True), Inputs(reference=True))
    }
    assert tables["all-results"].notes[1:] == ("mine was evaluated on part of 3 sets only: 40 of 2,490 for xnli fr.",)
    code = tables["humaneval"]
    assert code.notes[1:] == ("mine was evaluated on part of 1 set only: 2 of 164 for openai_humaneval.",)
    best = {code.rows[row][0] for row, column in code.bold if column == 1}
    assert line(code, "mine")["Pass@1"] == "100.00"
    assert len(best) == 1
    assert "mine" not in best


def test_the_language_of_prompts_is_read_from_fields():
    scores = [
        score("facebook/xnli", "fr", "a", 0.1),
        score("facebook/xnli", "fr", "a", 0.2, prompt_language="fr", translation="machine"),
        score("facebook/xnli", "fr", "a", 0.3, prompt_language="fr", translation="human"),
        score("facebook/xnli", "fr", "Ask about the gemt", 0.5),
        score("facebook/xnli", "fr", "a", 0.6, prompt_language="es"),
        score("facebook/xnli", "fr", "a", 0.7, prompt_language="es", translation="machine"),
    ]
    results = gather({"mine": scores}, reference=False)
    found = {measure.prompt_language: results.cell("mine", measure).median for measure in results.measures}
    assert found == pytest.approx({"EN": 30.0, "MT": 20.0, "HT": 30.0, "es": 60.0, "es MT": 70.0})


def test_accuracies_of_other_harnesses_are_in_percent_too():
    metrics = (Metric("acc_norm", 0.4, None, None, None, 5),)
    results = gather({"theirs": [score("hellaswag", "", "a", 0.1, metrics=metrics)]}, reference=False)
    assert results.cell("theirs", results.measures[0]).median == pytest.approx(40.0)


def test_the_mean_over_prompts_needs_every_prompt():
    scores = [score("facebook/xnli", "fr", name, value) for name, value in (("a", 0.2), ("b", 0.2), ("c", 0.8))]
    tables = {table.name: table for table in published_tables(gather({"mine": scores}, reference=False), Inputs())}
    assert line(tables["prompt-languages"], "XNLI", "EN")["mine"] == "40.00"
    assert line(tables["prompt-medians"], "XNLI", "EN")["mine"] == "20.00"
    assert "prompt-languages-unseen" not in tables


def test_analyses_of_ones_own_stand_beside_the_published(tmp_path):
    path = tmp_path / "edit_distance.csv"
    path.write_text(
        "dataset,language,label,examples,mean_distance,median_distance\n"
        "facebook/xnli,th,entailment,830,79.0771,66\nfacebook/xnli,th,neutral,830,82.6373,70\n"
    )
    inputs = parse_inputs([f"edit-distance={path}"], reference=True)
    tables = {table.name: table for table in published_tables(gather({}, reference=True), inputs)}
    rows = [row for row in tables["edit-distances"].rows if row[1] == "th"]
    assert rows == [
        ("xnli", "th", "published", "830", "79.08", "82.64", "81.52"),
        ("xnli", "th", "own", "830", "79.08", "82.64", "-"),
    ]


def test_inputs_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(ConfigError, match="NAME=FILE"):
        parse_inputs(["samples"], reference=False)
    with pytest.raises(UnknownNameError, match="did you mean 'samples'"):
        parse_inputs(["sampels=x"], reference=False)
    bad = tmp_path / "bad.csv"
    bad.write_text("source,programs,mean_characters,mean_comments\nmine,4,many,1\n")
    with pytest.raises(DataError, match="mean_characters is 'many', not a number"):
        published_tables(gather({}, reference=False), parse_inputs([f"code={bad}"], reference=False))
    bad.write_text("source\nmine\n")
    with pytest.raises(SourceError, match="no column programs, mean_characters, mean_comments"):
        parse_inputs([f"code={bad}"], reference=False).own("code")
    lines = tmp_path / "samples.jsonl"
    write_jsonl(lines, [{"prompt": "a", "text": None}])
    with pytest.raises(DataError, match="line 1 needs text under prompt, text"):
        parse_inputs([f"samples={lines}"], reference=False).own("samples")


def test_the_verb_writes_tables_and_names_what_is_unknown(tmp_path):
    app = build_app("report")
    result = CliRunner().invoke(app, ["report", "tables", "--reference", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert {path.suffix for path in tmp_path.glob("[!.]*")} == {".csv", ".md", ".tex"}
    assert (tmp_path / "prompt-languages.tex").read_text().count(r"\textbf") == 18
    result = CliRunner().invoke(app, ["report", "tables", "--reference", "--name", "humanevals"])
    assert isinstance(result.exception, UnknownNameError)
    result = CliRunner().invoke(app, ["report", "tables"])
    assert isinstance(result.exception, SourceError)
