import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from typer.testing import CliRunner

from xmtf.cli.app import build_app
from xmtf.cli.terminal.json_fields import problems
from xmtf.errors import ConfigError, UnknownNameError
from xmtf.parallel.topology.constraints import check_constraints
from xmtf.parallel.topology.gpus import GpuPool, find_gpu
from xmtf.parallel.topology.mesh import resolve_dims
from xmtf.parallel.topology.parallel_dims import ParallelDims
from xmtf.recipe import load_recipe
from xmtf.recipe.schema import Model
from xmtf.training.planning.candidate import Candidate
from xmtf.training.planning.planner import Planner
from xmtf.training.preview import meta_model
from xmtf.training.start import adapt_model

RECIPES = Path(__file__).parents[4] / "recipes" / "train"


def shape_of(recipe):
    model = meta_model(recipe, None)
    adapt_model(model, recipe.model, seed=0)
    return model


def planner(name, gpus, memory=80e9, *overrides, **machine):
    recipe = load_recipe(RECIPES / f"{name}.yaml", overrides).recipe
    return Planner(shape_of(recipe), recipe, GpuPool(find_gpu("a100"), gpus, memory, **machine))


@pytest.mark.parametrize(
    ("name", "gpus", "overrides"),
    [
        ("bloomz-560m", 8, ()),
        ("bloomz-560m", 12, ("training.loss=target", "training.global_batch_rows=48", "training.validate_every=1")),
        ("bloomz-560m", 8, ("training.optimizer.name=adamw_8bit",)),
        ("bloomz-560m", 4, ("training.validation_suites=[a]",)),
        ("bloomz-560m", 8, ("model.lora.rank=8", "training.global_batch_rows=32")),
        ("mt0-small", 12, ("training.global_batch_rows=24",)),
    ],
)
def test_what_is_listed_is_what_training_takes(name, gpus, overrides):
    made = planner(name, gpus, 80e9, *overrides)
    listed = set(made.layouts())
    training = made.recipe.training
    sizes = {1, 2, 4, 8, 16, 32} if training.loss != "target_compat" else {training.micro_batch_rows}
    sizes |= {training.micro_batch_rows}
    taken = set()
    for pp, shard, tp in product(range(1, gpus + 1), repeat=3):
        replicas, rest = divmod(gpus, pp * shard * tp)
        for stages, rows, checkpointing in product((1, 2, 3, 4, 6), sizes, (False, True)):
            shape = ParallelDims(pp, replicas, shard, tp)
            if rest or tp > 8 or rows * shape.data > training.global_batch_rows or (pp == 1 < stages):
                continue
            layout = Candidate(shape, rows, checkpointing, gpu=True, stages_per_rank=stages)
            try:
                check_constraints(made.model, layout.asked_of(training), shape)
                taken |= {layout, replace(layout, zero=1)} if shard > 1 else {layout}
            except ConfigError:
                continue
    assert listed == taken
    assert len(listed) > 1


@pytest.mark.parametrize(("name", "gpus"), [("bloomz", 256), ("bloomz-7b1", 64), ("mt0-xxl", 64)])
def test_the_overrides_of_a_layout_give_that_layout(name, gpus):
    made = planner(name, gpus)
    for layout in [*made.layouts()][::41]:
        recipe = load_recipe(RECIPES / f"{name}.yaml", layout.overrides(made.recipe.training)).recipe
        shape = resolve_dims(recipe.training.parallel, gpus)
        check_constraints(made.model, recipe.training, shape)
        assert replace(Candidate.of(recipe, shape), gpu=True) == layout


def test_interleaved_stages_shorten_the_bubble_and_cost_memory_and_traffic():
    made = planner("bloomz", 256)
    plain, interleaved = (
        made.planned(Candidate(ParallelDims(16, 2, 1, 8), 1, checkpointing=False, gpu=True, stages_per_rank=stages))
        for stages in (1, 4)
    )
    assert plain.time.bubble == pytest.approx(15 / (1024 + 15))
    assert interleaved.time.bubble == pytest.approx(15 / 4 / (1024 + 15 / 4))
    assert interleaved.time.sent > plain.time.sent
    assert interleaved.memory.activations > 1.2 * plain.memory.activations
    assert interleaved.layout in set(made.layouts())


