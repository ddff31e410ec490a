"""Legacy mode renders what the original code rendered: 3,366 cases made by running it."""

import gzip
import os
from pathlib import Path

import orjson
import pytest

from xmtf.errors import TemplateError
from xmtf.templates import Template


@pytest.fixture(scope="module")
def cases():
    root = os.environ.get("XMTF_FACTS_ROOT")
    path = Path(root or ".") / "template_golden.jsonl.gz"
    if root is None or not path.exists():
        pytest.skip("XMTF_FACTS_ROOT names no folder with template_golden.jsonl.gz")
    with gzip.open(path) as stream:
        return [orjson.loads(line) for line in stream]


def render(case):
    template = Template(case["name"], case["jinja"], case["answer_choices_expr"])
    try:
        rendered = template.render(case["row"], mode="legacy")
    except TemplateError as error:
        return {"error": {kind.__name__ for kind in type(error.__cause__).__mro__}}
    if rendered is None:
        return {"parts": [""]}
    choices = rendered.answer_choices
    return {
        "inputs": rendered.inputs,
        "targets": list(rendered.targets),
        "answer_choices": None if choices is None else list(choices),
    }


def agrees(rendered, expected):
    if "error" in expected:
        return expected["error"] in rendered.get("error", ())
    if "parts" in expected:
        return rendered == {"parts": expected["parts"]}
    return rendered == expected


def test_every_golden_case_agrees(cases):
    assert len(cases) == 3366
    wrong = [(case["file"], case["name"]) for case in cases if not agrees(render(case), case["expected"])]
    assert wrong == []
