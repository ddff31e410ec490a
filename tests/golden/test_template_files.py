"""Every template of the original prompts survives being written and read again."""

import os
from pathlib import Path

import pytest

from xmtf.templates import open_collection, write_template_file


@pytest.fixture(scope="module")
def collection():
    root = os.environ.get("XMTF_FACTS_ROOT")
    folder = Path(root or ".").parent / "templates"
    if root is None or not folder.is_dir():
        pytest.skip("no folder of original templates beside XMTF_FACTS_ROOT")
    return open_collection(folder)


def test_round_trip_keeps_every_template(collection, tmp_path):
    keys = list(collection.keys())
    assert len(keys) == 158
    count = 0
    for key in keys:
        templates = collection.load(key)
        write_template_file(tmp_path / key / "templates.yaml", templates, dataset=key)
        assert open_collection(tmp_path).load(key) == templates
        count += len(templates)
    assert count == 1240
