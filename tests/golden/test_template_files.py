"""Every template of the original prompts is read."""

import os
from pathlib import Path

import pytest

from xmtf.templates import open_collection


@pytest.fixture(scope="module")
def collection():
    root = os.environ.get("XMTF_FACTS_ROOT")
    folder = Path(root or ".").parent / "templates"
    if root is None or not folder.is_dir():
        pytest.skip("no folder of original templates beside XMTF_FACTS_ROOT")
    return open_collection(folder)


def test_every_template_is_read(collection):
    keys = list(collection.keys())
    assert len(keys) == 158
    # of the templates under one key the last counts, as in promptsource
    assert sum(len(collection.load(key)) for key in keys) == 1239
