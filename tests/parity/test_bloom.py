"""Our BLOOM against transformers', on shapes that are no powers of two."""

import pytest
import torch
from torch.nn import functional

transformers = pytest.importorskip("transformers")

from xmtf.models import SpecialTokens, build_model, load_model, save_model  # noqa: E402
from xmtf.models.bloom.names import transformers_name  # noqa: E402
from xmtf.recipe.schema import Model  # noqa: E402

SHAPES = [(60, 5, 131), (48, 3, 97), (56, 7, 251), (64, 8, 128)]


@pytest.fixture(params=SHAPES, ids=str)
def pair(request, tmp_path):
    """Return transformers' model with random weights, and the same loaded by us."""
    hidden_size, num_heads, vocab_size = request.param
    torch.manual_seed(1)
    config = transformers.BloomConfig(vocab_size=vocab_size, hidden_size=hidden_size, n_layer=3, n_head=num_heads)
    theirs = transformers.BloomForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.normal_(0.0, 0.2)
    theirs.save_pretrained(tmp_path)
    return theirs, load_model(str(tmp_path)).model


def tokens_of(model, rows, positions, seed=0):
    return torch.randint(4, model.vocab_size, (rows, positions), generator=torch.Generator().manual_seed(seed))


def test_logits_are_those_of_transformers(pair):
    theirs, ours = pair
    tokens = tokens_of(ours, 2, 23)
    expected = theirs(input_ids=tokens).logits
    torch.testing.assert_close(ours.logits(ours.hidden_states(tokens)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing(pair, side):
    theirs, ours = pair
    tokens = tokens_of(ours, 3, 12)
    mask = torch.ones_like(tokens)
    for row, pads in enumerate((0, 4, 7)):
        mask[row, : pads if side == "left" else 0] = 0
        if side == "right" and pads:
            mask[row, -pads:] = 0
    expected = theirs(input_ids=tokens, attention_mask=mask).logits
    got = ours.logits(ours.hidden_states(tokens, segment_ids_RT=mask))
    assert torch.isfinite(got).all()
    torch.testing.assert_close(got[mask.bool()], expected[mask.bool()], rtol=1e-5, atol=1e-5)


def test_loss_and_gradients_are_those_of_transformers(pair):
    theirs, ours = pair
    tokens = tokens_of(ours, 2, 17)
    expected = theirs(input_ids=tokens, labels=tokens).loss
    expected.backward()
    logits = ours.logits(ours.hidden_states(tokens[:, :-1]))
    loss = functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
    loss.backward()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    gradients = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    for name, parameter in ours.named_parameters():
        expected_gradient = gradients[transformers_name(name)]
        scale = expected_gradient.abs().max()
        torch.testing.assert_close(parameter.grad, expected_gradient, rtol=1e-4, atol=float(scale) * 1e-5)


def test_greedy_generation_is_that_of_transformers(pair):
    theirs, ours = pair
    tokens = tokens_of(ours, 3, 9)
    mask = torch.ones_like(tokens)
    mask[1, :3] = 0
    mask[2, :6] = 0
    with torch.no_grad():
        expected = theirs.generate(
            input_ids=tokens, attention_mask=mask, max_new_tokens=12, min_new_tokens=12, do_sample=False, pad_token_id=3
        )[:, 9:]
        cache, new, segment_ids = ours.new_cache(), tokens, mask
        generated = []
        for _ in range(12):
            logits = ours.logits(ours.hidden_states(new, segment_ids_RT=segment_ids, cache=cache)[:, -1])
            logits[:, 2] = -torch.inf  # min_new_tokens forbids the end of text
            new = logits.argmax(-1, keepdim=True)
            segment_ids = torch.ones_like(new)
            generated.append(new)
    assert torch.cat(generated, dim=1).tolist() == expected.tolist()


def test_a_folder_of_ours_loads_in_transformers_with_the_same_logits(tmp_path):
    shape = Model(architecture="bloom", hidden_size=60, num_layers=2, num_heads=5)
    ours = build_model(shape, vocab_size=301, special=SpecialTokens(pad=3, eos=2, bos=1), seed=5)
    save_model(ours, tmp_path, tokenizer=None)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    tokens = tokens_of(ours, 2, 31)
    torch.testing.assert_close(
        ours.logits(ours.hidden_states(tokens)), theirs(input_ids=tokens).logits, rtol=1e-5, atol=1e-6
    )
    assert theirs.config.vocab_size == 384
    assert theirs.generation_config.eos_token_id == 2
    assert theirs.generation_config.pad_token_id == 3


def test_a_file_saved_without_the_prefix_loads(tmp_path, pair):
    theirs, ours = pair
    theirs.transformer.save_pretrained(tmp_path / "body")
    tokens = tokens_of(ours, 1, 8)
    again = load_model(str(tmp_path / "body")).model
    assert torch.equal(again.hidden_states(tokens), ours.hidden_states(tokens))


def test_residual_after_the_norm_is_that_of_transformers(tmp_path):
    config = transformers.BloomConfig(
        vocab_size=97, hidden_size=24, n_layer=2, n_head=3, apply_residual_connection_post_layernorm=True
    )
    theirs = transformers.BloomForCausalLM(config).eval()
    theirs.save_pretrained(tmp_path)
    ours = load_model(str(tmp_path)).model
    tokens = tokens_of(ours, 2, 11)
    torch.testing.assert_close(
        ours.logits(ours.hidden_states(tokens)), theirs(input_ids=tokens).logits, rtol=1e-5, atol=1e-5
    )
