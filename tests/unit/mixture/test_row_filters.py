"""Languages that rows say themselves, and row filters: what a mixture takes, and why it leaves the others out."""

import json

import pytest

from xmtf.errors import ConfigError, SourceError, TemplateError, UnknownNameError
from xmtf.mixture import build_mixture
from xmtf.mixture.io.read import read_mixture
from xmtf.mixture.plan.plan import plan_mixture
from xmtf.recipe import load_recipe

PLAIN = """\
templates:
  1: !Template {answer_choices: null, id: "1", jinja: "{{inputs}} ||| {{targets}}", name: plain, reference: "",
     metadata: !TemplateMetadata {choices_in_prompt: false, languages: [en], metrics: [], original_task: true}}
"""
ASKED = (
    PLAIN
    + """\
  2: !Template {answer_choices: null, id: "2", jinja: "Answer: {{inputs}} ||| {{targets}}", name: worded, reference: "",
     metadata: !TemplateMetadata {choices_in_prompt: false, languages: [en], metrics: [], original_task: true}}
"""
)
RECIPE = """\
name: rows
run_folder: {folder}/run
execution: {{engine: inline}}
own_tasks:
  - {{id: mine, path: rows.jsonl, templates: plain.yaml, language_column: code}}
mixture:
  tasks: [{{tasks: [mine]}}]
  validation_fraction: 0
model: {{architecture: bloom, hidden_size: 8, num_layers: 1, num_heads: 1}}
training: {{steps: 1}}
"""
CODES = ["fra", "swh", "deu_Latn", "Frensh", None, "zho_Hant"]


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.setenv("XMTF_PROGRESS", "off")
    rows = [
        {"code": CODES[n % 6], "inputs": f"in {n}", "targets": f"out {n}", "score": n / 60, "tags": ["a", f"t{n % 3}"],
         "meta": {"site": "wiki" if n % 2 else "forum"}, "votes": None if n % 5 == 0 else n, "gold": n % 4 == 0}
        for n in range(60)
    ]  # fmt: skip
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "plain.yaml").write_text(PLAIN)
    (tmp_path / "asked.yaml").write_text(ASKED)
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.format(folder=tmp_path))
    return lambda *overrides: load_recipe(path, overrides)


def built(loaded, out):
    manifest = build_mixture(loaded, out)
    rows = [row for table in read_mixture(out) for row in table.to_pylist()]
    return manifest.counts, rows


def numbers(where, recipe, out):
    counts, rows = built(recipe(f"mixture.tasks.0.where={where}", "mixture.failing_rows=1"), out)
    assert counts["in"] == 60 == counts["out"] + sum(counts["dropped"].values())
    return sorted(row["row"] for row in rows)


def test_each_row_is_in_the_language_of_its_column(recipe, tmp_path):
    counts, rows = built(recipe(), tmp_path / "mix")
    assert counts["languages"] == {"de": 10, "fr": 10, "sw": 10, "zh-Hant": 10}
    assert counts["dropped"] == {"no language": 10, "unknown language": 10}
    assert {(row["language"], row["prompt_language"]) for row in rows} == {
        (c, c) for c in ("de", "fr", "sw", "zh-Hant")
    }
    assert all(CODES[row["row"] % 6][:2] == row["language"][:2] for row in rows)
    manifest = json.loads((tmp_path / "mix" / "manifest.json").read_text())
    assert manifest["details"]["firsts"]["unknown language"]["row"] == 3
    assert "fr (French)" in manifest["details"]["firsts"]["unknown language"]["detail"]


def test_selected_and_held_out_languages_are_those_of_the_rows(recipe, tmp_path):
    counts, _ = built(
        recipe('mixture.tasks.0.languages=["fr", "sw", "zh*"]', "mixture.held_out.languages=[swa]"), tmp_path / "mix"
    )
    assert counts["languages"] == {"fr": 10, "zh-Hant": 10}
    assert counts["dropped"] == {
        "language is held out": 10, "language is not selected": 10, "no language": 10, "unknown language": 10,
    }  # fmt: skip
    with pytest.raises(UnknownNameError, match="qqq"):
        plan_mixture(recipe("mixture.tasks.0.languages=[qqq*]"))


