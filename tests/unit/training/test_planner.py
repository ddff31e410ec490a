import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from xmtf.cli.app import build_app
from xmtf.errors import ConfigError, UnknownNameError
from xmtf.recipe import load_recipe
from xmtf.training.degrees import Degrees
from xmtf.training.hardware import find_gpu
from xmtf.training.memory import Spread
from xmtf.training.planner import Machine, Planner
from xmtf.training.preview import meta_model

RECIPES = Path(__file__).parents[3] / "recipes" / "train"


def planner(name, gpus, memory=80e9, *overrides, **machine):
    recipe = load_recipe(RECIPES / f"{name}.yaml", overrides).recipe
    return Planner(meta_model(recipe, None), recipe, Machine(find_gpu("a100"), gpus, memory, **machine))


def test_every_layout_uses_all_gpus_and_divides_the_batch():
    plan = planner("bloomz", 288).plan()
    for entry in plan.layouts:
        assert entry.degrees.total == 288
        assert 112 % entry.degrees.tp == 0
        assert entry.degrees.pp <= 72
        assert entry.num_micro * entry.rows * entry.degrees.data == 2048
        assert entry.num_micro >= entry.degrees.pp
    assert len({(entry.degrees, entry.rows, entry.checkpointing) for entry in plan.layouts}) == len(plan.layouts)


def test_the_recommended_layout_is_the_simplest_of_the_fastest_that_fit():
    made = planner("bloomz", 288)
    plan = made.plan()
    best = plan.recommended
    assert best.memory.total <= made.machine.usable
    assert best.tokens_per_s >= 0.97 * max(entry.tokens_per_s for entry in plan.layouts if entry.fits)
    assert plan.layouts[0].tokens_per_s == max(entry.tokens_per_s for entry in plan.layouts if entry.fits)
    assert str(len([entry for entry in plan.layouts if entry.fits])) in plan.reason
    assert plan.tokens == 498 * 2048 * 2048
    assert plan.checkpoint == pytest.approx(3 * plan.export)


def test_bubble_and_time_of_a_pipeline():
    made = planner("bloomz", 288)
    entry = made.planned(Spread(Degrees(72, 4, 1, 1), 1, checkpointing=True, gpu=True))
    assert entry.num_micro == 512
    assert entry.bubble == pytest.approx(71 / (512 + 71))
    assert entry.hours == pytest.approx(498 * entry.step_s / 3600)
    # no faster than the bare operations of all positions allow
    useful = 6 * 172.65e9 * 2048 * 2048
    assert entry.step_s > useful / (288 * 312e12 * made.machine.efficiency)


def test_data_parallel_alone_sends_gradients_once_a_step():
    made = planner("bloomz-560m", 8)
    entry = made.planned(Spread(Degrees(1, 8, 1, 1), 1, checkpointing=True, gpu=True))
    size = entry.memory.size.total
    assert entry.communication == pytest.approx(2 * 7 / 8 * 4 * size)
    assert entry.bubble == 0


def test_small_blocks_are_bound_by_starting_kernels():
    made = planner("mt0-small", 8)
    slow, fast = (
        made.planned(Spread(Degrees(1, 8, 1, 1), rows, checkpointing=False, gpu=True)).step_s for rows in (1, 8)
    )
    assert slow > 1.3 * fast


def test_a_model_that_fits_nowhere_is_said_so():
    plan = planner("bloomz", 8).plan()
    assert plan.recommended is None
    assert plan.reason.startswith("none of ")


def test_rows_stay_where_the_loss_depends_on_them():
    assert {entry.rows for entry in planner("bloomz-7b1", 64).plan().layouts} == {4}
    free = planner("bloomz-7b1", 64, 80e9, "training.loss=target").plan()
    assert {1, 2, 4, 8} <= {entry.rows for entry in free.layouts}


def test_encoder_decoders_have_no_pipeline_and_more_gpus_are_faster():
    small, large = (planner("mt0-xxl", gpus).plan() for gpus in (16, 64))
    assert {entry.degrees.pp for entry in large.layouts} == {1}
    assert large.recommended.tokens_per_s > 2 * small.recommended.tokens_per_s


def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(ConfigError, match=r"2048 rows cannot be shared out over 7 GPUs"):
        planner("mt0-xxl", 7, 80e9, "training.global_batch_rows=2048").plan()


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_released_model_has_a_plan_without_network(path):
    recipe = load_recipe(path).recipe
    plan = Planner(meta_model(recipe, None), recipe, Machine(find_gpu("a100"), 256, 80e9)).plan()
    assert plan.recommended is not None


def test_the_verb_prints_a_table_and_json():
    arguments = ["plan", str(RECIPES / "bloomz-560m.yaml"), "--gpus", "8", "--memory", "80GB"]
    result = CliRunner().invoke(build_app("plan"), arguments)
    assert result.exit_code == 0
    assert "recommended: " in result.stdout
    assert "as overrides: training.parallel.pp=1" in result.stdout
    answer = json.loads(CliRunner().invoke(build_app("plan"), [*arguments, "--json"]).stdout)
    assert answer["recommended"] in answer["layouts"]
    assert answer["recommended"]["memory"]["total"] < 80e9


def test_wrong_options_are_named():
    arguments = ["plan", str(RECIPES / "bloomz-560m.yaml")]
    result = CliRunner().invoke(build_app("plan"), [*arguments, "--gpu", "a1000"])
    assert isinstance(result.exception, UnknownNameError)
    result = CliRunner().invoke(build_app("plan"), [*arguments, "--memory", "80 steps"])
    assert "--memory" in str(result.exception)
