"""Mistakes that people make in data and templates, each with its right outcome: a counted drop, one line, or right.

``BUILDS`` are tiny builds. ``ELSEWHERE`` names the tests that hold what takes more than a build.
"""

import ast
import gzip
import json
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xmtf.artefacts.manifest_parts import MixtureDetails
from xmtf.errors import DataError, UserError
from xmtf.mixture import build_mixture
from xmtf.recipe import load_recipe
from xmtf.tasks import DropReport

TEMPLATE = """  "{number}": !Template {{answer_choices: {choices}, id: "{number}", jinja: {jinja}, name: {name},
    reference: "",
    metadata: !TemplateMetadata {{choices_in_prompt: false, languages: [en], metrics: [], original_task: true}}}}
"""
RECIPE = """
name: mistakes
own_tasks: [{own}]
mixture: {mixture}
model: {{base: none}}
training: {{steps: 1}}
execution: {{engine: inline}}
"""
ASK = "Say {{text}}: ||| {{answer}}"
LABEL = "Is it {{text}}? ||| {{answer_choices[label]}}"


def rows(*more, **fields):
    """Return ten good rows and some others; ``fields`` stand in the good ones too, ``*`` gets the number of the row."""
    good = [{"text": f"t{n}", "answer": f"a{n}", "label": n % 2} for n in range(10)]
    for row, number in zip(good, range(10), strict=True):
        for name, value in fields.items():
            row[name] = value.replace("*", str(number)) if isinstance(value, str) else value
    return [*good, *more]


@dataclass(frozen=True)
class Case:
    """One mistake.

    Attributes:
        rows: Rows of a JSONL file, its lines, the bytes of a file, or columns of a Parquet file.
        jinja: The template, or several by name.
        choices: Answer choices.
        own: More keys of the own task.
        mixture: More keys of the mixture.
        file: Name of the file.
        kept: Examples of the mixture, where it is built.
        dropped: Its drops.
        said: Part of a line that the build prints, or of the error.
        text: One of the inputs or targets.
    """

    rows: object
    jinja: object = ASK
    choices: str | None = None
    own: dict = field(default_factory=dict)
    mixture: dict = field(default_factory=dict)
    file: str = "rows.jsonl"
    kept: int | None = None
    dropped: dict = field(default_factory=dict)
    said: str = ""
    text: str | None = None


def built(*args, kept=10, **kwargs):
    """Return a case whose mixture is built, by default with ten examples."""
    return Case(*args, kept=kept, **kwargs)


def table(values, kind=None):
    """Return the columns of a Parquet file: ``text``, and ``v`` with these values."""
    return {"text": [f"t{n}" for n in range(len(values))], "v": pa.array(values, kind)}


PRINT = "Say {{text}} {{v}}: ||| yes {{text}}"
PARQUET = {"file": "rows.parquet", "jinja": PRINT}
RANK = {"kind": "rank"}
LABELS = {"jinja": LABEL, "choices": "yes ||| no"}
CSV = {"file": "rows.csv", "kept": 2}
LINES = '{"text": "a", "answer": "1"}\n{"text": "b", "answer": "2"}\n'

