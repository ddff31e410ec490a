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


def test_fp16_is_refused_with_the_reason():
    with pytest.raises(ConfigError, match=r"training.precision.*feed-forward outputs of the T5 family exceed"):
        load_recipe(RECIPES / "mt0-small.yaml", ["training.precision=fp16"])
