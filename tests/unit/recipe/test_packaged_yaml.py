"""The files of this package mean the same to the fast reader and to that of users' files."""

from pathlib import Path

import pytest

import xmtf
from xmtf.recipe.yaml_text import parse_packaged_yaml, parse_yaml

CATALOGUES = sorted((Path(xmtf.__file__).parent / "tasks" / "catalogue").rglob("*.yaml"))


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.stem)
def test_catalogues_are_read_alike(path):
    text = path.read_text(encoding="utf-8")
    assert repr(parse_packaged_yaml(text)) == repr(parse_yaml(text))


def test_values_are_those_of_yaml_1_2():
    text = "a: no\nb: on\nc: 1:30\ne: true\nf: -3\ng: 0.5\nh: ~\ni:\nj: '1'\nl: [x, null]\n"
    assert repr(parse_packaged_yaml(text)) == repr(parse_yaml(text))
