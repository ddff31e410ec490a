"""The base install has no library `datasets`: what it would read is one line, all else works."""

import sys

import pytest

from xmtf.errors import MissingExtraError
from xmtf.sources.hub import client
from xmtf.sources.hub.prepared import cached_dataset, declared_split
from xmtf.sources.reference import SourceRef


@pytest.fixture(autouse=True)
def without(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    monkeypatch.setattr(client, "missing_modules", lambda modules: list(modules))


def test_nothing_was_prepared_and_the_extra_is_named():
    ref = SourceRef("facebook/xnli", "fr", "test")
    assert cached_dataset(ref) is None
    assert ValueError in client.hub_errors()
    with pytest.raises(MissingExtraError, match=r"xmtf\[hub\]"):
        declared_split(ref)
