"""What suites say that is held out, against what is trained on."""

import json

import pytest

from xmtf.errors import ConfigError, UnknownNameError
from xmtf.files import read_jsonl, read_manifest
from xmtf.mixture.build import build_mixture
from xmtf.mixture.io.read import read_mixture
from xmtf.mixture.plan.plan import plan_mixture


def held_out(recipe, *overrides):
    return list(plan_mixture(recipe(*overrides)).suites[0].held_out)


def test_what_is_really_held_out_of_a_suite(recipe):
    assert held_out(recipe) == ["clusters", "datasets", "rows"]
    assert held_out(recipe, "mixture.tasks=[{tasks: [sums-fr]}]") == ["clusters", "datasets", "languages", "rows"]
    asked = "evaluation.suites.0.tasks=[{tasks: [sums-fr], splits: [train], limit_rows: 2}]"
    assert held_out(recipe, asked) == ["rows"]
    assert held_out(recipe, asked, "mixture.held_out.overlap=flag") == []
    assert held_out(recipe, asked, "evaluation.suites.0.axis=none") == []


@pytest.mark.parametrize(
    ("axis", "key", "value", "what"),
    [
        ("clusters", "clusters", "[arithmetic]", "cluster 'arithmetic'"),
        ("datasets", "datasets", "[sums-de]", "dataset 'sums-de'"),
        ("languages", "languages", "[deu]", "language 'de'"),
        ("templates", "templates", "[ask, compare]", "template 'ask'"),
    ],
)
def test_an_axis_that_does_not_hold_is_an_error_that_names_the_tasks(recipe, axis, key, value, what):
    suite = [f"evaluation.suites.0.axis={axis}", "evaluation.suites.0.tasks=[{tasks: [sums-de], splits: [train]}]"]
    with pytest.raises(ConfigError, match=f"'held out rows'.*sums-de is of {what}, which sums-.. trains on.*{key}"):
        plan_mixture(recipe(*suite))
    if axis in ("datasets", "languages"):
        assert axis in held_out(recipe, *suite, f"mixture.held_out.{key}={value}")


def test_a_language_is_held_out_under_all_its_codes(recipe):
    codes = ["own_tasks.0.language=uz", "own_tasks.1.language=uzn_Latn", "mixture.tasks=[{tasks: [sums-fr]}]"]
    suite = ["evaluation.suites.0.axis=languages", "evaluation.suites.0.tasks=[{tasks: [sums-de], splits: [train]}]"]
    with pytest.raises(ConfigError, match="sums-de is of language 'uzn-Latn', which sums-fr trains on"):
        plan_mixture(recipe(*codes, *suite))


def test_datasets_are_held_out_by_pattern(recipe, tmp_path):
    manifest = build_mixture(recipe("mixture.held_out.datasets=['*-de']"), tmp_path / "mixture")
    assert set(manifest.counts["languages"]) == {"fr"}
    assert manifest.details["suites"][0]["held_out"] == ["clusters", "datasets", "languages", "rows"]
    card = (tmp_path / "mixture" / "README.md").read_text()
    assert "- held out datasets: *-de" in card
    assert "- for the suite held out rows: clusters, datasets, languages, rows" in card
    with pytest.raises(UnknownNameError, match=r"dataset 'sums-it'"):
        plan_mixture(recipe("mixture.held_out.datasets=[sums-it]"))


def test_own_tasks_on_one_file_are_one_split(recipe, tmp_path):
    own = [
        "own_tasks.2.path=fr.jsonl", "evaluation.suites.0.tasks.0.limit_rows=7", "mixture.tasks=[{tasks: [sums-fr]}]",
        "evaluation.suites.0.tasks.0.templates=[ask]",
    ]  # fmt: skip
    manifest = build_mixture(recipe(*own), tmp_path / "mixture")
    lines = read_jsonl(tmp_path / "mixture" / "overlap.jsonl")
    asked = {line["row"] for line in lines if line["reason"] == "prompts a row of an evaluation suite"}
    kept = {row for table in read_mixture(tmp_path / "mixture") for row in table.column("row").to_pylist()}
    assert manifest.counts["dropped"]["prompts a row of an evaluation suite"] >= 7
    assert len(asked) >= 7
    assert not asked & kept
    assert kept


def test_rows_copied_to_another_file_under_another_prompt_are_dropped(recipe, tmp_path):
    rows = [{"text": f"The premise of number {n} is this.", "answer": "yes"} for n in range(4)]
    (tmp_path / "held.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    mine = [{"a": f"Tell me: THE PREMISE,  of number {n} is this -- why?", "b": n} for n in range(8)]
    (tmp_path / "fr.jsonl").write_text("".join(json.dumps(row) + "\n" for row in mine))
    template = (tmp_path / "templates.yaml").read_text()
    (tmp_path / "held.yaml").write_text(template.replace("{{a}} plus {{b}}? ||| {{a + b}}", "{{text}} ||| {{answer}}"))
    (tmp_path / "templates.yaml").write_text(template.replace("a + b", "b").replace("a > b", "b > 1"))
    keys = [
        "own_tasks.2.templates=held.yaml", "evaluation.suites.0.tasks.0.templates=[ask]",
        "mixture.tasks=[{tasks: [sums-fr]}]",
    ]  # fmt: skip
    manifest = build_mixture(recipe(*keys), tmp_path / "mixture")
    assert manifest.counts["dropped"] == {"holds fields of a row of an evaluation suite": 8}
    lines = list(read_jsonl(tmp_path / "mixture" / "overlap.jsonl"))
    assert {(line["row"], line["evaluation"]["row"], *line["fields"]) for line in lines} == {
        (n, n, "text") for n in range(4)
    }
    left = build_mixture(recipe(*keys, "mixture.held_out.overlap_fields=false"), tmp_path / "left")
    assert left.counts["dropped"] == {}
    assert read_manifest(tmp_path / "left").counts["overlaps"] == 0
