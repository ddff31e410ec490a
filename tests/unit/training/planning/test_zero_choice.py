"""What ``dp_shard`` shards where a recipe does not say."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from xmtf.errors import ConfigError
from xmtf.parallel.topology.gpus import GpuPool, find_gpu
from xmtf.parallel.topology.parallel_dims import ParallelDims
from xmtf.parallel.topology.ranks import ALONE
from xmtf.recipe import load_recipe
from xmtf.training.assembly import _with_zero
from xmtf.training.plan import read_layout
from xmtf.training.planning.candidate import Candidate
from xmtf.training.planning.memory import check_limit
from xmtf.training.planning.planner import Planner
from xmtf.training.planning.zero_choice import choose_zero, pool_here, with_zero
from xmtf.training.preview import meta_model

RECIPES = Path(__file__).parents[4] / "recipes" / "train"


@pytest.fixture(scope="module")
def made():
    recipe = load_recipe(RECIPES / "bloomz.yaml").recipe
    return Planner(meta_model(recipe, None), recipe, GpuPool(find_gpu("a100"), 288, 80e9))


@pytest.mark.parametrize(
    ("dims", "rows", "expected"),
    [
        (ParallelDims(9, 1, 4, 8), 1, 1),  # both fit: shards would travel for each of 512 micro-batches
        (ParallelDims(9, 1, 32, 1), 1, 3),  # too much for either: the smaller
        (ParallelDims(36, 8, 1, 1), 1, 3),  # nothing is sharded
    ],
)
def test_the_faster_that_fits_is_chosen(made, dims, rows, expected):
    layout = Candidate(dims, rows, checkpointing=True, gpu=True)
    assert choose_zero(made, layout) == expected
    whole, optimizer = (made.planned(replace(layout, zero=zero)) for zero in (3, 1))
    assert expected == 3 or (optimizer.fits and optimizer.tokens_per_s > whole.tokens_per_s)


def test_what_is_faster_and_does_not_fit_is_not_chosen(made):
    layout = Candidate(ParallelDims(9, 1, 4, 8), 1, checkpointing=True, gpu=True)
    room = made.planned(replace(layout, zero=3)).memory.total, made.planned(replace(layout, zero=1)).memory.total
    assert room[0] < room[1]
    limited = replace(made, recipe=made.recipe.model_copy(update={"memory_limit": int(sum(room) / 2)}))
    assert choose_zero(limited, layout) == 3


def test_a_layout_to_rehearse_takes_it_and_what_is_written_stays(made):
    text = "pp=9 dp_shard=4 tp=8 recompute=1"
    assert read_layout(text, made.recipe, 288, made).zero == 1
    assert read_layout(f"{text} zero=3", made.recipe, 288, made).zero == 3
    recipe = load_recipe(RECIPES / "bloomz.yaml", ("training.parallel.zero=3",)).recipe
    assert read_layout(text, recipe, 288, made).zero == 3


@pytest.mark.parametrize(("text", "made_of"), [("pp=3 dp_shard=2", 6), ("pp=2 dp_replicate=2", 4), ("pp=9", 9)])
def test_axes_that_do_not_make_the_number_of_gpus_are_refused(made, text, made_of):
    with pytest.raises(ConfigError, match=f"--layout '{text}': its axes make {made_of} processes.*--gpus 8"):
        read_layout(text, made.recipe, 8, made)


def test_training_names_it_from_its_gpus_and_shards_everything_where_they_are_not_known(monkeypatch):
    recipe = load_recipe(
        RECIPES / "bloomz-7b1.yaml", ("training.parallel.dp_shard=8", "training.activation_checkpointing=true")
    ).recipe
    dims, model = ParallelDims(dp_replicate=1, dp_shard=8), meta_model(recipe, None)
    assert pool_here(8, torch.device("cpu")) is None
    assert with_zero(model, recipe, dims, None).training.parallel.zero == 3
    card = SimpleNamespace(name="NVIDIA H200", total_memory=141 * 10**9)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: card)
    pool = pool_here(8, torch.device("cuda", 0))
    assert (pool.gpu.name, pool.num_gpus, pool.memory) == ("h200", 8, 141e9)
    assert with_zero(model, recipe, dims, pool).training.parallel.zero == choose_zero(
        Planner(model, recipe, pool), Candidate.of(recipe, dims)
    )
    card.name = "NVIDIA GeForce RTX 4090"
    assert pool_here(8, torch.device("cuda", 0)) is None
    given = with_zero(model, recipe, dims, None)
    assert with_zero(model, given, dims, pool) is given
    alone = recipe.model_copy(update={"training": recipe.training.model_copy(update={"device": "cpu"})})
    parallel = alone.training.parallel.model_copy(update={"dp_shard": 1})
    alone = alone.model_copy(update={"training": alone.training.model_copy(update={"parallel": parallel})})
    assert _with_zero(model, alone, ALONE).training.parallel.zero == 3


def test_too_little_memory_names_the_setting(made):
    layout = Candidate(ParallelDims(9, 1, 4, 8), 1, checkpointing=True, gpu=True)
    for zero, named in ((1, True), (3, False)):
        estimate = made.planned(replace(layout, zero=zero)).memory
        with pytest.raises(ConfigError) as refused:
            check_limit(estimate, 2**30, replace(layout, zero=zero))
        assert ("set training.parallel.zero=3" in str(refused.value)) is named