def test_a_model_of_transformers_is_planned_with_slices_and_stages(tmp_path):
    """What slices and stages send is what those of a BLOOM send whose blocks are as many and as wide."""
    llama = {"model_type": "llama", "hidden_size": 1024, "intermediate_size": 2736, "num_hidden_layers": 24}
    llama |= {"architectures": ["LlamaForCausalLM"], "num_attention_heads": 16, "vocab_size": 250880}
    llama["tie_word_embeddings"] = True
    (tmp_path / "config.json").write_text(json.dumps(llama))
    own = planner("bloomz-560m", 16)
    recipe = own.recipe.model_copy(update={"model": Model(base=str(tmp_path))})
    made = Planner(shape_of(recipe), recipe, own.machine)
    assert {(each.dims.pp, each.dims.tp) for each in made.layouts()} >= set(product((1, 2, 4), (1, 2, 4)))
    for dims in (ParallelDims(1, 8, 1, 2), ParallelDims(2, 4, 1, 2), ParallelDims(4, 4, 1, 1)):
        layout = Candidate(dims, 1, checkpointing=False, gpu=True)
        found, expected = made.planned(layout), own.planned(layout)
        assert found.time.sent == pytest.approx(expected.time.sent, rel=0.1)
        assert found.memory.total == pytest.approx(expected.memory.total, rel=0.5)


def test_zero_bubble_is_listed_where_the_recipe_asks_for_it_and_waits_a_third():
    made = planner("bloomz", 256, 80e9, "training.parallel.schedule=zero_bubble", *LAST)
    plain = Candidate(ParallelDims(16, 2, 1, 8), 1, checkpointing=False, gpu=True)
    asked = replace(plain, zero_bubble=True)
    zero, usual = made.planned(asked), made.planned(plain)
    assert zero.time.bubble == pytest.approx(5 / (1024 + 5))
    assert zero.time.seconds < usual.time.seconds
    assert zero.memory.activations > usual.memory.activations
    listed = set(made.layouts())
    assert asked in listed
    assert plain not in listed
    assert not any(each.checkpointing or each.dims.dp_shard > 1 for each in listed if each.zero_bubble)
    assert "training.parallel.schedule=zero_bubble" in asked.overrides(planner("bloomz", 256).recipe.training)


LAST = ("training.validation_suites=[]", "training.export=last")
"""Suites in training are not measured over pipeline stages, which leaves fewer layouts."""


def test_it_is_said_why_no_layout_that_cuts_the_model_is_listed():
    int8 = ("model.lora.rank=8", "model.quantize=int8")
    said, silent = (planner("bloomz-560m", 8, 80e9, *more).plan().reasons for more in (int8, ()))
    assert said[-1].startswith("no layout that splits the model is listed: training.parallel: quantised weights")
    assert not any("no layout that splits" in reason for reason in silent)
    assert not any("no layout that splits" in reason for reason in planner("bloomz-560m", 1).plan().reasons)


def test_cards_have_efficiencies_of_their_own():
    a100, h100 = (GpuPool(find_gpu(name), 8, 80e9) for name in ("a100", "h100"))
    assert (a100.efficiency, h100.efficiency, replace(h100, given_efficiency=0.33).efficiency) == (0.5, 0.4, 0.33)


def test_the_memory_limit_of_the_recipe_counts():
    plan = planner("bloomz-560m", 8, 80e9, "memory_limit=6 GiB", *LAST).plan()
    assert plan.recommended.memory.total <= 6 * 2**30
    assert any(entry.memory.total > 6 * 2**30 and not entry.fits for entry in plan.layouts)