BUILDS = {
    # values that are not there
    "null-and-absent-target": built(
        rows({"text": "b", "answer": None}, {"text": "c"}), dropped={"null target": 2}, said="row 10"
    ),
    "null-field-printed": built(
        rows({"text": None, "answer": "x"}), dropped={"null in the inputs": 1}, said="'text' is null"
    ),
    "null-choice": built(
        rows({"text": "c", "label": 0, "a": None}, a="p", b="q"),
        LABEL,
        "{{a}} ||| {{b}}",
        RANK,
        dropped={"null answer choice": 1},
    ),
    "empty-csv-cell": built("text,answer\na,x\nb,\n", kept=1, file="rows.csv", dropped={"empty target": 1}),
    "text-filter-of-null": built(
        rows({"text": None, "answer": "x"}), "Say {{text | upper}}: ||| {{answer}}", dropped={"null in the inputs": 1}
    ),
    "null-in-concatenation": built(
        rows({"text": None, "answer": "x"}), "Say {{'a' ~ text}}: ||| {{answer}}", dropped={"null in the inputs": 1}
    ),
    "null-in-a-list-printed-whole": built(
        rows({"text": "c", "answer": "x", "l": [None]}, l=["a"]),
        "{{l}} {{text}}: ||| {{answer}}",
        dropped={"null in the inputs": 1},
    ),
    "or-empty-is-meant": built(rows({"text": None, "answer": "x"}), "Say {{text or ''}}: ||| {{answer}}", kept=11),
    "nulls-empty": built(rows({"text": None, "answer": "x"}), own={"nulls": "empty"}, kept=11, text="Say :"),
    "nulls-error": Case(
        rows({"text": None, "answer": "x"}),
        own={"nulls": "error"},
        said="null in the inputs on 1 of 11 rows, first on row 10",
    ),
    "most-rows-are-null": Case(rows(answer=None), said="null target on 10 of 10 rows"),
    "legacy-prints-what-the-original-printed": built(
        rows({"text": None, "answer": "x"}), mixture={"mode": "legacy"}, kept=11, text="Say None:"
    ),
    # labels and answer choices
    "hidden-labels": built(
        rows({"text": "n", "label": -1}, {"text": "m", "label": -2}), **LABELS, dropped={"negative label": 2}
    ),
    "label-out-of-range": built(
        rows({"text": "n", "label": 2}), **LABELS, dropped={"label out of range": 1}, said="of 2 answer choices"
    ),
    "null-label": built(rows({"text": "n", "label": None}), **LABELS, dropped={"null label": 1}),
    "label-as-text": Case(
        rows(label="1"),
        **LABELS,
        said="label is no whole number on 10 of 10 rows, first on row 0: the label is '1', a str",
    ),
    "label-as-truth": Case(rows(label=True), **LABELS, said="the label is True, a bool"),
    "label-as-half": Case(rows(label=0.5), **LABELS, said="the label is 0.5, a float"),
    "label-as-whole-float": built(rows(label=1.0), **LABELS, said="whole float"),
    "label-column-that-never-picks": Case(
        rows(), "Is it {{text}}? ||| {{answer_choices[answer]}}", "yes ||| no", said="the values of 'label' do"
    ),
    "labels-from-one": Case(
        [{"text": f"t{n}", "label": n % 2 + 1} for n in range(10)],
        **LABELS,
        said="template 't': the column 'label' counts from 1: its values are 1, 2, but there are 2 answer choices "
        "('yes', 'no'), counted from 0, so that 1 picks 'no' and 2 picks none; write answer_choices[label - 1]",
    ),
    "labels-from-one-as-text-in-a-field": Case(
        [{"text": f"t{n}", "d": {"label": str(n % 3 + 1)}} for n in range(9)],
        "{% set l = d.label | int %}Is it {{text}}? ||| {{['a', 'b', 'c'][l]}}",
        said="the column 'd.label' counts from 1: its values are 1, 2, 3",
    ),
    "labels-from-one-taken-as-such": built(
        [{"text": f"t{n}", "label": n % 2 + 1} for n in range(10)],
        "Is it {{text}}? ||| {{answer_choices[label - 1]}}",
        "yes ||| no",
    ),
    "label-into-a-list": built(
        rows({"text": "n", "label": -1}), "Is it {{text}}? ||| {{['yes', 'no'][label]}}", dropped={"negative label": 1}
    ),
    "labels-error": Case(
        rows({"text": "n", "label": -1}), **LABELS, own={"labels": "error"}, said="negative label on 1 of 11 rows"
    ),
    "empty-choice": Case(rows(), LABEL, "yes ||| no |||", RANK, said="empty answer choice on 10 of 10 rows"),
    "empty-choice-of-a-loop": Case(
        rows(o=["yes", "no"]), LABEL, "{% for c in o %}{{c}}|||{% endfor %}", RANK, said="empty answer choice"
    ),
    "equal-choices": Case(rows(), LABEL, "yes ||| yes", RANK, said="equal answer choices"),
    "one-choice": Case(rows(label=0), LABEL, "yes", RANK, said="fewer than two answer choices"),
    "target-outside": Case(
        rows(),
        "Is it {{text}}? ||| {{['ja', 'nein'][label]}}",
        "yes ||| no",
        RANK,
        said="the target is 'ja', the choices are 'yes', 'no'",
    ),
    "choices-of-generation-are-noted": built(
        rows(),
        "Is it {{text}}? ||| {{['ja', 'nein'][label]}}",
        "yes ||| no",
        said="target is not among the answer choices on 10 rows",
    ),
    # names, and what is no text
    "keys-win-over-methods": built(
        rows(d={"values": "V", "items": "I"}), "{{text}} {{d.values}} {{d.items}} ||| {{answer}}", text="t3 V I"
    ),
    "columns-win-over-functions": built(
        rows(range="R", zip="Z", namespace="N", self="S"),
        "{{text}} {{range}}{{zip}}{{namespace}}{{self}} ||| {{answer}}",
        text="t3 RZNS",
    ),
    "generator": Case(rows(), "{{ [text] | map('upper') }} ||| {{answer}}", said="NotTextError: 'text' is a generator"),
    "function": Case(rows(), "{{text}} {{ range }} ||| {{answer}}", said="'range' is a function"),
    "method": Case(rows(), "{{ text.upper }} ||| {{answer}}", said="not text; call the method with ()"),
    "address-in-legacy": Case(
        rows(),
        "{{text}} {{ [text] | map('upper') }} ||| {{answer}}",
        mixture={"mode": "legacy"},
        said="address of an object in the text on 10 of 10 rows",
    ),
    "number-that-is-none": Case(
        rows(), "{{text}} {{ '1e400' | float | int }} ||| {{answer}}", said="null in the inputs"
    ),
    "number-too-large": Case(rows(), "{{text}} {{ 1e400 }} ||| {{answer}}", said="a number is too large"),
    "list-printed-whole": built(
        rows(l=["ja", "nein"]), "{{text}} {{l}} ||| {{answer}}", said="prints 'l' whole, as a Python list"
    ),
    "mapping-joined-whole": built(
        rows(l=[{"a": 1}]), "{{text}} {{l | join}} ||| {{answer}}", said="whole, as a Python dict"
    ),
    "names-twice": Case(rows(), {"a": ASK, "a ": ASK}, said="2 templates with the name 'a'"),
    "nested-typo": Case(
        rows(ex={"text": "q*"}),
        "Say {{ex.txet}}: ||| {{answer}}",
        said="reads 'ex.txet', which the rows do not have; did you mean 'ex.text'",
    ),
    "typo-beside-default": Case(rows(), "{{x | default('')}}{{txt}}: ||| {{answer}}", said="did you mean 'text'"),
    "inputs-nearly-all-equal": built(
        rows(), "Say it: ||| {{answer}}", said="the inputs are the same on 10 of the first 10 rows"
    ),
    "no-prompt-in-the-language": Case(
        rows(), mixture={"prompt": ["fr"]}, said="no template of its tasks (mine, ...) matches"
    ),
    "metric-of-another-kind": Case(
        rows(), own={"kind": "rank", "metrics": ["bleu"]}, said="a task of kind 'rank' has no 'bleu'"
    ),
    "misspelt-metric": Case(rows(), own={"metrics": ["exact_mach"]}, said="did you mean 'exact_match'"),
    # text
    "latin-1": Case(
        b'{"text": "caf\xe9", "answer": "1"}\n',
        said="rows.jsonl: line 1 is not UTF-8 text (byte 0xe9); save it as UTF-8",
    ),
    "utf-16": Case(LINES.encode("utf-16"), said="is UTF-16 text; save it as UTF-8"),
    "latin-1-csv": Case("text,answer\ncaf\xe9,1\n".encode("latin-1"), file="rows.csv", said="line 2 is not UTF-8 text"),
    "byte-order-mark": built(b"\xef\xbb\xbf" + LINES.encode(), kept=2),
    "half-of-a-character": Case(
        [*LINES.splitlines(), '{"text": "\\ud800", "answer": "3"}'], said="line 3 contains half a character"
    ),
    "target-without-a-glyph": built(
        rows({"text": "z", "answer": "\u200b"}, {"text": "y", "answer": " \u2060"}), dropped={"empty target": 2}
    ),
    "special-tokens-are-text": built(rows(answer="It says </s> twice *."), text="It says </s> twice 3."),
    "key-twice": Case(['{"text": "a", "text": "b", "answer": "1"}'], said="line 1: the key 'text' occurs twice"),
    # spreadsheets
    "semicolons": built("text;answer\na;1\nb;2\n", **CSV, text="Say a:"),
    "semicolons-and-mark": built(b"\xef\xbb\xbftext;answer\r\na;1\r\nb;2\r\n", **CSV, text="Say a:"),
    "sep-line": built("sep=;\ntext;answer\na;1\nb;2\n", **CSV, text="Say a:"),
    "bars": built("text|answer\na|1\nb|2\n", **CSV, text="Say a:"),
    "spaces-around-names": built(" text , answer \na,1\nb,2\n", **CSV, text="Say a:"),
    "cells-stay-text": built("text,answer\n007,2024-01-01\nNA,true\n", **CSV, text="Say 007:"),
    "utf-16-of-spreadsheets": Case(
        "text\tanswer\na\t1\n".encode("utf-16"), file="rows.csv", said="is UTF-16 text; save it as UTF-8"
    ),
    # types
    "string-view": built(table(["a", "b"], pa.string_view()), **PARQUET, kept=2, text="Say t1 b:"),
    "bytes": Case(table([b"a", b"b"]), **PARQUET, said="the column 'v' holds bytes (binary)"),
    "not-a-number": built(
        table([float("nan"), float("inf"), 1.5, 2.5]), **PARQUET, kept=2, dropped={"null in the inputs": 2}
    ),
    "float32": built(table([0.1, 0.3], pa.float32()), **PARQUET, kept=2, text="Say t0 0.1:"),
    "map": built(
        table([[("k", "a")], [("k", "b")]], pa.map_(pa.string(), pa.string())),
        "Say {{v.k}}: ||| yes {{text}}",
        file="rows.parquet",
        kept=2,
        text="Say b:",
    ),
    "whole-numbers-beside-decimals": Case(
        ['{"text": "a", "answer": 1}', '{"text": "b", "answer": 1.5}'], said="line 1: 1, line 2: 1.5"
    ),
    "long-whole-number": Case(
        ['{"text": "a", "answer": 123456789012345678901234567890}'], said="line 1: column 'answer' holds 1234567890"
    ),
    "mixed-types": Case(
        ['{"text": "a", "answer": 1}', '{"text": "b", "answer": "x"}'],
        said="line 1 has a number (1), line 2 has text ('x')",
    ),
    # files
    "json-array": built(json.dumps([{"text": "a", "answer": "1"}]), file="rows.json", kept=1),
    "json-of-one-object": Case(
        json.dumps({"text": "a"}, indent=1),
        file="rows.json",
        said="contains an array of objects, or one object per line",
    ),
    "ndjson": built(LINES, file="rows.ndjson", kept=2),
    "gzip-of-two": built(
        gzip.compress(LINES.encode()) + gzip.compress(LINES.encode()),
        file="rows.jsonl.gz",
        kept=2,
        dropped={"duplicate": 2},
    ),
    "cut-gzip": Case(gzip.compress(LINES.encode())[:-9], file="rows.jsonl.gz", said="copy or compress it again"),
    "unknown-kind": Case(LINES, file="rows.txt", said="not a kind of file that can be read"),
    "no-rows": Case("", said="has no rows"),
    # names that lead elsewhere
    "split-outside": Case(rows(), own={"split": "../../x"}, said="is not a name but a path that leads elsewhere"),
    "id-outside": Case(rows(), own={"id": "../../x"}, said="is not a name but a path that leads elsewhere"),
    "device": Case(None, own={"path": "/dev/zero"}, said="/dev/zero: no such file"),
}

