"""A recipe on the user's own files, small enough to read."""

import json
from pathlib import Path

import pytest

from xmtf.recipe import load_recipe

TEMPLATES = """\
dataset: sums
templates:
  0b1c2d3e-0000-4000-8000-000000000001: !Template
    answer_choices: null
    id: 0b1c2d3e-0000-4000-8000-000000000001
    jinja: 'What is {{a}} plus {{b}}? ||| {{a + b}}'
    metadata: !TemplateMetadata
      choices_in_prompt: false
      languages: [en]
      metrics: []
      original_task: true
    name: ask
    reference: ''
  0b1c2d3e-0000-4000-8000-000000000002: !Template
    answer_choices: yes ||| no
    id: 0b1c2d3e-0000-4000-8000-000000000002
    jinja: 'Is {{a}} larger than {{b}}? ||| {{ answer_choices[0] if a > b else answer_choices[1] }}'
    metadata: !TemplateMetadata
      choices_in_prompt: false
      languages: [en]
      metrics: []
      original_task: false
    name: compare
    reference: ''
"""

RECIPE = """\
name: sums
run_folder: {folder}/run
execution: {{engine: inline}}
own_tasks:
  - {{id: sums-fr, path: fr.jsonl, templates: templates.yaml, language: fr, cluster: arithmetic}}
  - {{id: sums-de, path: de.jsonl, templates: templates.yaml, language: de, cluster: arithmetic}}
  - {{id: held, path: held.jsonl, templates: templates.yaml, language: de, role: evaluation, split: test}}
mixture:
  tasks: [{{tasks: [sums-*]}}]
  shard_rows: 40
model: {{architecture: bloom, hidden_size: 8, num_layers: 1, num_heads: 1}}
training: {{steps: 1}}
evaluation:
  suites: [{{name: held out rows, axis: rows, tasks: [{{tasks: [held]}}]}}]
"""


def write_rows(path: Path, rows) -> None:
    path.write_text("".join(json.dumps({"a": a, "b": b}) + "\n" for a, b in rows))


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.setenv("XMTF_PROGRESS", "off")


@pytest.fixture
def recipe(tmp_path):
    """Return a function that loads the recipe with overrides.

    French: 60 sums, two of them equal. German: the same sums (no duplicates: languages are apart), of which
    the evaluation file asks three.
    """
    french = [(a, b) for a in range(6) for b in range(10)]
    french[59] = french[0]
    write_rows(tmp_path / "fr.jsonl", french)
    write_rows(tmp_path / "de.jsonl", [(a + 100, b) for a, b in french])
    write_rows(tmp_path / "held.jsonl", [(101, 1), (102, 2), (103, 3)])
    (tmp_path / "templates.yaml").write_text(TEMPLATES)
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.format(folder=tmp_path))
    return lambda *overrides: load_recipe(path, overrides)
