"""A recipe whose mixture shares something of each kind with the rows that its suite asks about."""

import json

import pytest

from xmtf.mixture import build_mixture
from xmtf.recipe import load_recipe

TEMPLATES = """\
dataset: notes
templates:
  0b1c2d3e-0000-4000-8000-000000000011: !Template
    answer_choices: yes ||| no
    id: 0b1c2d3e-0000-4000-8000-000000000011
    jinja: '{{text}} Good? ||| {{ answer_choices[label] }}'
    metadata: !TemplateMetadata
      languages: [en]
      metrics: []
    name: good
    reference: ''
"""

RECIPE = """\
name: notes
run_folder: {folder}/run
execution: {{engine: inline}}
own_tasks:
  - {{id: notes, path: train.jsonl, templates: templates.yaml, language: en, cluster: sentiment}}
  - {{id: asked, path: asked.jsonl, templates: templates.yaml, language: en, cluster: sentiment, role: evaluation}}
  - {{id: leaked, path: train.jsonl, templates: templates.yaml, language: en, cluster: sentiment, role: evaluation}}
mixture:
  tasks: [{{tasks: [notes]}}]
  held_out: {{overlap: flag}}
model: {{architecture: bloom, hidden_size: 8, num_layers: 1, num_heads: 1}}
training: {{steps: 1}}
evaluation:
  suites: [{{name: asked, axis: rows, tasks: [{{tasks: [asked]}}]}}]
"""

TRAIN = ("the soup was cold and the waiter rude", "a fine evening by the sea", "we will come back soon")
ASKED = (
    "a fine evening by the sea",  # the same prompt
    "they said the soup was cold and left",  # shares five words with the first
    "nothing of this was ever written before",  # shares nothing
    "come back",  # shorter than a run
)


@pytest.fixture
def notes(tmp_path, monkeypatch):
    """Return the loaded recipe; its mixture is built in the run folder."""
    monkeypatch.setenv("XMTF_PROGRESS", "off")
    for name, texts in (("train", TRAIN), ("asked", ASKED)):
        lines = [json.dumps({"text": text, "label": 0}) + "\n" for text in texts]
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))
    (tmp_path / "templates.yaml").write_text(TEMPLATES)
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.format(folder=tmp_path))
    loaded = load_recipe(path)
    build_mixture(loaded, loaded.run_folder / "mixture")
    return loaded
