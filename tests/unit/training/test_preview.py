from pathlib import Path

import pytest

from xmtf.errors import ConfigError
from xmtf.recipe import load_recipe
from xmtf.training.preview import dry_run

RECIPES = Path(__file__).parents[3] / "recipes" / "train"
PARAMETERS = {  # of the published models, embedding and head included
    "bloomz-560m": 559_214_592,
    "bloomz-1b1": 1_065_314_304,
    "bloomz-1b7": 1_722_408_960,
    "bloomz-3b": 3_002_557_440,
    "bloomz-7b1": 7_069_016_064,
    "bloomz-7b1-mt": 7_069_016_064,
    "bloomz-7b1-p3": 7_069_016_064,
    "bloomz": 176_247_271_424,
    "bloomz-mt": 176_247_271_424,
    "bloomz-p3": 176_247_271_424,
    "mt0-small": 300_176_768,
    "mt0-base": 582_401_280,
    "mt0-large": 1_229_581_312,
    "mt0-xl": 3_742_619_648,
    "mt0-xxl": 12_921_057_280,
    "mt0-xxl-mt": 12_921_057_280,
    "mt0-xxl-p3": 12_921_057_280,
}


def test_every_released_model_has_a_recipe():
    assert {path.stem for path in RECIPES.glob("*.yaml")} == set(PARAMETERS)


@pytest.mark.parametrize("name", PARAMETERS)
def test_dry_run_needs_neither_weights_nor_network(name):
    text = dry_run(load_recipe(RECIPES / f"{name}.yaml", ["offline=true"]))
    assert f"{PARAMETERS[name]:,} parameters" in text
    assert "estimated for one process" in text


def test_published_budgets():
    # tokens with padding, as the model cards count them: steps x rows x 2,048
    assert "2,088,763,392 positions" in dry_run(load_recipe(RECIPES / "bloomz.yaml"))
    assert "3,670,016,000 positions" in dry_run(load_recipe(RECIPES / "bloomz-560m.yaml"))


def test_a_layout_is_shown_and_one_that_does_not_fit_refused():
    as_published = ["training.parallel.pp=72", "training.parallel.dp_replicate=4"]
    text = dry_run(load_recipe(RECIPES / "bloomz.yaml", as_published))
    assert "processes  288: pp 72 x dp_replicate 4" in text
    assert "estimated for one process of 288" in text
    with pytest.raises(ConfigError, match="112 attention heads are not divisible among 5 processes"):
        dry_run(load_recipe(RECIPES / "bloomz.yaml", ["training.parallel.tp=5"]))


def test_fp16_is_refused_with_the_reason():
    with pytest.raises(ConfigError, match=r"training.precision.*feed-forward outputs of the T5 family exceed"):
        load_recipe(RECIPES / "mt0-small.yaml", ["training.precision=fp16"])


# steps of the released checkpoint, rows of a global and of a micro-batch, validation every so many steps, rows of it
SETTINGS = {
    "bloomz-560m": (1750, 1024, 1, 125, 10 * 1024),
    "bloomz-1b1": (250, 1024, 1, 250, 5 * 1024),
    "bloomz-1b7": (2000, 2048, 1, 125, 10 * 2048),
    "bloomz-3b": (2000, 2048, 1, 125, 2 * 2048),
    "bloomz-7b1": (1000, 2048, 4, 125, 10 * 2048),
    "bloomz-7b1-mt": (1000, 2048, 4, 125, 10 * 2048),
    "bloomz-7b1-p3": (1000, 2048, 4, 250, 50 * 2048),
    "bloomz": (498, 2048, 1, 250, 10 * 2048),
    "bloomz-mt": (498, 2048, 1, 250, 10 * 2048),
    "bloomz-p3": (498, 2048, 1, 250, 1 * 2048),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_published_hyper_parameters(name):
    recipe = load_recipe(RECIPES / f"{name}.yaml").recipe
    training, optimizer = recipe.training, recipe.training.optimizer
    assert (recipe.model.dropout, training.precision, training.schedule.name) == (0.1, "bf16", "constant")
    if name in SETTINGS:
        batches = (training.steps, training.global_batch_rows, training.micro_batch_rows)
        assert (*batches, training.validate_every, training.validation_rows) == SETTINGS[name]
        assert (training.loss, training.z_loss, recipe.tokens.packing.sequence_length) == ("target_compat", 0.0, 2048)
        assert optimizer.model_dump(exclude={"decay_rate"}) == {
            "name": "adamw", "learning_rate": 2e-5, "weight_decay": 1e-4, "beta1": 0.9, "beta2": 0.95, "epsilon": 1e-8,
            "clip_norm": 1.0,
        }  # fmt: skip
        return
    assert (training.steps, training.global_batch_rows) == (7000 if "xxl" in name else 25_000, 512)
    assert (training.loss, training.z_loss) == ("target", 1e-4)
    packing = recipe.tokens.packing
    assert (packing.policy, packing.sequence_length, packing.target_length) == ("pad", 1024, 1024)
    assert (optimizer.name, optimizer.learning_rate, optimizer.decay_rate) == ("adafactor", 1e-3, 0.8)
    assert (optimizer.weight_decay, optimizer.clip_norm) == (0.0, None)
