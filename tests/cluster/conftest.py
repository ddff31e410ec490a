"""What tests of building in many processes share: a recipe that takes a while, and hashes of a folder."""

import json

import pytest

from xmtf.files import file_sha256

TEMPLATE = """\
templates:
  0b1c2d3e-0000-4000-8000-000000000001: !Template
    answer_choices: null
    id: 0b1c2d3e-0000-4000-8000-000000000001
    jinja: 'Say {{text}} {{number}} times. ||| {{ (text ~ " ") * number }}'
    metadata: !TemplateMetadata {choices_in_prompt: false, languages: [en], metrics: [], original_task: true}
    name: repeat
    reference: ''
"""


@pytest.fixture
def slow_recipe(tmp_path):
    """A recipe of six shards that take some tenths of a second each, and of a training of two steps."""
    (tmp_path / "templates.yaml").write_text(TEMPLATE)
    own_tasks = []
    for number in range(6):
        rows = [{"text": f"{number} {row % 2000}", "number": 1 + row % 7} for row in range(4000)]
        (tmp_path / f"{number}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        task = {"id": f"repeat-{number}", "path": f"{number}.jsonl", "templates": "templates.yaml"}
        own_tasks.append(task | {"language": "fr" if number % 2 else "de"})
    recipe = {
        "name": "small",
        "own_tasks": own_tasks,
        "mixture": {"tasks": [{"catalogue": "own"}]},
        "tokens": {"tokenizer": {"train_vocab_size": 300}, "packing": {"sequence_length": 64}},
        "model": {"architecture": "bloom", "hidden_size": 8, "num_layers": 1, "num_heads": 1},
        "training": {"steps": 2, "global_batch_rows": 2, "micro_batch_rows": 1, "threads": 1},
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    return tmp_path / "recipe.yaml"


@pytest.fixture
def contents():
    """Return the hash of every file of a folder but the manifest, which tells the time taken."""

    def contents_(folder):
        paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json")
        return {str(path.relative_to(folder)): file_sha256(path) for path in paths}

    return contents_