def test_prompts_in_the_language_of_the_row_have_no_words_or_its_own(recipe, tmp_path):
    same = recipe("own_tasks.0.templates=asked.yaml", "mixture.tasks.0.prompt_languages=[same]")
    counts, _ = built(same, tmp_path / "mix")
    assert counts["templates"] == {"mine: plain": 40}
    assert counts["dropped"]["prompt in another language"] == 40
    counts, _ = built(recipe("own_tasks.0.templates=asked.yaml"), tmp_path / "both")
    assert counts["templates"] == {"mine: plain": 40, "mine: worded": 40}


def test_a_column_of_something_else_stops_the_build(recipe, tmp_path):
    with pytest.raises(TemplateError, match=r"unknown language on 60 of 60 rows, first on row 0.*use ISO 639"):
        build_mixture(recipe("own_tasks.0.language_column=targets"), tmp_path / "mix")
    with pytest.raises(SourceError, match="language_column 'score' is of type double; give a column of texts"):
        build_mixture(recipe("own_tasks.0.language_column=score"), tmp_path / "mix")
    with pytest.raises(SourceError, match="unknown column 'codes'; did you mean 'code'"):
        build_mixture(recipe("own_tasks.0.language_column=codes"), tmp_path / "mix")


def test_a_suite_in_a_language_that_rows_may_have_is_not_held_out(recipe, tmp_path):
    suite = (
        "evaluation.suites=[{name: s, axis: languages, tasks: [{tasks: [cldr-kinds/sw]}]}]",
        "mixture.tasks.0.languages=[fr, sw]",
    )
    with pytest.raises(ConfigError, match="is of language 'sw', which mine trains on"):
        plan_mixture(recipe(*suite))
    assert plan_mixture(recipe(*suite, "mixture.held_out.languages=[sw]")).suites[0].held_out[2] == "languages"


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ("{score: {ge: 0.8}}", lambda n: n >= 48),
        ("{votes: {gt: 10, le: 20}}", lambda n: n % 5 and 10 < n <= 20),
        ("{code: [fra, swh]}", lambda n: n % 6 < 2),
        ("{not: {code: fra}}", lambda n: n % 6),
        ("{votes: null}", lambda n: n % 5 == 0),
        ("{votes: {ne: 7}}", lambda n: n % 5 and n != 7),
        ("{not: {votes: 7}}", lambda n: n != 7),
        ("{gold: true, meta.site: forum}", lambda n: n % 4 == 0),
        ("{any: [{votes: {lt: 6}}, {score: {ge: 0.9}}]}", lambda n: (n % 5 and n < 6) or n >= 54),
        ("{tags: {contains: t1}}", lambda n: n % 3 == 1),
        ("{inputs: {length: 4}, targets: {ends: '1'}}", lambda n: n == 1),
        ("{inputs: {matches: '^in [0-4]$'}}", lambda n: n < 5),
        ("{code: {ge: swh}}", lambda n: n % 6 in (1, 5)),
    ],
)  # fmt: skip
def test_a_filter_takes_the_rows_that_fulfil_it(recipe, tmp_path, where, kept):
    codes = [n for n in range(60) if n % 6 not in (3, 4)]
    assert numbers(where, recipe, tmp_path / "mix") == [n for n in codes if kept(n)]


