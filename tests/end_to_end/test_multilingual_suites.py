"""Belebele-, Global-MMLU- and MGSM-shaped files in the hub's layout: fetched, asked with shots, reported."""

import json
import sys
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.hub.conftest import served
from tests.hub.repositories import CONVERTED, mirrored
from typer.testing import CliRunner

from xmtf.artefacts.manifest_parts import EvaluationDetails
from xmtf.cli.app import build_app
from xmtf.errors import DataError
from xmtf.evaluation.interchange.every_eval_ever import check_record
from xmtf.files import read_manifest
from xmtf.results.items import item_files
from xmtf.results.scores import read_scores
from xmtf.sources.sidecar import read_sidecar, write_sidecar

PUBLISHED = {
    "facebook/belebele": False,
    "CohereLabs/Global-MMLU": False,
    "juletxara/mgsm": True,
    "openlanguagedata/flores_plus": True,
}
"""Datasets of the hub, and whether it converted them."""
COMMITS = {"train": "a" * 40, "test": "b" * 40}
LANGUAGES = {"en": ("eng_Latn", "town"), "fr": ("fra_Latn", "ville")}
RECIPE = """
name: suites
offline: true
mixture: {tasks: [{tasks: [cldr-kinds/fr], catalogue: demo}]}
model: {architecture: bloom, hidden_size: 16, num_layers: 1, num_heads: 2}
training: {steps: 1}
evaluation:
  suites:
    - {name: reading, tasks: [{tasks: ["belebele/eng_Latn", "belebele/fra_Latn"]}], shots: {number: 1}}
    - {name: exams, tasks: [{tasks: ["global-mmlu/en", "global-mmlu/fr"]}], shots: {number: 2, choice: nearest}}
    - {name: exams, shown in English, tasks: [{tasks: ["global-mmlu/fr"]}], shots: {number: 2, language: en}}
    - {name: sums, tasks: [{tasks: ["mgsm/en", "mgsm/fr"]}], shots: {number: 1}}
    - {name: written, tasks: [{tasks: ["global-mmlu-written/en"]}]}
    - {name: both ways, tasks: [{tasks: ["flores-plus/eng_Latn-fra_Latn", "flores-plus/fra_Latn-eng_Latn"]}]}
  max_new_tokens: 4
  answer_after: "</think>"
""".replace("exams, shown in English,", '"exams, shown in English",')


def belebele(word, order):
    about = [{"link": f"https://example.org/{n // 2}", "question_number": n % 2 + 1} for n in range(6)]
    rows = [
        row
        | {"flores_passage": f"The {word} number {n} lies by a river.", "question": f"Where is {word} {n}?"}
        | {f"mc_answer{k}": f"{word} {k}" for k in range(1, 5)}
        | {"correct_answer_num": str(n % 4 + 1), "dialect": "x", "ds": "2023-05-03"}
        for n, row in enumerate(about)
    ]
    return rows[::order]


def mmlu(word, split, number):
    return [
        {"sample_id": f"geography/{split}/{n}", "subject": "geography", "question": f"Which {word} has {n} bridges?"}
        | {f"option_{letter}": f"{word} {letter} {n}" for letter in "abcd"}
        | {"answer": "ABCD"[n % 4]}
        for n in range(number)
    ]


def write(root, where, split, rows):
    (root / where).mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), root / where / f"{split}.parquet")


