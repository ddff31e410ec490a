import json
import socket

import pyarrow.parquet as pq
import pytest

from xmtf.errors import ConfigError, DataError, SourceError, TemplateError, UnknownNameError, UserError
from xmtf.files import alone_in, read_jsonl, read_manifest
from xmtf.mixture import build_mixture, mixture_languages, plan_mixture, read_mixture
from xmtf.mixture.build import merge_mixture, run_work_tasks, work_folder, write_work_plan
from xmtf.mixture.describe.composition import read_composition
from xmtf.records import PROMPTED_COLUMNS


def examples(folder, language=None):
    return [row for table in read_mixture(folder, language=language) for row in table.to_pylist()]


def test_counts_add_up_and_every_drop_has_a_reason(recipe, tmp_path, verify_outputs):
    manifest = build_mixture(recipe(), tmp_path / "mixture")
    assert manifest.counts["in"] == 2 * 2 * 60
    assert manifest.counts["dropped"] == {"duplicate": 4, "stands in an evaluation suite": 6}
    assert manifest.counts["out"] == 230 == len(examples(tmp_path / "mixture"))
    assert manifest.counts["languages"] == {"fr": 118, "de": 112} == mixture_languages(tmp_path / "mixture")
    assert sum(count.examples for count in read_composition(tmp_path / "mixture")) == 230
    verify_outputs(tmp_path / "mixture")
    assert not work_folder(tmp_path / "mixture").exists()


def test_examples_keep_where_they_come_from(recipe, tmp_path):
    build_mixture(recipe(), tmp_path / "mixture")
    rows = {(row["template"], row["row"]): row for row in examples(tmp_path / "mixture", "fr")}
    assert rows["compare", 10] == {
        "inputs": "Is 1 larger than 0?",
        "targets": "yes",
        "choices": ["yes", "no"],
        "language": "fr",
        "prompt_language": "en",
        "translation": "none",
        "task": "sums-fr",
        "cluster": "arithmetic",
        "dataset": "sums-fr",
        "subset": "",
        "split": "train",
        "template": "compare",
        "row": 10,
    }
    assert rows["ask", 10]["choices"] is None


def test_the_first_of_equal_examples_stays(recipe, tmp_path):
    build_mixture(recipe(), tmp_path / "mixture")
    rows = {(row["template"], row["row"]) for row in examples(tmp_path / "mixture", "fr")}
    assert ("ask", 0) in rows
    assert ("ask", 59) not in rows


def test_parts_are_full_shuffled_and_in_plain_types(recipe, tmp_path):
    build_mixture(recipe(), tmp_path / "mixture")
    paths = sorted((tmp_path / "mixture" / "language=fr").iterdir())
    assert [path.name for path in paths] == ["part-00000.parquet", "part-00001.parquet", "part-00002.parquet"]
    assert [pq.read_metadata(path).num_rows for path in paths] == [40, 40, 38]
    assert pq.read_schema(paths[0]).names == list(PROMPTED_COLUMNS)
    assert {str(field.type) for field in pq.read_schema(paths[0])} == {"string", "int64", "list<element: string>"}
    first = pq.ParquetFile(paths[0]).read().to_pylist()
    assert {row["template"] for row in first} == {"ask", "compare"}
    assert [row["row"] for row in first] != sorted(row["row"] for row in first)


def test_without_deduplication_equal_examples_stay_apart(recipe, tmp_path):
    manifest = build_mixture(recipe("mixture.deduplicate=false"), tmp_path / "mixture")
    assert "duplicate" not in manifest.counts["dropped"]
    inputs = [row["inputs"] for row in examples(tmp_path / "mixture", "fr")]
    first, second = (number for number, text in enumerate(inputs) if text == "What is 0 plus 0?")
    assert second - first > 1


def test_a_sample_holds_as_many_as_asked_for(recipe, tmp_path):
    rates = ["mixture.rates.policy=proportional", "mixture.rates.max_examples=100"]
    manifest = build_mixture(recipe(*rates), tmp_path / "mixture")
    assert manifest.counts["out"] == 100 == len(examples(tmp_path / "mixture"))
    assert manifest.counts["languages"] == {"fr": 51, "de": 49}
    assert manifest.counts["dropped"]["not sampled"] == 130


def test_what_the_guard_found_is_listed(recipe, tmp_path):
    build_mixture(recipe(), tmp_path / "mixture")
    lines = list(read_jsonl(tmp_path / "mixture" / "overlap.jsonl"))
    assert len(lines) == 6
    assert {line["row"] for line in lines} == {11, 22, 33}
    assert lines[0]["evaluation"] == {"suite": "held out rows", "task": "held", "split": "test"}