def test_adapters_alone_are_sent_kept_and_saved():
    whole, adapted = (planner("bloomz-560m", 8, 80e9, *more) for more in ((), ("model.lora.rank=8",)))
    layout = Candidate(ParallelDims(dp_replicate=8), 1, checkpointing=False, gpu=True)
    assert adapted.planned(layout).time.sent < 0.05 * whole.planned(layout).time.sent
    assert adapted.planned(layout).memory.total < 0.5 * whole.planned(layout).memory.total
    merged = planner("bloomz-560m", 8, 80e9, "model.lora.rank=8", "model.lora.merge=true")
    assert adapted.plan().checkpoint < 0.05 * whole.plan().checkpoint
    assert adapted.plan().export < 0.05 * merged.plan().export


def test_the_recommended_layout_is_the_simplest_of_the_fastest_that_fit():
    made = planner("bloomz", 288)
    plan = made.plan()
    best = plan.recommended
    assert best.memory.total <= made.machine.usable
    assert best.tokens_per_s >= 0.97 * max(entry.tokens_per_s for entry in plan.layouts if entry.fits)
    assert plan.layouts[0].tokens_per_s == max(entry.tokens_per_s for entry in plan.layouts if entry.fits)
    assert str(len([entry for entry in plan.layouts if entry.fits])) in plan.reasons[0]
    assert plan.tokens == 498 * 2048 * 2048
    assert plan.checkpoint == pytest.approx(3 * plan.export)


def test_bubble_and_time_of_a_pipeline():
    made = planner("bloomz", 288)
    entry = made.planned(Candidate(ParallelDims(72, 4, 1, 1), 1, checkpointing=True, gpu=True))
    assert entry.num_micro == 512
    assert entry.time.bubble == pytest.approx(71 / (512 + 71))
    assert entry.hours == pytest.approx(498 * entry.time.seconds / 3600)
    # no faster than the bare operations of all positions allow
    useful = 6 * 172.65e9 * 2048 * 2048
    assert entry.time.seconds > useful / (288 * 312e12 * made.machine.efficiency)


def test_data_parallel_alone_sends_gradients_once_a_step():
    made = planner("bloomz-560m", 8)
    entry = made.planned(Candidate(ParallelDims(1, 8, 1, 1), 1, checkpointing=True, gpu=True))
    size = entry.memory.size.total
    assert entry.time.sent == pytest.approx(2 * 7 / 8 * 4 * size)
    assert entry.time.bubble == 0


def test_small_blocks_are_bound_by_starting_kernels():
    made = planner("mt0-small", 8)
    slow, fast = (
        made.planned(Candidate(ParallelDims(1, 8, 1, 1), rows, checkpointing=False, gpu=True)).time.seconds
        for rows in (1, 8)
    )
    assert slow > 1.3 * fast


def test_a_model_that_fits_nowhere_is_said_so():
    plan = planner("bloomz", 8).plan()
    assert plan.recommended is None
    assert plan.layouts[0].memory.total == min(entry.memory.total for entry in plan.layouts)
    assert plan.reasons[0].startswith("none of ")


def test_a_loss_that_holds_rows_is_said_where_nothing_fits():
    reasons = planner("bloomz-7b1", 1, 24e9, "model.lora.rank=8").plan().reasons
    assert "training.loss=target" in reasons[-1]
    assert planner("bloomz-7b1", 1, 24e9, "model.lora.rank=8", "training.loss=target").plan().recommended is not None


def test_rows_stay_where_the_loss_depends_on_them():
    assert {entry.layout.rows for entry in planner("bloomz-7b1", 64).plan().layouts} == {4}
    free = planner("bloomz-7b1", 64, 80e9, "training.loss=target").plan()
    assert {1, 2, 4, 8} <= {entry.layout.rows for entry in free.layouts}


def test_encoder_decoders_have_no_pipeline_and_more_gpus_are_faster():
    small, large = (planner("mt0-xxl", gpus).plan() for gpus in (16, 64))
    assert {entry.layout.dims.pp for entry in large.layouts} == {1}
    assert large.recommended.tokens_per_s > 2 * small.recommended.tokens_per_s