def run(verb, *arguments):
    result = CliRunner().invoke(build_app(verb), [verb, *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def measured(tmp_path_factory, tiny_model):
    tmp_path = tmp_path_factory.mktemp("suites")
    hub, mirror, recipe = tmp_path / "hub", tmp_path / "mirror", tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE)
    for place, (code, (variant, word)) in enumerate(LANGUAGES.items()):
        write(hub, f"facebook/belebele/{variant}", "test", belebele(word, 1 - 2 * place))
        write(hub, f"CohereLabs/Global-MMLU/{code}", "test", mmlu(word, "test", 5))
        write(hub, f"CohereLabs/Global-MMLU/{code}", "dev", mmlu(word, "dev", 6))
        for split in ("dev", "devtest"):
            rows = [{"id": n, "text": f"The {word} {n}.", "domain": "wikinews"} for n in range(3 + place)]
            write(hub, f"openlanguagedata/flores_plus/{variant}", split, rows[:: 1 - 2 * place])
        heading = {"en": "Question: ", "fr": "Question : "}[code]
        worked = [
            {"question": f"{heading}How many {n}?", "answer": f"Answer: it is {n}.", "answer_number": n} for n in (3, 4)
        ]
        write(hub, f"juletxara/mgsm/{code}", "train", worked)
        write(hub, f"juletxara/mgsm/{code}", "test", [row | {"question": f"{word}?", "answer": None} for row in worked])
    with pytest.MonkeyPatch.context() as patch:
        with served(tmp_path, patch) as server:
            commits = {}
            for dataset, converted in PUBLISHED.items():
                repository = server.add(mirrored(hub, dataset, converted=converted))
                commits[dataset] = repository.commit(CONVERTED if converted else "main")
            run("data", "fetch", recipe, "offline=false", "--to", mirror)
        patch.setenv("XMTF_DATA_ROOT", str(mirror))
        (tmp_path / "commits.json").write_text(json.dumps(commits))
        for file in (mirror / "juletxara/mgsm/en").glob("*.parquet"):
            write_sidecar(file, replace(read_sidecar(file), revision="main", commit=COMMITS[file.stem]))
        model = tiny_model(tmp_path / "model")
        run("evaluate", "run", recipe, "--model", model, "--out", tmp_path / "results", "--label", "tiny")
        run("report", "tables", tmp_path / "results", "--format", "md", "--out", tmp_path / "report")
    items = {
        (about.job.suite, about.job.provenance.task, about.job.provenance.template): table.to_pylist()
        for file in item_files(tmp_path / "results")
        for about, table in file.each_job()
    }
    return tmp_path, read_scores(tmp_path / "results" / "scores.jsonl"), items


def test_everything_that_the_suites_read_was_fetched(measured):
    folder, scores, items = measured
    splits = sorted(str(path.relative_to(folder / "mirror")) for path in (folder / "mirror").rglob("*.parquet"))
    assert [name for name in splits if name.endswith(("dev.parquet", "train.parquet"))] == [
        "CohereLabs/Global-MMLU/en/dev.parquet",
        "CohereLabs/Global-MMLU/fr/dev.parquet",
        "juletxara/mgsm/en/train.parquet",
        "juletxara/mgsm/fr/train.parquet",
    ]
    translated = [score for score in scores if score.suite == "both ways"]
    assert len(scores) - len(translated) == 2 * 5 + 2 * 5 + 5 + 2 * 3 + 2
    assert len(scores) == len(items)
    assert {score.provenance.task for score in translated} == {
        "flores-plus/eng_Latn-fra_Latn",
        "flores-plus/fra_Latn-eng_Latn",
    }
    for score in translated:  # the French sentence without an English one is left out of both
        rows = items["both ways", score.provenance.task, score.provenance.template]
        into = "ville" if score.provenance.task.endswith("fra_Latn") else "town"
        assert sorted((row["row"], *row["references"]) for row in rows) == [(n, f"The {into} {n}.") for n in range(3)]
        assert [metric.name for metric in score.metrics][:1] == ["chrf"]


def test_the_manifest_names_the_commits_of_what_was_asked_and_shown(measured):
    folder, _, _ = measured
    details = EvaluationDetails.of(read_manifest(folder / "results"), folder / "results")
    commits = json.loads((folder / "commits.json").read_text())
    known = {name: {each.commit for each in found} - {""} for name, found in details.versions.items()}
    assert known == {
        **{name: {commit} for name, commit in commits.items()},
        "juletxara/mgsm": {*COMMITS.values(), commits["juletxara/mgsm"]},
    }


def test_translations_have_one_row_and_shots_are_other_rows(measured):
    _, _, items = measured
    english, french = (items["reading", f"belebele/{name}_Latn", "comprehension test"] for name in ("eng", "fra"))
    by_row = {row["row"]: row["prompt"] for row in french}
    assert {row["row"] for row in english} == set(by_row)
    for row in english:
        shot, asked = row["prompt"].split("\n\n")[1], row["prompt"].split("\n\n")[-1]
        number = asked.partition("town number ")[2][0]
        assert f"ville number {number}" in by_row[row["row"]].split("\n\n")[-1]
        assert f"town number {number}" not in shot
    shown = items["exams, shown in English", "global-mmlu/fr", "exam paper"][0]["prompt"]
    assert (shown.count("Which town"), shown.count("Which ville")) == (2, 1)


def test_scores_say_what_was_shown_and_how_many_answers_there_are(measured):
    folder, scores, items = measured
    told = {score.suite: score.shots for score in scores if score.shots}
    assert {suite: (shots.number, shots.split, shots.choice, shots.lost) for suite, shots in told.items()} == {
        "reading": (1, "test", "fixed", 0),
        "exams": (2, "dev", "nearest", 0),
        "exams, shown in English": (2, "dev", "fixed", 0),
        "sums": (1, "train", "fixed", 0),
    }
    for score in scores:
        rows = items[score.suite, score.provenance.task, score.provenance.template]
        if score.kind == "generation":  # a tiny model ends no reasoning: no answer is found, and that is said
            assert score.unanswered == len(rows)
            assert all(row["text"] == "" and row["reasoning"] is not None for row in rows)
    page = "".join(path.read_text(encoding="utf-8") for path in (folder / "report").rglob("*.md"))
    assert "exams, shown in English" in page
    lines = (folder / "results" / "scores.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[0])["shots"]["number"] == 1


def test_a_program_of_the_users_judges_written_answers(measured, monkeypatch):
    folder, scores, _ = measured
    monkeypatch.setenv("XMTF_DATA_ROOT", str(folder / "mirror"))
    program = folder / "judge.py"
    program.write_text("import json, sys\nfor line in sys.stdin: print(len(json.loads(line)['source']))\n")
    command = f"length=command:{sys.executable} {program}"
    run("evaluate", "rescore", folder / "results", "--scorer", command, "--out", folder / "judged.jsonl")
    judged = [score for score in read_scores(folder / "judged.jsonl") if score.kind == "generation"]
    assert len(judged) == len([score for score in scores if score.kind == "generation"])
    for score in judged:
        metric = score.metrics[-1]
        assert (metric.name, metric.num_items) == ("scorer:length", score.metrics[0].num_items)
        if score.provenance.task == "mgsm/fr":
            assert metric.value == len("ville?")  # the question alone, not the prompt around it
            assert metric.signature.endswith("|source:question")


def test_results_become_records_of_every_eval_ever(measured):
    folder, scores, items = measured
    arguments = ("export", folder / "results", "--layout", "every-eval-ever", "--organization", "Us")
    run("evaluate", *arguments, "--model-id", "us/tiny", "--out", folder / "records")
    records = sorted((folder / "records").rglob("*.json"))
    records = [path for path in records if path.parent.parent.name == "us"]
    assert [path.relative_to(folder / "records").parts[1] for path in records] == sorted(
        {path.parts[-4] for path in records}
    )
    assert len(records) == len({score.suite for score in scores}) == 6
    for path in records:
        record = json.loads(path.read_text(encoding="utf-8"))
        results = record["evaluation_results"]
        suite = record["source_metadata"]["source_name"].removeprefix("xmtf, suite ")
        own = [score for score in scores if score.suite == suite]
        assert len(results) == sum(len(score.metrics) for score in own)
        assert [r["source_data"]["samples_number"] for r in results] == [m.num_items for s in own for m in s.metrics]
        if suite == "both ways":  # chrF is neither right nor wrong: no samples
            assert not path.with_name(f"{path.stem}_samples.jsonl").exists()
            continue
        lines = [json.loads(line) for line in path.with_name(f"{path.stem}_samples.jsonl").read_text().splitlines()]
        assert record["detailed_evaluation_results"]["total_rows"] == len(lines)
        assert len(lines) == sum(len(rows) for (name, *_), rows in items.items() if name == suite)
        assert {line["evaluation_id"] for line in lines} == {record["evaluation_id"]}
        assert {line["evaluation_result_id"] for line in lines} <= {r["evaluation_result_id"] for r in results}
    before = {path: path.read_bytes() for path in records}
    run("evaluate", *arguments, "--model-id", "us/tiny", "--out", folder / "records")
    assert {path: path.read_bytes() for path in records} == before


def test_a_record_that_breaks_the_schema_is_refused(measured):
    folder, _, _ = measured
    path = next(path for path in (folder / "records").rglob("*.json") if path.parent.parent.name == "us")
    for change in (
        lambda record: record.pop("evaluation_id"),
        lambda record: record["source_metadata"].update(evaluator_relationship="friend"),
        lambda record: record["evaluation_results"][0]["metric_config"].pop("max_score"),
        lambda record: record["evaluation_results"][0]["source_data"]["additional_details"].update(rows=3),
        lambda record: record["detailed_evaluation_results"].update(file_path="samples.jsonl"),
    ):
        record = json.loads(path.read_text(encoding="utf-8"))
        check_record(record)
        change(record)
        with pytest.raises(DataError, match="record of Every Eval Ever"):
            check_record(record)
