"""What a training takes in addition to its steps."""

from types import SimpleNamespace

import pytest

from xmtf.cli.plan.lines import overhead_lines
from xmtf.parallel.topology.gpus import GpuPool, find_gpu
from xmtf.parallel.topology.parallel_dims import ParallelDims
from xmtf.recipe.schema import Recipe
from xmtf.training.overhead import overhead_of
from xmtf.training.planning.candidate import Candidate


def made(dims, *, recompute=False, bubble=0.0):
    best = SimpleNamespace(
        layout=Candidate(dims, 1, recompute, gpu=True), time=SimpleNamespace(seconds=12.0, bubble=bubble)
    )
    return SimpleNamespace(recommended=best, steps=1000, checkpoint=3.6e12, export=0.9e12)


def recipe(**training):
    values = {"steps": 1000, "global_batch_rows": 100, "validate_every": 100, "validation_rows": 50} | training
    return Recipe.model_validate({"name": "a", "mixture": {"tasks": [{}]}, "model": {"base": "a"}, "training": values})


def test_validations_checkpoints_and_the_export_are_counted():
    pool = GpuPool(find_gpu("a100"), 80, 80e9, 8)  # ten nodes
    found = overhead_of(made(ParallelDims(dp_shard=80)), recipe(save_every=250), pool)
    assert found.validations == 11  # one before the first step
    assert found.validation_hours == pytest.approx(11 * 12 / 3 / 3600)  # each process has one micro-batch of either
    assert (found.checkpoints, found.checkpoint_hours) == (4, pytest.approx(4 * 360 / 3600))
    assert found.export_hours == pytest.approx(2 * 90 / 3600)
    [line] = overhead_lines(found)
    assert line.endswith("11 validations without suites 44.0 seconds, 4 checkpoints 24.0 minutes, export 3.0 minutes")


def test_micro_batches_of_a_validation_follow_one_another_through_a_pipeline():
    pool = GpuPool(find_gpu("a100"), 8, 80e9, 8)
    found = overhead_of(made(ParallelDims(pp=8), recompute=True, bubble=0.5), recipe(save_in_background=True), pool)
    assert found.validation_hours == pytest.approx(11 * 12 * 0.5 / 4 * (50 + 7) / 100 / 3600)
    assert (found.checkpoints, found.checkpoint_hours) == (1, 0.0)
    assert overhead_of(SimpleNamespace(recommended=None), recipe(), pool) is None
    assert overhead_lines(None) == []
