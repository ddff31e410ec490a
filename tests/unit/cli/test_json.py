"""JSON for scripts: which verbs print it, and that they print the fields that docs/json.md lists.

Every command of the tests that prints JSON is compared with the page (``documented`` in tests/conftest.py); here are
the verbs that no other test asks for it, and the page itself.
"""

import dataclasses
import importlib
import inspect
import json
import re
import shlex
import shutil
from pathlib import Path

from tests.unit.cli.test_outputs import verbs

from xmtf.cli.app import _run as xmtf
from xmtf.cli.terminal.json_fields import answers, json_page, problems, verbs_without
from xmtf.records import PROVENANCE_COLUMNS

PAGE = Path(__file__).parents[3] / "docs" / "json.md"

COMMANDS = """
init mine
recipe copy demo --to demo.yaml
recipe schema
recipe schema --out schema.json
recipe show demo --changed
recipe diff demo demo-mt5
model list
doctor --report
template list cldr/kinds
template show cldr/kinds --template quiz
template export mine.yaml --language fr --out fr.po
template import fr.po mine.yaml
template translate mine.yaml --to es --engine command:cat --dry-run
template translate mine.yaml --to es --engine command:cat
template status mine.yaml
task show cldr-kinds/fr
data plan mine/recipe.yaml --write --out written
data run-task mine/recipe.yaml --out written
data merge mine/recipe.yaml --out written
data build mine/recipe.yaml --out built execution.engine=inline
data stats built
data stats built --against counts.csv
data peek built
data export built --to exported
data export built --push-to-hub me/mixture --dry-run
data card built
data fetch open --dry-run
data pack built --out tokens tokens.tokenizer.train_vocab_size=300 execution.engine=inline
data peek tokens --row 0
data split-files tokens
analyze languages built
analyze taxonomy built
analyze code programs.json
evaluate suites
report tables --reference --name models
launch slurm mine/recipe.yaml
verify tokens
"""
"""One after the other in one folder."""
BY_RECORDS = {
    **dict.fromkeys(
        ("evaluate rank", "evaluate generation", "evaluate code", "evaluate rescore", "evaluate import"),
        "xmtf.records:Score",
    ),
    "evaluate run": "xmtf.records:Score",
    "evaluate compare": "xmtf.evaluation.scoring.compare:Difference",
    "evaluate loss": "xmtf.evaluation.loss:MixtureLoss",
    "template lint": "xmtf.templates.lint.finding:Finding",
    "template render": "xmtf.templates.preview:Preview",
    "template show": "xmtf.templates.template:Template",
    "checkpoint list": "xmtf.training.checkpoint.state:TrainingProgress",
    "checkpoint choose": "xmtf.runs.choosing:ScoredCheckpoint",
    "checkpoint inspect": "xmtf.models.convert.integrity:Integrity",
    "plan": "xmtf.training.planning.planner:LayoutPlan",
}
"""Verb -> dataclass whose fields one of its answers has."""
BESIDE = {"path", "best", "hash", "whole", "overhead"}
"""Fields that verbs add to those of a dataclass."""


def test_every_verb_prints_json_or_has_a_reason_not_to():
    with_option = {verb for verb, callback in verbs() if "as_json" in inspect.signature(callback).parameters}
    assert with_option == answers().keys()
    assert {verb for verb, _ in verbs()} - with_option == verbs_without().keys()
    assert all(len(why) > 20 for why in verbs_without().values())


def test_the_page_is_made_from_the_fields():
    assert PAGE.read_text(encoding="utf-8") == json_page()
    for verb, kinds in answers().items():
        for answer in kinds:
            assert all(meaning.strip() for meaning in answer.fields.values()), verb


def test_other_fields_than_those_of_the_page_are_found():
    good = {"name": "L1", "kind": "rank", "about": ""}
    assert problems("evaluate suites", good) == []
    assert problems("evaluate suites", good | {"more": 1}) == ["'more' is not documented"]
    assert problems("evaluate suites", {"name": "", "kind": ""}) == ["'about' is documented and was not printed"]
    assert problems("evaluate suites", [good]) == ["evaluate suites: is documented in another form"]
    assert problems("nothing", good) == ["nothing: is not documented"]
    verified = {"stages": 1, "files": 1, "damages": [{"path": "a", "what": "gone"}]}
    assert problems("verify", verified) == ["'damages[].stage' is documented and was not printed"]


def test_fields_of_records_are_those_of_their_dataclass():
    for verb, place in BY_RECORDS.items():
        module, _, name = place.partition(":")
        expected = {field.name for field in dataclasses.fields(getattr(importlib.import_module(module), name))}
        if "provenance" in expected:
            expected = expected - {"provenance"} | set(PROVENANCE_COLUMNS)
        documented = [{re.split(r"[\[.?]", field)[0] for field in answer.fields} for answer in answers()[verb]]
        assert any(fields - BESIDE == expected - BESIDE for fields in documented), verb


def test_verbs_print_the_fields_of_the_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XMTF_PROGRESS", "off")
    assert xmtf(["init", "started"]) == 0
    shutil.copy("started/templates.yaml", "mine.yaml")
    Path("programs.json").write_text('[["def f(): pass  # nothing\\n"]]')
    Path("counts.csv").write_text("language,examples\nsw,3\n")
    capsys.readouterr()
    for line in COMMANDS.strip().splitlines():
        code = xmtf([*shlex.split(line), "--json"])
        told = capsys.readouterr()
        assert code == 0, (line, told.err)
        values = as_values(told.out)
        assert values, line
        assert all(problems(line_verb(line), value) == [] for value in values), line


def as_values(text):
    """Return what was printed: one value, or one a line."""
    try:
        return [json.loads(text)]
    except json.JSONDecodeError:
        return [json.loads(line) for line in text.splitlines()]


def line_verb(line):
    words = line.split()
    return words[0] if words[0] in answers() else " ".join(words[:2])