ELSEWHERE = {
    "templates of strangers hold no address": ("unit/templates/test_random_templates.py", ""),
    "two builds have the same bytes": ("unit/mixture/test_same_bytes.py", ""),
    "own tasks are linted": (
        "unit/templates/test_template_cli.py",
        "test_own_tasks_of_a_recipe_are_linted_on_their_rows",
    ),
    "evaluations drop what mixtures drop": (
        "unit/tasks/test_fitness.py",
        "test_evaluations_drop_what_mixtures_drop_and_say_so",
    ),
    "templates of one id": ("unit/tasks/test_prompted.py", "test_two_templates_of_one_name_or_id_are_refused"),
    "promptsource's rule": (
        "unit/tasks/test_prompted.py",
        "test_of_promptsource_templates_of_one_name_the_last_counts",
    ),
    "tasks that vanish": (
        "unit/tasks/test_selection.py",
        "test_tasks_without_a_prompt_in_the_languages_asked_for_are_listed_or_an_error",
    ),
    "a missing subset": (
        "unit/sources/test_read.py",
        "test_a_file_of_all_subsets_is_read_for_one_only_where_the_catalogue_says_so",
    ),
    "rows are validated or trained on": (
        "unit/mixture/test_validation.py",
        "test_a_row_is_trained_on_or_validated_on_never_both",
    ),
    "a Latin-1 prompted folder": ("unit/mixture/plan/test_prompted_rows.py", "test_what_cannot_be_read_is_one_line"),
    "blank targets of prompted folders": (
        "unit/mixture/plan/test_prompted_rows.py",
        "test_a_target_of_which_nothing_is_seen_is_an_empty_target",
    ),
    "files that are passed by": (
        "unit/mixture/plan/test_prompted_rows.py",
        "test_files_that_are_not_read_are_named_and_other_kinds_are_read",
    ),
    "marks in other rooms": ("unit/sources/test_text_files.py", "test_texts_of_other_rooms_are_named_by_line"),
    "records of 40 MB": ("unit/sources/test_text_files.py", "test_records_of_any_size_are_read"),
    "special tokens": (
        "unit/tokens/tokenizer/test_special_texts.py",
        "test_no_special_id_comes_of_a_text_and_its_characters_stay",
    ),
    "every spelling of a language": (
        "unit/core/test_languages.py",
        "test_every_spelling_of_a_language_gives_one_code",
    ),
    "aliases are left out": (
        "unit/core/test_languages.py",
        "test_aliases_are_the_same_language_and_members_are_relatives",
    ),
    "relatives are named": (
        "unit/mixture/plan/test_prompted.py",
        "test_relatives_of_held_out_languages_that_stay_are_named",
    ),
    "English names of languages": ("unit/core/test_languages.py", "test_an_english_name_gives_its_code"),
    "a mixture with Norwegian loads": (
        "unit/mixture/describe/test_card.py",
        "test_readers_of_yaml_1_1_take_text_for_text",
    ),
    "native prompts without a suffix": (
        "unit/templates/test_prompt_language.py",
        "test_the_script_comes_before_the_metadata",
    ),
    "rows of suites under any prompt": (
        "unit/mixture/select/test_field_index.py",
        "test_no_planted_row_of_a_suite_passes",
    ),
    "copies in another file": (
        "unit/mixture/plan/test_held_out.py",
        "test_rows_copied_to_another_file_under_another_prompt_are_dropped",
    ),
    "thirteen Thai letters": (
        "unit/mixture/select/test_ngrams.py",
        "test_scripts_without_spaces_need_forty_characters",
    ),
    "items that cannot be measured": (
        "unit/analysis/test_cli_analyze.py",
        "test_nothing_is_said_of_the_texts_of_items_that_cannot_be_looked_for",
    ),
    "an axis that does not hold": (
        "unit/mixture/plan/test_held_out.py",
        "test_an_axis_that_does_not_hold_is_an_error_that_names_the_tasks",
    ),
    "datasets are held out": ("unit/mixture/plan/test_held_out.py", "test_datasets_are_held_out_by_pattern"),
    "own catalogues": ("unit/tasks/test_catalogue.py", "test_a_recipe_brings_its_catalogues_and_own_tasks"),
    "splits of any size": ("unit/mixture/test_pieces.py", "test_the_bytes_are_those_of_the_whole"),
    "columns of every type": ("unit/templates/test_unfit.py", "test_columns_of_every_type_are_read"),
    "types of every packing": ("unit/sources/test_text_files.py", "test_every_kind_is_read_alone_and_packed"),
    "separators": ("unit/sources/test_text_files.py", "test_the_separator_is_found"),
    "suites of one name": ("unit/recipe/test_load.py", "test_suites_of_one_name_are_refused"),
    "no row is validated twice": ("unit/training/loop/test_validation.py", "test_a_validation_reads_no_row_twice"),
    "a warmup longer than the run": (
        "unit/training/optim/test_schedule.py",
        "test_a_warm_up_that_is_longer_than_the_run_is_said",
    ),
    "one language under two codes": ("unit/tokens/rows/test_loader.py", "test_a_language_under_two_codes_is_one_line"),
    "reasons of drops": ("unit/mixture/test_reasons.py", "test_the_page_lists_every_reason_and_no_other"),
}


