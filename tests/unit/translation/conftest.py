"""A small file of templates, and engines made of a function."""

from pathlib import Path

import pytest

from xmtf.translation.memory import Memory
from xmtf.translation.work import Work

FILE = """\
# a comment that stays
dataset: mine
templates:
  a0: !Template
    id: a0
    name: ask
    jinja: |-
      Premise: {{ premise }}
      Claim: {{ claim }}

      Given the premise "{{ premise }}", is {{ "surely" }} the claim {{ claim }} true & right, or 50 % false?
      |||
      {{ answer_choices[label] }}
    answer_choices: "yes, always ||| perhaps ||| no, never"
    metadata: !TemplateMetadata
      languages: [en]
    reference: ''
  a1: !Template
    id: a1
    name: tell
    jinja: '{{ text }} Which of the {% if n %}{{ n }} topics{% else %}topics{% endif %} fits? ||| {{ topic }}'
    answer_choices: null
    metadata: !TemplateMetadata {languages: [en], metrics: [Accuracy]}
    reference: ''
"""


class FunctionEngine:
    """An engine that answers each text by a function, or all of them by ``batch``."""

    name = "function"
    version = "1"

    def __init__(self, one=None, batch=None, styles=("xml", "braces", "square", "word")):
        self.batch = batch or (lambda texts: [one(text) for text in texts])
        self.styles = styles
        self.asked = []

    def translate(self, texts, source, target):
        self.asked += texts
        return self.batch(texts)


@pytest.fixture
def function_engine():
    return FunctionEngine


@pytest.fixture
def templates_file(tmp_path) -> Path:
    path = tmp_path / "mine" / "templates.yaml"
    path.parent.mkdir()
    path.write_text(FILE, encoding="utf-8")
    return path


@pytest.fixture
def work_of():
    def make(engine, target="fr", memory=None, **options):
        return Work(engine, "en", target, Memory(None) if memory is None else memory, **options)

    return make