def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(ConfigError, match=r"no layout over 7 GPUs .* 2048 rows are not divisible among 7 processes"):
        planner("mt0-xxl", 7, 80e9, "training.global_batch_rows=2048").plan()


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_released_model_has_a_plan_without_network(path):
    recipe = load_recipe(path).recipe
    plan = Planner(shape_of(recipe), recipe, GpuPool(find_gpu("a100"), 256, 80e9)).plan()
    best = plan.recommended
    assert best in plan.layouts
    assert best.fits
    assert 0 < best.memory.total < 80e9
    assert best.layout.dims.total == 256
    assert best.layout.rows * best.num_micro * best.layout.dims.data == recipe.training.global_batch_rows
    fitting = [entry.tokens_per_s for entry in plan.layouts if entry.fits]
    assert max(fitting) * 0.97 <= best.tokens_per_s <= max(fitting)


def test_the_verb_prints_a_table_and_json():
    arguments = ["plan", str(RECIPES / "bloomz-560m.yaml"), "--gpus", "8", "--memory", "80GB"]
    result = CliRunner().invoke(build_app("plan"), arguments)
    assert result.exit_code == 0
    assert "recommended: " in result.stdout
    assert "as overrides: training.activation_checkpointing=false" in result.stdout
    assert "products at 50% of 312 TFLOP/s" in result.stdout
    answer = json.loads(CliRunner().invoke(build_app("plan"), [*arguments, "--json"]).stdout)
    assert answer["recommended"] in answer["layouts"]
    assert answer["recommended"]["memory"]["total"] < 80e9


@pytest.mark.parametrize("more", [(), ("--rehearse", "--layout", "tp=2")])
def test_an_evaluation_is_planned_as_json(more):
    arguments = ["plan", str(RECIPES.parent / "demo.yaml"), "--evaluation", "--gpus", "2", *more, "--json"]
    answer = json.loads(CliRunner().invoke(build_app("plan"), arguments).stdout)
    assert problems("plan", answer) == []
    if more:
        assert answer["layout"]["dims"]["tp"] == 2
        assert answer["stages"][0]["peak"] > answer["layout"]["weights"]
    else:
        assert answer["recommended"] == answer["layouts"][0]
        assert [each["dims"]["dp_replicate"] for each in answer["layouts"][:2]] == [2, 1]


def test_the_table_fits_80_columns(monkeypatch):
    arguments = ["plan", str(RECIPES / "bloomz-560m.yaml"), "--gpus", "8"]
    wide = CliRunner().invoke(build_app("plan"), arguments).stdout.splitlines()
    monkeypatch.setenv("COLUMNS", "80")
    narrow = CliRunner().invoke(build_app("plan"), arguments).stdout.splitlines()
    assert [line for line in narrow if len(line) > 80 and "as overrides: " not in line] == []
    all_columns, kept = (next(line for line in lines if line.startswith("pp  ")) for lines in (wide, narrow))
    assert "GB sent  s/step  tokens/s" in all_columns
    assert "sent" not in kept
    assert "tokens/s" in kept


def test_small_models_have_units_of_their_own():
    arguments = ["plan", str(RECIPES.parent / "demo.yaml"), "--gpus", "2"]
    text = CliRunner().invoke(build_app("plan"), arguments).stdout
    assert "1.64 M tokens with padding" in text
    assert "finished model 3.4 MB" in text
    assert all(unit in text for unit in (" MiB  ", "MB sent", "ms/step", "seconds"))


def test_wrong_options_are_named():
    arguments = ["plan", str(RECIPES / "bloomz-560m.yaml")]
    result = CliRunner().invoke(build_app("plan"), [*arguments, "--memory", "80"])
    assert "--memory 80: less than a gigabyte; give the unit, such as 80GB" in str(result.exception)
    result = CliRunner().invoke(build_app("plan"), [*arguments, "--gpu", "a1000"])
    assert isinstance(result.exception, UnknownNameError)
    result = CliRunner().invoke(build_app("plan"), [*arguments, "--memory", "80 steps"])
    assert "--memory" in str(result.exception)
