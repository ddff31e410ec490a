"""Packed loss and gradient against separate examples through transformers; Adafactor against transformers'."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional

transformers = pytest.importorskip("transformers")

from xmtf.models import load_model  # noqa: E402
from xmtf.training.loss.head import Head  # noqa: E402
from xmtf.training.loss.objective import Objective  # noqa: E402
from xmtf.training.loss.targets import loss_scales, select_targets  # noqa: E402
from xmtf.training.optim.adafactor import Adafactor  # noqa: E402

VOCAB = 97
# (inputs, targets) of each row; the first row is full, the second has padding
ROWS = [
    [([5, 6, 7, 8], [9, 2]), ([11], [12, 13, 14, 2]), ([15, 16], [2])],
    [([20, 21, 22], [23, 24, 2]), ([30, 31, 32, 33], [34, 2])],
]
PAIRS = [pair for row in ROWS for pair in row]


def causal_model(kind):
    if kind == "bloom":
        return transformers.BloomConfig(
            vocab_size=VOCAB, hidden_size=36, n_layer=2, n_head=3, hidden_dropout=0.0, attention_dropout=0.0
        )
    shape = {"vocab_size": VOCAB, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 6, "num_key_value_heads": 3, "pad_token_id": 0}
    if kind == "gemma2":  # logits are capped: no plain product
        return transformers.Gemma2Config(**shape, **heads, head_dim=8, sliding_window=4, final_logit_softcapping=3.0)
    return transformers.LlamaConfig(**shape, **heads)


def causal_batch():
    length = 14
    tokens = np.zeros((len(ROWS), length), np.int64)
    segments = np.zeros((len(ROWS), length), np.int32)
    is_input = np.zeros((len(ROWS), length), bool)
    groups = np.full((len(ROWS), 3), -1, np.int32)
    for row, pairs in enumerate(ROWS):
        start = 0
        for number, (inputs, targets) in enumerate(pairs, start=1):
            end = start + len(inputs) + len(targets)
            tokens[row, start:end] = inputs + targets
            segments[row, start:end] = number
            is_input[row, start : start + len(inputs)] = True
            groups[row, number - 1] = number % 2
            start = end
    return SimpleNamespace(tokens=tokens, segment_ids=segments, is_input=is_input, groups=groups)


def encoder_decoder_batch():
    shape = (len(ROWS), 9)
    arrays = {
        name: np.zeros(shape, np.int64 if "segment" not in name else np.int32)
        for name in (
            "encoder_tokens",
            "encoder_segment_ids",
            "decoder_inputs",
            "decoder_targets",
            "decoder_segment_ids",
        )
    }
    groups = np.full((len(ROWS), 3), -1, np.int32)
    for row, pairs in enumerate(ROWS):
        begin = start = 0
        for number, (inputs, targets) in enumerate(pairs, start=1):
            arrays["encoder_tokens"][row, begin : begin + len(inputs)] = inputs
            arrays["encoder_segment_ids"][row, begin : begin + len(inputs)] = number
            arrays["decoder_targets"][row, start : start + len(targets)] = targets
            arrays["decoder_inputs"][row, start : start + len(targets)] = [0, *targets[:-1]]
            arrays["decoder_segment_ids"][row, start : start + len(targets)] = number
            groups[row, number - 1] = 0
            begin, start = begin + len(inputs), start + len(targets)
    return SimpleNamespace(**arrays, groups=groups)


def randomise(model):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, 0.2)


def ours(folder, batch):
    model = load_model(str(folder)).model
    model.accumulate_in_place = True
    objective = Objective(model, Head(model, chunk_bytes=4 * VOCAB * 3), 2, torch.device("cpu"))
    targets = [select_targets(batch, "target")]
    losses = objective(batch, targets[0], loss_scales(targets, "target")[0])
    return float(losses.loss), model


def norm_of_gradients(model):
    return float(torch.nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None]))


def assert_same(ours_loss, our_model, their_loss, theirs):
    assert ours_loss == pytest.approx(float(their_loss), abs=2e-5)
    torch.testing.assert_close(
        our_model.head_weight().grad, theirs.get_output_embeddings().weight.grad, rtol=1e-4, atol=1e-6
    )
    assert norm_of_gradients(our_model) == pytest.approx(norm_of_gradients(theirs), rel=1e-5)


@pytest.mark.parametrize("kind", ["bloom", "llama", "gemma2"])
def test_packed_causal_loss_and_gradient_are_those_of_separate_examples(kind, tmp_path):
    torch.manual_seed(0)
    theirs = transformers.AutoModelForCausalLM.from_config(causal_model(kind)).eval()
    randomise(theirs)
    theirs.save_pretrained(tmp_path)
    losses = []
    for inputs, targets in PAIRS:
        logits = theirs(input_ids=torch.tensor([inputs + targets])).logits[0]
        losses.append(functional.cross_entropy(logits[len(inputs) - 1 : -1], torch.tensor(targets)))
    their_loss = torch.stack(losses).mean()
    their_loss.backward()
    assert_same(*ours(tmp_path, causal_batch()), their_loss.detach(), theirs)


def test_packed_encoder_decoder_loss_and_gradient_are_those_of_separate_examples(tmp_path):
    torch.manual_seed(0)
    config = transformers.MT5Config(
        vocab_size=VOCAB, d_model=36, d_kv=12, d_ff=50, num_layers=2, num_heads=3, dropout_rate=0.0,
        tie_word_embeddings=False,
    )  # fmt: skip
    theirs = transformers.MT5ForConditionalGeneration(config).eval()
    randomise(theirs)
    theirs.lm_head.weight = torch.nn.Parameter(torch.randn(VOCAB, 36) * 0.2)
    theirs.config.tie_word_embeddings = False
    theirs.save_pretrained(tmp_path)
    losses = [
        theirs(input_ids=torch.tensor([inputs]), labels=torch.tensor([targets])).loss for inputs, targets in PAIRS
    ]
    their_loss = torch.stack(losses).mean()
    their_loss.backward()
    assert_same(*ours(tmp_path, encoder_decoder_batch()), their_loss.detach(), theirs)


def test_adafactor_equals_that_of_transformers_where_both_factor():
    torch.manual_seed(0)
    ours_weight = torch.nn.Parameter(torch.randn(130, 140))
    ours_vector = torch.nn.Parameter(torch.randn(50))
    theirs_weight = torch.nn.Parameter(ours_weight.detach().clone())
    theirs_vector = torch.nn.Parameter(ours_vector.detach().clone())
    optimizer = Adafactor([ours_weight, ours_vector], lr=1e-3)
    reference = transformers.Adafactor(
        [theirs_weight, theirs_vector], lr=1e-3, eps=(1e-30, 1e-3), clip_threshold=1.0, decay_rate=-0.8,
        scale_parameter=True, relative_step=False, warmup_init=False,
    )  # fmt: skip
    for _ in range(5):
        for left, right in ((ours_weight, theirs_weight), (ours_vector, theirs_vector)):
            left.grad = torch.randn_like(left)
            right.grad = left.grad.clone()
        optimizer.step()
        reference.step()
    torch.testing.assert_close(ours_weight, theirs_weight, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(ours_vector, theirs_vector, rtol=1e-5, atol=1e-7)
