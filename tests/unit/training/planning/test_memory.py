"""The estimate against autograd's own record of what it keeps, and its behaviour over layouts."""

from dataclasses import replace

import pytest
import torch

from xmtf.models import SpecialTokens, build_model
from xmtf.parallel.topology.parallel_dims import ParallelDims, stage_blocks
from xmtf.recipe.schema import Recipe
from xmtf.training.numerics.precision import prepare
from xmtf.training.planning.activations import NumberFormats, count_activations
from xmtf.training.planning.candidate import Candidate
from xmtf.training.planning.memory import Estimator, estimate_memory
from xmtf.training.start import adapt_model

ROWS, INPUTS, TARGETS = 2, 80, 96


def make_recipe(architecture, num_layers=2, dropout=0.0, lora=None, **training):
    more = {} if architecture == "bloom" else {"head_size": 12, "feedforward_size": 160}
    shape = {"hidden_size": 64, "num_layers": num_layers, "num_heads": 4, "vocab_size": 512, "dropout": dropout}
    return Recipe.model_validate(
        {
            "name": "memory",
            "mixture": {"tasks": [{}]},
            "tokens": {"packing": {"sequence_length": INPUTS, "target_length": TARGETS}},
            "model": {"architecture": architecture, "lora": lora} | shape | more,
            "training": {"steps": 1, "global_batch_rows": 8, "micro_batch_rows": ROWS} | training,
        }
    )


def make_model(recipe, device="meta"):
    model = build_model(recipe.model, vocab_size=512, special=SpecialTokens(3, 2, 1), seed=0, device=device)
    adapt_model(model, recipe.model, seed=0)
    return model


def one_document(recipe):
    """Return the formats of rows that hold one document each."""
    return replace(NumberFormats.of(recipe), documents=False)


def saved_bytes(recipe, segments=None):
    """Return the bytes that autograd saves in one forward pass, each storage once, weights left out."""
    model = make_model(recipe, "cpu")
    prepare(model, recipe)
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage
        return tensor

    inputs, targets = (torch.randint(5, 500, (ROWS, length)) for length in (INPUTS, TARGETS))
    ones, more_ones = torch.ones_like(inputs), torch.ones_like(targets)
    if segments is not None:
        ones, more_ones = (torch.tensor(rows)[:, :length] for rows, length in ((segments, INPUTS), (segments, TARGETS)))
    with (
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=recipe.training.precision == "bf16"),
    ):
        if recipe.model.architecture == "bloom":
            output = model.hidden_states(inputs, segment_ids_RT=ones)
        else:
            encoded = model.encode(inputs, segment_ids_RS=ones)
            output = model.decode(targets, encoded, segment_ids_RT=more_ones, encoder_segment_ids_RS=ones)
    del output
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "bf16_pure"])
@pytest.mark.parametrize("architecture", ["bloom", "mt5"])
def test_a_layer_keeps_what_autograd_saves(architecture, precision, dropout):
    one, two = (make_recipe(architecture, layers, dropout, precision=precision) for layers in (1, 2))
    model = make_model(one)
    counted = count_activations(model, one, ROWS, one_document(one)).layers
    if precision == "bf16":  # autocast saves its copies of matrices with them
        counted += 2 * sum(
            parameter.numel()
            for name, parameter in model.named_parameters()
            if parameter.ndim == 2
            and not name.startswith(("word_embeddings", "shared", "lm_head"))
            and "relative" not in name
        )
    assert counted == pytest.approx(saved_bytes(two) - saved_bytes(one), rel=0.01)


@pytest.mark.parametrize("architecture", ["bloom", "mt5"])
def test_documents_of_several_lengths_keep_no_more_than_is_counted(architecture):
    one, two = (make_recipe(architecture, layers) for layers in (1, 2))
    sizes = [[30, 8, 20, 19, 19], [41, 7, 16, 15, 17]]
    segments = [[number for number, size in enumerate(row, start=1) for _ in range(size)] for row in sizes]
    kept = saved_bytes(two, segments) - saved_bytes(one, segments)
    counted = count_activations(make_model(one), one, ROWS, NumberFormats.of(one)).layers
    alone = count_activations(make_model(one), one, ROWS, one_document(one)).layers
    assert kept <= counted
    if architecture == "bloom":  # scores that are kept, as mT5's, are counted as of the longest document there may be
        assert alone < kept


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("architecture", ["bloom", "mt5"])
def test_a_layer_with_adapters_keeps_what_autograd_saves(architecture, precision):
    one, two = (make_recipe(architecture, layers, lora={"rank": 1}, precision=precision) for layers in (1, 2))
    model = make_model(one)
    counted = count_activations(model, one, ROWS, one_document(one)).layers
    assert counted == pytest.approx(saved_bytes(two) - saved_bytes(one), rel=0.03)


def test_frozen_matrices_are_kept_in_bf16_and_counted_so():
    recipe = make_recipe("bloom", lora={"rank": 2}, precision="bf16")
    model = make_model(recipe, "cpu")
    prepare(model, recipe)
    held = sum(parameter.nbytes for parameter in model.parameters())
    casts = 2 * sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    assert estimate_memory(model, recipe).weights == pytest.approx(held + casts, rel=0.02)