def write(folder, case):
    """Write the recipe of a case with its files."""
    path = folder / case.file
    if isinstance(case.rows, dict):
        pq.write_table(pa.table(case.rows), path)
    elif isinstance(case.rows, list):
        lines = [row if isinstance(row, str) else json.dumps(row) for row in case.rows]
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    elif case.rows is not None:
        path.write_bytes(case.rows if isinstance(case.rows, bytes) else case.rows.encode())
    templates = case.jinja if isinstance(case.jinja, dict) else {"t": case.jinja}
    written = [
        TEMPLATE.format(number=number, name=name, jinja=json.dumps(jinja), choices=json.dumps(case.choices))
        for number, (name, jinja) in enumerate(templates.items())
    ]
    (folder / "t.yaml").write_text("templates:\n" + "".join(written))
    own = {"id": "mine", "path": case.file, "templates": "t.yaml", "language": "en"} | case.own
    mixture = dict(case.mixture)
    selection = {"tasks": [own["id"]], "prompt_languages": mixture.pop("prompt", [])}
    mixture["tasks"] = [{key: value for key, value in selection.items() if value}]
    (folder / "r.yaml").write_text(RECIPE.format(own=json.dumps(own), mixture=json.dumps(mixture)))
    return folder / "r.yaml"


@pytest.mark.parametrize("name", BUILDS)
def test_a_mistake_has_its_outcome(name, tmp_path, monkeypatch):
    monkeypatch.setenv("XMTF_PROGRESS", "off")
    case, out = BUILDS[name], tmp_path / "mixture"
    recipe = write(tmp_path, case)
    if case.kept is None:
        with pytest.raises((UserError, DataError)) as refused:
            build_mixture(load_recipe(recipe), out)
        assert case.said in str(refused.value)
        assert "\n" not in str(refused.value)
        assert not out.exists()
        return
    manifest = build_mixture(load_recipe(recipe), out)
    assert (manifest.counts["out"], manifest.counts["dropped"]) == (case.kept, case.dropped)
    report = DropReport.of(MixtureDetails.of(manifest, out))
    lines = list(report.lines(manifest.counts["dropped"]))
    assert any(case.said in line for line in lines) or not case.said
    for reason in case.dropped.keys() - {"duplicate"}:
        assert any(line.startswith("dropped") and reason in line for line in lines)
    if case.text is not None:
        tables = [pq.read_table(part, columns=["inputs", "targets"]) for part in out.glob("language=*/*.parquet")]
        texts = [text for each in tables for column in each.columns for text in column.to_pylist()]
        assert case.text in texts


@pytest.mark.parametrize("mistake", ELSEWHERE)
def test_what_takes_more_than_a_build_is_held_by_a_test(mistake):
    path, name = ELSEWHERE[mistake]
    tree = ast.parse((Path(__file__).parents[1] / path).read_text(encoding="utf-8"))
    tests = [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    assert tests
    assert not name or name in tests
