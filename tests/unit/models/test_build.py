import pytest
import torch

from xmtf.errors import ConfigError
from xmtf.models import SpecialTokens, build_model, model_size
from xmtf.models.build import padded_vocab_size, random_weights
from xmtf.recipe.schema import Model

BLOOM = Model(architecture="bloom", hidden_size=32, num_layers=2, num_heads=4)
MT5 = Model(architecture="mt5", hidden_size=32, num_layers=2, num_heads=4)
SPECIAL = SpecialTokens(pad=3, eos=2, bos=1)


def build(shape=BLOOM, **options):
    return build_model(shape, **{"vocab_size": 300, "special": SPECIAL, "seed": 1} | options)


@pytest.mark.parametrize("shape", [BLOOM, MT5])
def test_the_seed_decides_the_weights(shape):
    first, again, other = build(shape), build(shape), build(shape, seed=2)
    weights = [torch.cat([p.flatten() for p in model.parameters()]) for model in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("shape", [BLOOM, MT5])
def test_weights_drawn_one_after_the_other_are_those_of_the_whole_model(shape):
    drawn = dict(random_weights(build(shape, device="meta"), 1))
    whole = dict(build(shape).named_parameters())
    assert list(drawn) == list(whole)
    assert all(torch.equal(drawn[name], parameter) for name, parameter in whole.items())


def test_bloom_starts_as_transformers_does():
    model = build(Model(architecture="bloom", hidden_size=256, num_layers=1, num_heads=4))
    block = model.h[0]
    assert float(block.mlp.dense_h_to_4h.weight.detach().std()) == pytest.approx(0.02, rel=0.02)
    assert block.mlp.dense_h_to_4h.bias.abs().max() == 0
    assert torch.equal(block.input_layernorm.weight, torch.ones(256))


def test_mt5_starts_with_a_loss_near_that_of_guessing():
    model = build(Model(architecture="mt5", hidden_size=256, num_layers=2, num_heads=4))
    tokens = torch.arange(3, 43)[None]
    logits = model.logits(model.decode(tokens, model.encode(tokens)))
    loss = torch.nn.functional.cross_entropy(logits[0], tokens[0])
    assert float(loss.detach()) == pytest.approx(torch.tensor(384.0).log().item(), abs=1.0)


def test_the_vocabulary_is_padded_or_as_given():
    assert (padded_vocab_size(300), padded_vocab_size(384), padded_vocab_size(385)) == (384, 384, 512)
    assert padded_vocab_size(250_680, 250_880) == 250_880
    with pytest.raises(ConfigError, match=r"model\.vocab_size: 100 rows are too few for the tokenizer's 300"):
        padded_vocab_size(300, 100)


def test_dropout_and_special_tokens_come_from_the_recipe():
    model = build(Model(architecture="bloom", hidden_size=32, num_layers=1, num_heads=4, dropout=0.1))
    assert (model.dropout, model.config.special) == (0.1, SPECIAL)
    assert build(MT5).decoder_start == 3


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"hidden_size": 30, "num_heads": 4}, "hidden_size 30 is not a multiple of num_heads 4"),
        ({"feedforward_size": 100}, "feedforward_size: BLOOM's is 4 x hidden_size, 128"),
        ({"head_size": 16}, "head_size"),
        ({"architecture": "mt5", "hidden_size": 30, "num_heads": 4}, "not a multiple of num_heads 4; give head_size"),
    ],
)
def test_impossible_shapes_are_refused(shape, message):
    section = {"architecture": "bloom", "hidden_size": 32, "num_layers": 1, "num_heads": 4} | shape
    with pytest.raises(ConfigError, match=message):
        build(Model(**section))


def test_a_base_is_not_built():
    with pytest.raises(ConfigError, match="no `base`"):
        build(Model(base="x"))


def test_parameters_are_counted_without_weights():
    shape = Model(architecture="bloom", hidden_size=1024, num_layers=24, num_heads=16, vocab_size=250_880)
    size = model_size(build(shape, device="meta"))
    assert (size.embedding, size.head, size.body) == (256_901_120, 0, 302_313_472)
    flops = size.training_flops(2048, scored=2048, attended=0)
    assert 2.0 * 2048 * size.head_size * 3 / flops == pytest.approx(0.459, abs=0.002)


def test_parameters_of_mt5_by_side():
    shape = Model(
        architecture="mt5", hidden_size=512, num_layers=8, num_heads=6, head_size=64, feedforward_size=1024,
        vocab_size=250_112,
    )  # fmt: skip
    size = model_size(build(shape, device="meta"))
    assert size.total == 300_176_768
    inner, feedforward = 512 * 6 * 64, 3 * 512 * 1024
    assert size.matmul_encoder == 8 * (4 * inner + feedforward) + 8 * 2 * inner
    assert size.matmul_decoder == 8 * (6 * inner + feedforward)


@pytest.mark.parametrize(
    ("hidden_size", "num_layers", "num_heads", "billions"),
    [(1024, 24, 16, 0.559), (2560, 30, 32, 3.003), (4096, 30, 32, 7.069), (14336, 70, 112, 176.247)],
)
def test_released_blooms_have_their_size_without_weights(hidden_size, num_layers, num_heads, billions):
    shape = Model(
        architecture="bloom", hidden_size=hidden_size, num_layers=num_layers, num_heads=num_heads, vocab_size=250_880
    )
    assert model_size(build(shape, device="meta")).total / 1e9 == pytest.approx(billions, abs=0.001)


@pytest.mark.parametrize(
    ("hidden_size", "num_layers", "num_heads", "feedforward_size", "billions"),
    [(768, 12, 12, 2048, 0.582), (1024, 24, 16, 2816, 1.230), (4096, 24, 64, 10240, 12.921)],
)
def test_released_mt5s_have_their_size_without_weights(hidden_size, num_layers, num_heads, feedforward_size, billions):
    shape = Model(
        architecture="mt5", hidden_size=hidden_size, num_layers=num_layers, num_heads=num_heads, head_size=64,
        feedforward_size=feedforward_size, vocab_size=250_112,
    )  # fmt: skip
    assert model_size(build(shape, device="meta")).total / 1e9 == pytest.approx(billions, abs=0.001)
