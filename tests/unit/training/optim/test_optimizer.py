import pytest
import torch
from torch import nn

from xmtf.errors import ConfigError
from xmtf.recipe.schema import Optimizer
from xmtf.training.checkpoint.optimizer_state import load_optimizer_tensors, optimizer_tensors
from xmtf.training.optim.adafactor import Adafactor
from xmtf.training.optim.optimizer import build_optimizer, decay_groups


class Parts(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(4, 3)
        self.norm = nn.LayerNorm(3)
        self.dense = nn.Linear(3, 3)
        self.relative_attention_bias = nn.Embedding(8, 2)
        self.head = nn.Linear(3, 4, bias=False)
        self.head.weight = self.embedding.weight


def test_biases_and_norms_do_not_decay_and_embeddings_do():
    model = Parts()
    decayed, kept = decay_groups(model, 0.1)
    assert [id(p) for p in decayed["params"]] == [id(model.embedding.weight), id(model.dense.weight)]
    assert {id(p) for p in kept["params"]} == {
        id(p) for p in (model.norm.weight, model.norm.bias, model.dense.bias, model.relative_attention_bias.weight)
    }
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.1, 0.0)


def test_frozen_parameters_are_left_out():
    model = Parts().requires_grad_(False)
    with pytest.raises(ConfigError, match="no trainable parameters"):
        build_optimizer(model, Optimizer())
    model.dense.weight.requires_grad_(True)
    assert [group["params"] for group in build_optimizer(model, Optimizer()).param_groups] == [[model.dense.weight]]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("name", ["adamw", "adafactor", "adamw_8bit"])
def test_state_moves_to_another_optimizer(name):
    if name == "adamw_8bit":
        pytest.importorskip("bitsandbytes", reason="the extra `gpu` is not installed")

    def step(model, optimizer, seed):
        torch.manual_seed(seed)
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter)
        optimizer.step()

    model = Parts()
    optimizer = build_optimizer(model, Optimizer(name=name))
    step(model, optimizer, 1)
    twin = Parts()
    twin.load_state_dict(model.state_dict())
    other = build_optimizer(twin, Optimizer(name=name))
    saved = {key: value.clone() for key, value in optimizer_tensors(model, optimizer).items()}
    load_optimizer_tensors(twin, other, saved)
    step(model, optimizer, 2)
    step(twin, other, 2)
    for left, right in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(left, right)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_eight_bit_moments_take_a_quarter_of_the_room_and_step_nearly_as_adamw():
    pytest.importorskip("bitsandbytes", reason="the extra `gpu` is not installed")
    moved, sizes = [], []
    for name in ("adamw", "adamw_8bit"):
        torch.manual_seed(0)
        model = nn.Linear(128, 128)
        start = model.weight.detach().clone()
        optimizer = build_optimizer(model, Optimizer(name=name, learning_rate=0.01))
        for _ in range(5):
            model.weight.grad, model.bias.grad = torch.randn(128, 128), torch.zeros(128)
            optimizer.step()
        moved.append(model.weight.detach() - start)
        state = optimizer.state[model.weight]
        sizes.append(sum(value.nbytes for value in state.values() if isinstance(value, torch.Tensor)))
    assert sizes[1] < 0.3 * sizes[0]
    assert float((moved[1] - moved[0]).abs().mean() / moved[0].abs().mean()) < 0.1


def test_adafactor_first_step_of_a_vector_by_hand():
    # decay is 0 at the first step, so update = g / |g| = sign; its RMS is 1; scale = lr * RMS(weight).
    weight = nn.Parameter(torch.tensor([3.0, 4.0]))
    weight.grad = torch.tensor([0.5, -2.0])
    Adafactor([weight], lr=0.1).step()
    rms = (12.5) ** 0.5
    torch.testing.assert_close(weight.detach(), torch.tensor([3 - 0.1 * rms, 4 + 0.1 * rms]))


def test_adafactor_factors_only_large_matrices():
    shapes = {"large": (128, 130), "table": (32, 512), "vector": (300,)}
    parameters = {name: nn.Parameter(torch.ones(shape)) for name, shape in shapes.items()}
    for parameter in parameters.values():
        parameter.grad = torch.ones_like(parameter)
    optimizer = Adafactor(parameters.values(), lr=0.1)
    optimizer.step()
    assert set(optimizer.state[parameters["large"]]) == {"step", "row", "column"}
    assert set(optimizer.state[parameters["table"]]) == {"step", "square"}
    assert set(optimizer.state[parameters["vector"]]) == {"step", "square"}


def test_adafactor_moves_small_weights_by_a_floor():
    weight = nn.Parameter(torch.zeros(4))
    weight.grad = torch.ones(4)
    Adafactor([weight], lr=0.1).step()
    torch.testing.assert_close(weight.detach(), torch.full((4,), -1e-4))


@pytest.mark.parametrize(("name", "where"), [("adafactor", "cpu"), ("adamw", "meta")])
def test_steps_that_the_host_reads_stay_there_after_a_resume(name, where):
    model, there = nn.Linear(3, 2), nn.Linear(3, 2, device="meta")  # in the place of a GPU
    optimizer = build_optimizer(model, Optimizer(name=name))
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    resumed = build_optimizer(there, Optimizer(name=name))
    load_optimizer_tensors(there, resumed, optimizer_tensors(model, optimizer))
    assert {state["step"].device.type for state in resumed.state.values()} == {where}
