import pytest
import torch

from xmtf.models import SpecialTokens, build_model
from xmtf.recipe.schema import Model


@pytest.fixture
def bloom():
    shape = Model(architecture="bloom", hidden_size=30, num_layers=2, num_heads=3)
    return _larger(build_model(shape, vocab_size=97, special=SpecialTokens(3, 2, 1), seed=1))


@pytest.fixture
def mt5():
    shape = Model(architecture="mt5", hidden_size=30, num_layers=2, num_heads=3)
    return build_model(shape, vocab_size=97, special=SpecialTokens(0, 1), seed=1)


def _larger(model):
    """Return the model with weights large enough that attention matters."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, 0.3, generator=torch.Generator().manual_seed(parameter.numel()))
    return model
