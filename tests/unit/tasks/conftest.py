from pathlib import Path

import pytest

TEMPLATES = """
dataset: tiny
templates:
  a1: !Template
    id: a1
    name: ask
    jinja: "{{ text }} Yes or no? ||| {{ answer_choices[label] }}"
    answer_choices: "No ||| Yes"
    metadata: !TemplateMetadata
      languages: [en]
  a2: !Template
    id: a2
    name: demander
    jinja: "{{ text }} Oui ou non ? ||| {{ answer_choices[label] }}"
    answer_choices: "Non ||| Oui"
    metadata: !TemplateMetadata
      languages: [fr]
  a3: !Template
    id: a3
    name: only long texts
    jinja: "{% if text | length > 3 %}Repeat: {{ text }} ||| {{ text }}{% endif %}"
    answer_choices: null
    metadata: !TemplateMetadata
      languages: [en]
"""

CATALOGUE = """
tasks:
  - id: tiny
    cluster: sentiment
    dataset: own/tiny
    subsets: {en: en, fra: fr, jp: ja}
    splits: {train: [train], evaluation: [test]}
    templates: templates.yaml
    kind: rank
    licence: CC0-1.0
  - id: pair
    cluster: translation
    dataset: own/pair
    subsets: {en-fr: fr}
    input_languages: [en]
    splits: {train: [train]}
    templates: templates.yaml
    sets: [extra]
  - id: judge
    cluster: natural language inference
    dataset: own/judge
    subset: main
    language: en
    splits: {evaluation: [validation]}
    templates: templates.yaml
    kind: rank
    skip_templates: {validation: [only*]}
    cap_examples: 5
"""


@pytest.fixture
def catalogue_file(tmp_path) -> Path:
    """A catalogue of three entries and a file with three templates beside it."""
    (tmp_path / "templates.yaml").write_text(TEMPLATES, encoding="utf-8")
    path = tmp_path / "tiny.yaml"
    path.write_text(CATALOGUE, encoding="utf-8")
    return path


@pytest.fixture
def mirror(tmp_path, monkeypatch) -> Path:
    """A mirror with the rows of own/tiny, French, and own/judge."""
    root = tmp_path / "mirror"
    for name, text in (
        ("own/tiny/fra/train.csv", "text,label\nbien,1\nmal,0\nsuper,1\n"),
        ("own/judge/main/validation.csv", "text,label\nok,1\n"),
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.setenv("XMTF_DATA_ROOT", str(root))
    return root
