"""Every prompt of the open catalogue on real rows: none fails, none is empty, ranked targets are among the choices."""

import os

import pytest

from xmtf.recipe import TaskSelection
from xmtf.sources.mirror import find_in_mirror
from xmtf.tasks import load_catalogue, prompted_parts

pytestmark = pytest.mark.skipif("XMTF_DATA_ROOT" not in os.environ, reason="XMTF_DATA_ROOT is not set")

TASKS = [task for task in load_catalogue().tasks.values() if task.catalogue == "open"]


NULLS = {key: {"null in the inputs": 1} for key in ("afriqa/hau", "afriqa/yor")}
"""Rows among those chosen in which the dataset lacks what a prompt prints: a title, a question."""


@pytest.mark.parametrize("cluster", sorted({task.cluster for task in TASKS}))
def test_every_prompt_works_on_every_split_of_the_mirror(cluster):
    catalogue = load_catalogue()
    selection = TaskSelection(catalogue="open", clusters=(cluster,), limit_rows=20)
    seen = 0
    for role in ("train", "evaluation"):
        if not any(role in task.splits for task in TASKS if task.cluster == cluster):
            continue
        for part in catalogue.select([selection], role=role):
            if not find_in_mirror(part.task.source(part.split)):
                continue
            for prompted in prompted_parts(part, offline=True):
                assert prompted.dropped in ({}, NULLS.get(part.task.id)), part.task.id
                for row in prompted.table.to_pylist():
                    assert row["inputs"] == row["inputs"].lstrip()
                    assert part.task.kind != "rank" or row["targets"] in row["choices"], (part.task.id, row)
                    seen += 1
    assert seen > 0
