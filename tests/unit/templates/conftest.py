"""Files of templates to read, in promptsource's form."""

import json

import pytest


@pytest.fixture(scope="session")
def write_templates():
    """Write templates to a file in promptsource's form; JSON is YAML, and the form's tags are never looked at."""

    def write(path, templates, *, dataset=""):
        entries = {
            f"id-{number}": {
                "id": f"id-{number}",
                "name": template.name,
                "jinja": template.jinja,
                "answer_choices": template.answer_choices,
            }
            for number, template in enumerate(templates)
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"dataset": dataset, "templates": entries}, indent=1))

    return write