def test_checkpointing_keeps_the_inputs_of_layers_alone():
    one, two = (make_recipe("bloom", layers, activation_checkpointing=True) for layers in (1, 2))
    counted = count_activations(make_model(one), one, ROWS, NumberFormats.of(one))
    assert saved_bytes(two) - saved_bytes(one) == pytest.approx(counted.boundaries, rel=0.01)
    assert counted.boundaries < counted.layers / 10


def test_a_pipeline_stage_that_recomputes_keeps_no_bias_for_its_micro_batches():
    recipe = make_recipe("bloom")
    whole = make_model(recipe, "cpu")
    whole.train()
    stage = whole.part(0, 2, first=True, last=False)
    tokens = torch.randint(5, 500, (ROWS, INPUTS))
    ids = torch.ones_like(tokens).cumsum(1) // 30 + 1
    expected = stage(tokens, ids)
    stage.activation_checkpointing = True
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        hidden = stage(tokens, ids)
    assert torch.equal(hidden, expected)
    assert max(kept.values()) < ROWS * INPUTS**2  # no matrix of positions, let alone one a head
    hidden.sum().backward()
    again = torch.autograd.grad(expected.sum(), whole.h[0].mlp.dense_h_to_4h.weight)[0]
    torch.testing.assert_close(whole.h[0].mlp.dense_h_to_4h.weight.grad, again)


def test_weights_gradients_and_optimizer_are_counted_exactly():
    recipe = make_recipe("bloom")
    model = make_model(recipe, "cpu")
    optimizer = torch.optim.AdamW(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    state = sum(value.nbytes for values in optimizer.state.values() for key, value in values.items() if key != "step")
    estimate = estimate_memory(model, recipe)
    assert estimate.weights == estimate.gradients == sum(parameter.nbytes for parameter in model.parameters())
    assert estimate.optimizer == state


def test_what_does_not_train_has_no_gradient_and_no_moments():
    recipe = make_recipe("bloom")
    model = make_model(recipe)
    whole = estimate_memory(model, recipe)
    for parameter in model.h.parameters():
        parameter.requires_grad_(False)
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    estimate = estimate_memory(model, recipe)
    assert estimate.gradients == pytest.approx(4 * trained)
    assert estimate.optimizer == pytest.approx(8 * trained)
    assert estimate.weights == whole.weights


def test_adafactor_remembers_rows_and_columns():
    from xmtf.training.optim.adafactor import Adafactor

    recipe = make_recipe("mt5", optimizer={"name": "adafactor"})
    recipe = recipe.model_copy(update={"model": recipe.model.model_copy(update={"hidden_size": 128})})
    model = make_model(recipe, "cpu")
    optimizer = Adafactor(model.parameters(), 1e-3)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    state = sum(value.nbytes for values in optimizer.state.values() for key, value in values.items() if key != "step")
    assert estimate_memory(model, recipe).optimizer == pytest.approx(state)


def layout(recipe, **dims):
    return replace(Candidate.of(recipe), dims=ParallelDims(**dims), gpu=True)


@pytest.mark.parametrize("architecture", ["bloom", "mt5"])
def test_every_axis_of_model_parallelism_saves_memory(architecture):
    recipe = make_recipe(architecture, num_layers=8)
    model = make_model(recipe)
    single = estimate_memory(model, recipe, layout(recipe))
    assert estimate_memory(model, recipe, layout(recipe, dp_replicate=4)).weights == single.weights
    for dims in ({"dp_shard": 4}, {"tp": 4}, *([{"pp": 4}] if architecture == "bloom" else [])):
        spread = estimate_memory(model, recipe, layout(recipe, **dims))
        assert spread.weights + spread.gradients + spread.optimizer < 0.75 * (
            single.weights + single.gradients + single.optimizer
        )


def test_the_embedding_stands_in_both_end_stages():
    recipe = make_recipe("bloom", num_layers=2)
    model = make_model(recipe)
    size = estimate_memory(model, recipe).size
    spread = estimate_memory(model, recipe, layout(recipe, pp=4))
    assert spread.gradients == 4 * max(size.embedding, size.body / 2)


def test_a_stage_without_blocks_gathers_none():
    recipe = make_recipe("bloom", num_layers=2)
    estimator = Estimator.of(make_model(recipe), recipe)
    for zero in (1, 3):
        spread = replace(layout(recipe, pp=4, dp_shard=2), zero=zero)
        ends, block = (estimator.estimate_ranks(spread, [stage])[0] for stage in (0, 1))
        assert ends.weights == ends.gradients == 4 * estimator.size.embedding
        assert block.weights > block.gradients * (3 - zero) / 2


def test_a_stage_in_the_middle_may_need_most():
    assert [len(blocks) for blocks in stage_blocks(12, 6)] == [1, 2, 3, 3, 2, 1]
    recipe = make_recipe("bloom", num_layers=12, activation_checkpointing=True)
    model = make_model(recipe)
    estimate = estimate_memory(model, recipe, layout(recipe, pp=6))
    assert estimate.gradients == pytest.approx(4 * estimate.size.body * 3 / 12)


def test_stages_hold_every_block_once():
    for blocks, stages in ((70, 72), (70, 12), (30, 7), (2, 4), (24, 1)):
        parts = stage_blocks(blocks, stages)
        assert [block for part in parts for block in part] == list(range(blocks))
        assert len(parts) == stages
    assert {len(part) for part in stage_blocks(70, 72)[1:-1]} == {1}
