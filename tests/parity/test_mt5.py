"""Our mT5 against transformers', on shapes that are no powers of two."""

import pytest
import torch
from torch.nn import functional

transformers = pytest.importorskip("transformers")

from xmtf.models import SpecialTokens, build_model, load_model, save_model  # noqa: E402
from xmtf.models.mt5.names import transformers_name  # noqa: E402
from xmtf.recipe.schema import Model  # noqa: E402

SHAPES = [(48, 3, 20, 131), (36, 5, 8, 97)]


@pytest.fixture(params=SHAPES, ids=str)
def pair(request, tmp_path):
    """Return transformers' model with random weights and a head of its own, and the same loaded by us."""
    d_model, num_heads, d_kv, vocab_size = request.param
    torch.manual_seed(1)
    config = transformers.MT5Config(
        vocab_size=vocab_size, d_model=d_model, d_kv=d_kv, d_ff=70, num_layers=2, num_decoder_layers=3,
        num_heads=num_heads, dropout_rate=0.0,
    )  # fmt: skip
    theirs = transformers.MT5ForConditionalGeneration(config).eval()
    theirs.lm_head.weight = torch.nn.Parameter(torch.randn(vocab_size, d_model) * 0.05)
    theirs.config.tie_word_embeddings = False
    theirs.save_pretrained(tmp_path)
    return theirs, load_model(str(tmp_path)).model


def tokens_of(model, rows, positions, seed=0):
    return torch.randint(3, model.vocab_size, (rows, positions), generator=torch.Generator().manual_seed(seed))


def shifted(targets):
    return torch.cat([torch.zeros_like(targets[:, :1]), targets[:, :-1]], dim=1)


def test_logits_are_those_of_transformers_beyond_the_exact_buckets(pair):
    theirs, ours = pair
    inputs, targets = tokens_of(ours, 2, 150), tokens_of(ours, 2, 140, seed=1)
    expected = theirs(input_ids=inputs, decoder_input_ids=targets).logits
    got = ours.logits(ours.decode(targets, ours.encode(inputs)))
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_padding_changes_nothing(pair):
    theirs, ours = pair
    inputs, targets = tokens_of(ours, 3, 12), tokens_of(ours, 3, 7, seed=1)
    mask = torch.ones_like(inputs)
    mask[1, 8:] = 0
    mask[2, :5] = 0
    decoder_mask = torch.ones_like(targets)
    decoder_mask[1, 4:] = 0
    expected = theirs(
        input_ids=inputs, attention_mask=mask, decoder_input_ids=targets, decoder_attention_mask=decoder_mask
    ).logits
    encoded = ours.encode(inputs, segment_ids_RS=mask)
    got = ours.logits(ours.decode(targets, encoded, segment_ids_RT=decoder_mask, encoder_segment_ids_RS=mask))
    assert torch.isfinite(got).all()
    torch.testing.assert_close(got[decoder_mask.bool()], expected[decoder_mask.bool()], rtol=1e-5, atol=1e-5)


def test_loss_and_gradients_are_those_of_transformers(pair):
    theirs, ours = pair
    inputs, targets = tokens_of(ours, 2, 19), tokens_of(ours, 2, 9, seed=1)
    expected = theirs(input_ids=inputs, labels=targets).loss
    expected.backward()
    logits = ours.logits(ours.decode(shifted(targets), ours.encode(inputs)))
    loss = functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    loss.backward()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    gradients = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    for name, parameter in ours.named_parameters():
        expected_gradient = gradients[transformers_name(name)]
        scale = float(expected_gradient.abs().max())
        torch.testing.assert_close(parameter.grad, expected_gradient, rtol=1e-4, atol=max(scale * 1e-5, 1e-8))


def test_greedy_generation_is_that_of_transformers(pair):
    theirs, ours = pair
    inputs = tokens_of(ours, 3, 11)
    mask = torch.ones_like(inputs)
    mask[1, 6:] = 0
    with torch.no_grad():
        expected = theirs.generate(
            input_ids=inputs,
            attention_mask=mask,
            max_new_tokens=10,
            min_new_tokens=10,
            do_sample=False,
            use_cache=False,
        )[:, 1:]
        encoded = ours.encode(inputs, segment_ids_RS=mask)
        cache, new, generated = ours.new_cache(), torch.zeros(3, 1, dtype=torch.long), []
        for _ in range(10):
            hidden = ours.decode(new, encoded, encoder_segment_ids_RS=mask, cache=cache)
            logits = ours.logits(hidden[:, -1])
            logits[:, 1] = -torch.inf  # min_new_tokens forbids the end of text
            new = logits.argmax(-1, keepdim=True)
            generated.append(new)
    assert torch.cat(generated, dim=1).tolist() == expected.tolist()


def test_a_folder_of_ours_loads_in_transformers_with_the_same_logits(tmp_path):
    shape = Model(architecture="mt5", hidden_size=60, num_layers=2, num_heads=5)
    ours = build_model(shape, vocab_size=301, special=SpecialTokens(pad=0, eos=1), seed=5)
    save_model(ours, tmp_path, tokenizer=None)
    theirs = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path).eval()
    inputs, targets = tokens_of(ours, 2, 31), tokens_of(ours, 2, 9, seed=1)
    expected = theirs(input_ids=inputs, decoder_input_ids=targets).logits
    torch.testing.assert_close(ours.logits(ours.decode(targets, ours.encode(inputs))), expected, rtol=1e-5, atol=1e-5)
    assert theirs.generation_config.decoder_start_token_id == 0


def test_a_tied_model_of_transformers_stays_tied(tmp_path):
    config = transformers.MT5Config(vocab_size=97, d_model=24, d_kv=8, d_ff=32, num_layers=2, num_heads=3)
    theirs = transformers.MT5ForConditionalGeneration(config).eval()
    theirs.shared.weight.data.mul_(0.05)  # logits of about one: fp32 itself errs by more than 1e-5 of large ones
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_model(str(tmp_path / "theirs")).model
    assert ours.lm_head.weight is ours.shared.weight
    inputs, targets = tokens_of(ours, 2, 8), tokens_of(ours, 2, 5, seed=1)
    expected = theirs(input_ids=inputs, decoder_input_ids=targets).logits
    torch.testing.assert_close(ours.logits(ours.decode(targets, ours.encode(inputs))), expected, rtol=1e-5, atol=1e-5)
    save_model(ours, tmp_path / "ours", tokenizer=None)
    again = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "ours").eval()
    assert torch.equal(again(input_ids=inputs, decoder_input_ids=targets).logits, expected)
