"""Numbers that no training has are refused when the recipe is read, not met by a hang or a crash."""

import pytest

from xmtf.errors import ConfigError
from xmtf.recipe import load_recipe

RECIPE = """
name: small
mixture: {tasks: [{}]}
model: {architecture: bloom, hidden_size: 16, num_layers: 1, num_heads: 2}
training: {steps: 2}
"""


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.steps=true", "training.steps: .*true and false are not valid values of this key"),
        ("training.optimizer.learning_rate=false", "learning_rate: .*true and false are not valid values"),
        ("seed=true", "seed: .*true and false"),
        ("tokens.weights={en: true}", "tokens.weights: .*true and false"),
        ("training.steps=0", "training.steps: .*greater than or equal to 1"),
        ("training.global_batch_rows=1000000000", "global_batch_rows: .*less than or equal to"),
        ("training.validation_rows=1000000000000", "validation_rows: .*less than or equal to"),
        ("training.threads=100000", "threads: .*less than or equal to 4096"),
        ("model.hidden_size=1000000000", "hidden_size: .*less than or equal to"),
        ("model.num_layers=100000", "num_layers: .*less than or equal to 4096"),
        ("tokens.packing.sequence_length=1000000000", "sequence_length: .*less than or equal to"),
        ("execution.workers=0", "execution.workers: .*give 1 to 4,096 processes, or auto, not 0"),
        ("execution.workers=-3", "execution.workers: .*not -3"),
    ],
)
def test_a_number_that_cannot_be_meant_is_named(tmp_path, override, message):
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    load_recipe(path)
    with pytest.raises(ConfigError, match=message):
        load_recipe(path, [override])
