import pytest
import torch

from xmtf.training.assembly import LoopInputs, LoopOutputs, training_loop
from xmtf.training.loop.events import Log
from xmtf.training.start import Start


def make_loop(tmp_path, model, loader, recipe):
    outputs = LoopOutputs(tmp_path / "ckpt", Log(tmp_path / "log.jsonl"), "f")
    return training_loop(Start(model, "causal"), recipe, LoopInputs(loader), outputs)


def gradients(tmp_path, tiny_model, tiny_loader, recipe, micro_batch_rows, **training):
    loop = make_loop(
        tmp_path,
        tiny_model(),
        tiny_loader(rows_per_step=8),
        recipe(global_batch_rows=8, micro_batch_rows=micro_batch_rows, **training),
    )
    loop.step.model.zero_grad()
    loop.step.training = loop.training.model_copy(
        update={"optimizer": loop.training.optimizer.model_copy(update={"clip_norm": None})}
    )
    outcome = loop.step(0, loop.feed.get(0))
    loop.feed.close()
    return outcome, {name: parameter.grad for name, parameter in loop.step.model.named_parameters()}


@pytest.mark.parametrize("loss", ["target", "token"])
def test_one_micro_batch_of_eight_rows_equals_eight_of_one(tmp_path, tiny_model, tiny_loader, recipe, loss):
    whole, one = gradients(tmp_path, tiny_model, tiny_loader, recipe, 8, loss=loss)
    cut, eight = gradients(tmp_path, tiny_model, tiny_loader, recipe, 1, loss=loss)
    assert whole.loss == pytest.approx(cut.loss, rel=1e-6)
    assert cut.row_losses == pytest.approx(whole.row_losses, rel=1e-5)
    assert len(cut.row_losses) == 8
    torch.testing.assert_close(whole.sums, cut.sums)
    for name, gradient in one.items():
        torch.testing.assert_close(eight[name], gradient, rtol=1e-5, atol=1e-7)


def test_gradient_is_that_of_plain_autograd(tmp_path, tiny_model, tiny_loader, recipe):
    _, ours = gradients(tmp_path, tiny_model, tiny_loader, recipe, 4)
    batch = tiny_loader(rows_per_step=8).batch(0, micro=0, num_micro=1)
    tokens, segments = torch.from_numpy(batch.tokens), torch.from_numpy(batch.segment_ids)
    is_input = torch.from_numpy(batch.is_input)
    model = tiny_model()
    hidden = model.hidden_states(tokens[:, :-1], segment_ids_RT=segments[:, :-1])
    nll = -model.logits(hidden).log_softmax(-1).gather(2, tokens[:, 1:, None])[..., 0]
    means = []
    for row in range(8):
        for segment in range(1, int(segments[row].max()) + 1):
            mask = (segments[row, 1:] == segment) & ~is_input[row, 1:]
            means.append(nll[row][mask].mean())
    torch.stack(means).mean().backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(ours[name], parameter.grad, rtol=1e-5, atol=1e-7)


def test_bf16_keeps_fp32_weights_and_gradients_and_is_near(tmp_path, tiny_model, tiny_loader, recipe):
    exact, gradient = gradients(tmp_path, tiny_model, tiny_loader, recipe, 2)
    rough, rough_gradient = gradients(tmp_path, tiny_model, tiny_loader, recipe, 2, precision="bf16")
    assert rough.loss == pytest.approx(exact.loss, rel=0.01)
    for name, value in gradient.items():
        assert rough_gradient[name].dtype == torch.float32
        torch.testing.assert_close(rough_gradient[name], value, rtol=0.1, atol=0.01)


def test_pure_bf16_trains_in_bf16(tmp_path, tiny_model, tiny_loader, recipe):
    rough, rough_gradient = gradients(tmp_path, tiny_model, tiny_loader, recipe, 2, precision="bf16_pure")
    assert rough.updated
    assert {value.dtype for value in rough_gradient.values()} == {torch.bfloat16}
    numbers = torch.cat([value.flatten().float() for value in rough_gradient.values()])
    assert rough.grad_norm == pytest.approx(numbers.norm().item(), rel=1e-6)  # the norm is not rounded to bf16


def test_clipping_bounds_the_update(tmp_path, tiny_model, tiny_loader, recipe):
    loop = make_loop(
        tmp_path, tiny_model(), tiny_loader(), recipe(optimizer={"learning_rate": 0.01, "clip_norm": 0.001})
    )
    outcome = loop.step(0, loop.feed.get(0))
    loop.feed.close()
    assert outcome.grad_norm > 0.001
    norm = torch.nn.utils.get_total_norm([parameter.grad for parameter in loop.step.model.parameters()])
    assert float(norm) == pytest.approx(0.001, rel=1e-2)


def test_a_step_that_is_not_finite_changes_nothing(tmp_path, tiny_model, tiny_loader, recipe):
    model = tiny_model()
    loop = make_loop(tmp_path, model, tiny_loader(), recipe())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.factor = float("nan")
    outcome = loop.step(0, loop.feed.get(0))
    loop.feed.close()
    assert not outcome.updated
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