def test_what_a_filter_leaves_out_is_counted_with_its_first_value(recipe, tmp_path):
    counts, _ = built(
        recipe("mixture.tasks.0.where={score: {ge: 0.5}, gold: true}", "own_tasks.0.where={code: [fra, swh]}"),
        tmp_path / "mix",
    )
    assert counts["dropped"] == {
        "no language": 10, "unknown language": 10, "row filter code: [fra, swh]": 20, "row filter gold: true": 8,
        "row filter score: {ge: 0.5}": 10,
    }  # fmt: skip
    firsts = json.loads((tmp_path / "mix" / "manifest.json").read_text())["details"]["firsts"]
    assert firsts["row filter score: {ge: 0.5}"]["detail"] == "score is '0.0'"


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("{scor: 1}", "unknown column 'scor'; did you mean 'score'?"),
        ("{meta.page: 1}", "column 'meta' has no field 'page'"),
        ("{score: high}", "'high' is a text, and the column is of type double"),
        ("{code: {ge: 3}}", "3 is a number, and the column is of type string .such as 'fra'"),
        ("{gold: {lt: x}}", "'x' is a text, and the column is of type bool"),
        ("{score: {contains: x}}", "compares texts or lists, and the column is of type double"),
        ("{code: {matches: '(?=x)'}}", "is not a valid RE2 pattern"),
        ("{meta: 1}", "is a number, and the column is of type struct"),
    ],
)
def test_a_filter_that_does_not_fit_the_rows_is_one_line(recipe, tmp_path, where, said):
    with pytest.raises(SourceError, match=said) as caught:
        build_mixture(recipe(f"mixture.tasks.0.where={where}"), tmp_path / "mix")
    assert "mine [train]" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("{score: {gte: 1}}", "unknown comparison 'gte'; did you mean 'ge'"),
        ("{score: {}}", "has no comparison"),
        ("{}", "has no condition"),
        ("{code: []}", "the list is empty"),
        ("{not: 3}", "where.not: give a mapping"),
        ("{any: {a: 1}}", "where.any: give a list"),
        ("{score: {ge: null}}", "give a number or a text"),
        ("{code: {length: long}}", "give a whole number"),
        ("{code: [[a]]}", "give a text, a number"),
    ],
)
def test_a_filter_that_is_none_is_refused_when_the_recipe_is_read(recipe, where, said):
    with pytest.raises(ConfigError, match=said):
        recipe(f"mixture.tasks.0.where={where}")


def test_rows_are_filtered_before_they_are_limited_also_in_pieces(recipe, tmp_path, monkeypatch):
    wanted = ("mixture.tasks.0.where={score: {ge: 0.25}}", "mixture.tasks.0.limit_rows=12", "mixture.cap_examples=11")
    whole, rows = built(recipe(*wanted), tmp_path / "whole")
    assert whole["out"] == 11
    assert all(row["row"] >= 15 for row in rows)
    monkeypatch.setattr("xmtf.sources.stream.STREAMED_BYTES", 1)
    monkeypatch.setattr("xmtf.tasks.prompting.pieces._PIECE_ROWS", 7)
    monkeypatch.setattr("xmtf.sources.files.json_tables._BLOCK_ROWS", 5)
    assert built(recipe(*wanted), tmp_path / "pieces") == (whole, rows)
    unlimited = wanted[:1]
    pieces = built(recipe(*unlimited), tmp_path / "more")
    monkeypatch.setattr("xmtf.sources.stream.STREAMED_BYTES", 2**30)
    assert built(recipe(*unlimited), tmp_path / "most") == pieces


def test_filters_are_part_of_what_a_mixture_is(recipe):
    prints = [
        plan_mixture(recipe(*overrides)).fingerprint
        for overrides in (
            (),
            ("mixture.tasks.0.where={gold: true}",),
            ("own_tasks.0.where={gold: true}",),
            ("mixture.tasks.0.where={gold: false}",),
            ("own_tasks.0.language_column=targets",),
        )
    ]
    assert len(set(prints)) == len(prints)


def test_several_files_of_a_task_are_read_in_order_as_one(recipe, tmp_path, monkeypatch):
    lines = (tmp_path / "rows.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "one.jsonl").write_text("".join(lines[:25]))
    (tmp_path / "two.jsonl").write_text("".join(lines[25:]))
    whole = built(recipe(), tmp_path / "whole")
    assert built(recipe("own_tasks.0.path=[one.jsonl, two.jsonl]"), tmp_path / "both") == whole
    monkeypatch.setattr("xmtf.sources.stream.STREAMED_BYTES", 1)
    monkeypatch.setattr("xmtf.tasks.prompting.pieces._PIECE_ROWS", 7)
    assert built(recipe("own_tasks.0.path=[one.jsonl, two.jsonl]"), tmp_path / "pieces") == whole
    with pytest.raises(SourceError, match=r"three.jsonl: no such file"):
        build_mixture(recipe("own_tasks.0.path=[one.jsonl, three.jsonl]"), tmp_path / "none")