def test_the_guard_reads_the_raw_rows_of_suites(recipe, tmp_path):
    rows = [{"a": "one two three four five six", "b": 1}, {"a": "seven", "b": 2}]
    (tmp_path / "fr.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "held.jsonl").write_text(json.dumps({"a": "zero one two three four five", "b": 9}) + "\n")
    text = (tmp_path / "templates.yaml").read_text().replace("a + b", "b").replace("a > b", "b > 1")
    (tmp_path / "templates.yaml").write_text(text)
    words = "mixture.held_out.overlap_words=5"
    manifest = build_mixture(recipe(words, "mixture.tasks.0.tasks=[sums-fr]"), tmp_path / "mixture")
    assert manifest.counts["dropped"] == {"shares 5 words with an evaluation suite": 2}
    axis = "evaluation.suites.0.axis=none"
    manifest = build_mixture(recipe(words, axis, "mixture.tasks.0.tasks=[sums-fr]"), tmp_path / "other")
    assert manifest.counts["dropped"] == {}


def test_the_guard_may_only_flag(recipe, tmp_path):
    manifest = build_mixture(recipe("mixture.held_out.overlap=flag"), tmp_path / "mixture")
    assert manifest.counts["overlaps"] == 6
    assert manifest.counts["languages"]["de"] == 118


def test_a_finished_mixture_is_not_built_again(recipe, tmp_path):
    first = build_mixture(recipe(), tmp_path / "mixture")
    before = (tmp_path / "mixture" / "manifest.json").stat().st_mtime_ns
    assert build_mixture(recipe("training.steps=7"), tmp_path / "mixture") == read_manifest(tmp_path / "mixture")
    assert (tmp_path / "mixture" / "manifest.json").stat().st_mtime_ns == before
    with pytest.raises(ConfigError, match=r"the finished mixture there would be lost; give another --out.*--replace"):
        build_mixture(recipe("seed=7"), tmp_path / "mixture")
    mine = tmp_path / "mixture" / "language=fr" / "mine.txt"
    mine.write_text("mine")
    with pytest.raises(ConfigError, match=r"something other than what xmtf wrote \(language=fr/mine.txt\); move it"):
        build_mixture(recipe("seed=7"), tmp_path / "mixture", replace=True)
    assert (tmp_path / "mixture" / "manifest.json").stat().st_mtime_ns == before
    mine.unlink()
    assert build_mixture(recipe("seed=7"), tmp_path / "mixture", replace=True).outputs != first.outputs


def test_a_changed_source_is_built_anew(recipe, tmp_path):
    first = build_mixture(recipe(), tmp_path / "mixture")
    with (tmp_path / "fr.jsonl").open("a") as stream:
        stream.write(json.dumps({"a": 900, "b": 1}) + "\n")
    assert build_mixture(recipe(), tmp_path / "mixture", replace=True).counts["out"] == first.counts["out"] + 2


def test_array_tasks_give_the_same_mixture(recipe, tmp_path):
    whole = build_mixture(recipe(), tmp_path / "whole")
    out = tmp_path / "array"
    assert write_work_plan(recipe(), out) == 2
    list(run_work_tasks(out, 1))
    with pytest.raises(DataError, match=r"sums-fr.*not finished.*run-task.*--index 0"):
        merge_mixture(plan_mixture(recipe()), out)
    list(run_work_tasks(out, 0))
    assert merge_mixture(plan_mixture(recipe()), out).outputs == whole.outputs
    assert merge_mixture(plan_mixture(recipe()), out).outputs == whole.outputs
    with pytest.raises(DataError, match="there is no plan"):
        list(run_work_tasks(out, 0))


def test_the_plan_of_a_finished_mixture_has_nothing_to_do(recipe, tmp_path):
    built = build_mixture(recipe(), tmp_path / "mixture")
    assert write_work_plan(recipe(), tmp_path / "mixture") == 0
    assert list(run_work_tasks(tmp_path / "mixture", 0, 4)) == []
    assert merge_mixture(plan_mixture(recipe()), tmp_path / "mixture") == built
    assert not work_folder(tmp_path / "mixture").exists()


def test_tasks_shared_among_jobs(recipe, tmp_path):
    out = tmp_path / "array"
    write_work_plan(recipe("mixture.tasks=[{tasks: [sums-*]}, {tasks: [held], splits: [test]}]"), out)
    with pytest.raises(ConfigError, match="no job 2 of 2; --index ranges from 0 to 1"):
        list(run_work_tasks(out, 2, 2))
    done = [[number for number, _ in run_work_tasks(out, job, 2)] for job in (0, 1)]
    assert done == [[0, 2], [1]]
    assert [number for number, _ in run_work_tasks(out, 7, 8)] == []


def test_a_mixture_without_examples_says_what_dropped_them(recipe, tmp_path):
    with pytest.raises(ConfigError, match=r"none of 240.*240 over 3 characters.*max_characters"):
        build_mixture(recipe("mixture.max_characters=3"), tmp_path / "mixture")
    assert not (tmp_path / "mixture").exists()


def test_a_template_that_always_fails_is_named_with_its_first_row(recipe, tmp_path):
    text = (tmp_path / "templates.yaml").read_text().replace("{{a + b}}", "{{a.missing.field}}")
    (tmp_path / "templates.yaml").write_text(text)
    with pytest.raises(TemplateError, match=r"'ask'.*first on row 0"):
        build_mixture(recipe(), tmp_path / "mixture")


def test_failing_rows_are_kept_in_quarantine(recipe, tmp_path):
    text = (tmp_path / "templates.yaml").read_text().replace("{{a + b}}", "{{ (a + b) if b else a.missing.field }}")
    (tmp_path / "templates.yaml").write_text(text)
    manifest = build_mixture(recipe(), tmp_path / "mixture")
    lines = list(read_jsonl(tmp_path / "mixture" / "quarantine.jsonl"))
    assert len(lines) == sum(
        count for reason, count in manifest.counts["dropped"].items() if reason.startswith("template fails")
    )
    assert lines[0]["task"] == "sums-fr"
    assert lines[0]["template"] == "ask"
    assert lines[0]["row"] == 0


def test_a_missing_file_is_named(recipe, tmp_path):
    (tmp_path / "fr.jsonl").unlink()
    with pytest.raises(SourceError, match=r"fr\.jsonl"):
        build_mixture(recipe(), tmp_path / "mixture")


def test_a_rate_needs_a_sampling_policy(recipe, tmp_path):
    with pytest.raises(ConfigError, match=r"mixture\.tasks\.0\.rate.*mixture\.rates\.policy"):
        build_mixture(recipe("mixture.tasks.0.rate=2.0"), tmp_path / "mixture")


def test_a_cap_by_score_keeps_the_best_rows_of_each_template(recipe, tmp_path):
    rows = [{"a": a, "b": 1, "laser_score": score} for a, score in ((1, 1.2), (2, 1.9), (3, None), (4, 1.4))]
    (tmp_path / "fr.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    keys = ["mixture.tasks.0.tasks=[sums-fr]", "mixture.cap_examples=2"]
    score = ["mixture.cap_policy=score", "mixture.cap_score=laser_score"]
    own = ["mixture.tasks.0.cap_policy=score", "mixture.tasks.0.cap_score=laser_score"]
    for number, given in enumerate((score, own)):
        manifest = build_mixture(recipe(*keys, *given), tmp_path / f"mixture-{number}")
        found = examples(tmp_path / f"mixture-{number}")
        assert {(row["template"], row["row"]) for row in found} == {(t, r) for t in ("ask", "compare") for r in (1, 3)}
        assert list(found[0]) == list(PROMPTED_COLUMNS)
        assert manifest.counts["dropped"] == {"over the cap": 4}


def test_what_is_wrong_with_a_cap_by_score_is_said(recipe, tmp_path):
    policy = "mixture.cap_policy=score"
    with pytest.raises(ConfigError, match="needs cap_score"):
        recipe(policy)
    with pytest.raises(ConfigError, match="no effect"):
        recipe("mixture.cap_score=b")
    with pytest.raises(ConfigError, match="for mixtures"):
        recipe("evaluation.suites.0.tasks.0.cap_policy=longest")
    with pytest.raises(SourceError, match=r"sums-fr \[train\]: cap_score 'laser' is not a column.*a, b"):
        build_mixture(recipe(policy, "mixture.cap_score=laser"), tmp_path / "mixture")
    (tmp_path / "fr.jsonl").write_text(json.dumps({"a": 1, "b": 1, "c": "x"}) + "\n")
    with pytest.raises(SourceError, match=r"cap_score 'c' is of type (large_)?string"):
        build_mixture(recipe(policy, "mixture.cap_score=c"), tmp_path / "mixture")


def test_explicit_rates_by_selection_and_by_task(recipe, tmp_path):
    by_task = ["mixture.rates.policy=explicit", "mixture.rates.max_examples=40"]
    given = {"mixture.rates.tasks={sums-fr: 3}": {"fr": 30, "de": 10}, "mixture.tasks.0.rate=2": {"fr": 20, "de": 20}}
    for number, (key, languages) in enumerate(given.items()):
        manifest = build_mixture(recipe(*by_task, key), tmp_path / f"mixture-{number}")
        assert manifest.counts["languages"] == languages
    with pytest.raises(UnknownNameError, match="sums-it"):
        build_mixture(recipe(*by_task, "mixture.rates.tasks={sums-it: 3}"), tmp_path / "mixture")


def test_no_other_prompt_on_a_row_of_a_suite_stays(recipe, tmp_path):
    suite = "mixture.tasks=[{tasks: [sums-fr]}]", "evaluation.suites.0.tasks=[{tasks: [sums-fr], templates: [ask]}]"
    rest = ("evaluation.suites.0.tasks.0.splits=[train]", "evaluation.suites.0.tasks.0.limit_rows=10")
    manifest = build_mixture(recipe(*suite, *rest), tmp_path / "mixture")
    listed = list(read_jsonl(tmp_path / "mixture" / "overlap.jsonl"))
    asked = {line["row"] for line in listed if line["template"] == "compare"}  # the suite asks with the other template
    kept = [row for table in read_mixture(tmp_path / "mixture") for row in table.to_pylist()]
    assert manifest.counts["dropped"]["prompts a row of an evaluation suite"] >= 10
    assert len(asked) == 10
    assert not asked & {row["row"] for row in kept}
    shared = build_mixture(recipe(*suite, *rest, "evaluation.suites.0.axis=none"), tmp_path / "shared")
    assert "prompts a row of an evaluation suite" not in shared.counts["dropped"]


def test_two_builds_never_work_in_one_folder(recipe, tmp_path):
    out = tmp_path / "mixture"
    refused = pytest.raises(UserError, match=r"mixture\.work: another xmtf process works in this work folder.*--out")
    with alone_in(work_folder(out)):
        with refused:
            build_mixture(recipe(), out)
        with refused:
            write_work_plan(recipe(), out)
    write_work_plan(recipe(), out)
    with alone_in(work_folder(out), with_helpers=True):  # another job of the array
        list(run_work_tasks(out, 0))
        list(run_work_tasks(out, 1))
        with refused:
            merge_mixture(plan_mixture(recipe()), out)
    assert merge_mixture(plan_mixture(recipe()), out).counts["out"] == 230
    with alone_in(tmp_path / "elsewhere"):
        assert build_mixture(recipe(), out).counts["out"] == 230


def test_a_damaged_part_is_named(recipe, tmp_path):
    build_mixture(recipe(), tmp_path / "mixture")
    part = next((tmp_path / "mixture" / "language=fr").iterdir())
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(
        DataError, match=r"language=fr/part-\d+\.parquet: .*(be read|its recorded checksum).*rebuild it"
    ):
        list(read_mixture(tmp_path / "mixture"))


def test_what_killed_builds_left_beside_is_deleted(recipe, tmp_path):
    left = f".mixture.{socket.gethostname()}-99999999.tmp"
    for _ in range(2):  # the second time it is finished
        for name in (left, ".mixture.work.discarded", left.replace("mixture", "mixture.work").replace("tmp", "old")):
            (tmp_path / name / "language=fr").mkdir(parents=True)
        build_mixture(recipe(), tmp_path / "mixture")
        assert not list(tmp_path.glob(".mixture*"))


def test_a_file_without_rows_is_named(recipe, tmp_path):
    (tmp_path / "fr.jsonl").write_text("")
    with pytest.raises(TemplateError, match=r"^sums-fr \[train\]: has no rows$"):
        build_mixture(recipe(), tmp_path / "mixture")


@pytest.mark.parametrize("version", ["HASHING", "NORMALISATION"])
def test_what_texts_are_compared_by_is_part_of_the_fingerprint(recipe, monkeypatch, version):
    before = plan_mixture(recipe())
    monkeypatch.setattr(f"xmtf.mixture.plan.plan.{version}", "another")
    after = plan_mixture(recipe())
    assert after.fingerprint != before.fingerprint
    changed = {name for name in before.inputs if before.inputs[name] != after.inputs[name]}
    assert changed == {name for name in before.inputs if name.startswith("suites/")}
    assert [task.fingerprint for task in after.shards.tasks] != [task.fingerprint for task in before.shards.tasks]
