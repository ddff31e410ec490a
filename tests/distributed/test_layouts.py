"""Every layout computes what one process computes: losses and gradient norms, step after step."""

import pytest
from tiny_training import LAYOUTS, losses, size

from xmtf.models.layers.documents import Documents
from xmtf.parallel.topology.ranks import ALONE
from xmtf.training.parallel import layout as layouts


def check(processes, folder, architecture, layout, rel=1e-5, steps=2, **training):
    alone = losses(ALONE, folder, architecture, "single", steps, **training)
    for found in processes(size(layout), losses, folder, architecture, layout, steps, **training):
        for (loss, norm), (expected, expected_norm) in zip(found, alone, strict=True):
            assert loss == pytest.approx(expected, rel=rel)
            assert norm == pytest.approx(expected_norm, rel=10 * rel)


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "single"])
def test_bloom_with_adamw(processes, tmp_path, layout):
    check(processes, tmp_path, "bloom", layout)


@pytest.mark.parametrize(
    ("architecture", "layout", "precision"),
    [
        ("bloom", "PP x2", "fp32"),
        ("bloom", "PP x2", "bf16"),
        ("bloom", "TP x PP x4", "bf16"),
        ("bloom", "TP x PP x4", "bf16_pure"),
        ("llama", "PP x2", "fp32"),
        ("llama", "TP x PP x4", "bf16"),
    ],
)
def test_zero_bubble_has_the_numbers_of_1f1b_bit_for_bit(processes, tmp_path, architecture, layout, precision):
    plain, zero = (
        processes(size(layout), losses, tmp_path, architecture, name, 3, precision=precision)
        for name in (layout, f"zero bubble {layout}")
    )
    assert plain == zero


def test_zero_bubble_with_a_micro_batch_more_than_there_are_stages(processes, tmp_path):
    check(processes, tmp_path, "bloom", "zero bubble PP x2", global_batch_rows=3)


@pytest.mark.parametrize("layout", ["FSDP2 x2", "TP x2", "FSDP2 x TP x4"])
def test_mt5_with_adafactor_and_z_loss(processes, tmp_path, layout):
    adafactor = {"name": "adafactor", "learning_rate": 0.01}
    check(processes, tmp_path, "mt5", layout, optimizer=adafactor, z_loss=1e-4)


@pytest.mark.parametrize("layout", ["FSDP2 x TP x4", "TP x PP x4"])
def test_bloom_with_adafactor_and_clipping(processes, tmp_path, layout):
    adafactor = {"name": "adafactor", "learning_rate": 0.01, "clip_norm": 0.1}
    check(processes, tmp_path, "bloom", layout, optimizer=adafactor)


def test_a_vocabulary_that_does_not_divide(processes, tmp_path):
    check(processes, tmp_path, "mt5", "FSDP2 x TP x4", model={"vocab_size": 387, "hidden_size": 24})


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("layout", ["FSDP2 x2", "TP x2", "PP x2", "FSDP2 x TP x4", "DP x2"])
def test_bloom_with_adamw_in_8_bit(processes, tmp_path, layout):
    """Columns of 256 times any number make the same blocks on every layout, so even rounding is equal."""
    pytest.importorskip("bitsandbytes", reason="the extra `gpu` is not installed")
    eight_bit = {"name": "adamw_8bit", "learning_rate": 0.01}
    shape = {"hidden_size": 512, "num_layers": 2}
    options = {"optimizer": eight_bit, "model": shape, "global_batch_rows": 4}
    check(processes, tmp_path, "bloom", layout, rel=1e-4, steps=4, **options)


@pytest.mark.parametrize(
    ("architecture", "layout", "precision"),
    [
        ("bloom", "FSDP2 x2", "fp32"),
        ("bloom", "FSDP2 x2", "bf16"),
        ("bloom", "DP x2", "bf16"),
        ("bloom", "TP x2", "fp32"),
        ("mt5", "FSDP2 x TP x4", "fp32"),
        ("qwen3", "TP x2", "fp32"),
        ("llama", "FSDP2 x2", "bf16"),
        ("bloom", "PP x2", "bf16"),
        ("bloom", "FSDP2 x PP x4", "fp32"),
        ("qwen3", "TP x PP x4", "fp32"),
        ("llama", "interleaved PP x2", "fp32"),
    ],
)
def test_adapters(processes, tmp_path, architecture, layout, precision):
    model = {"hidden_size": 24, "lora": {"rank": 4}}
    check(processes, tmp_path, architecture, layout, precision=precision, global_batch_rows=4, model=model)


def test_slices_of_a_model_whose_heads_have_norms(processes, tmp_path):
    check(processes, tmp_path, "qwen3", "FSDP2 x TP x4", global_batch_rows=4)


@pytest.mark.parametrize(
    "layout", ["PP x2", "interleaved PP x2", "FSDP2 x PP x4", "ZeRO-1 x PP x4", "TP x PP x4", "PP x4"]
)
@pytest.mark.parametrize("architecture", ["llama", "qwen3"])
def test_stages_of_a_model_of_transformers(processes, tmp_path, architecture, layout):
    check(processes, tmp_path, architecture, layout, global_batch_rows=8)


def test_slices_of_a_model_that_does_not_share_positions(processes, tmp_path):
    check(processes, tmp_path, "neox", "TP x2", global_batch_rows=4)


@pytest.mark.parametrize(("architecture", "layout"), [("bloom", "TP x2"), ("bloom", "TP x PP x4"), ("mt5", "TP x2")])
def test_shared_positions_of_whole_rows(processes, tmp_path, monkeypatch, architecture, layout):
    monkeypatch.setattr(Documents, "of", lambda _: None)  # as where a segment is in several pieces
    check(processes, tmp_path, architecture, layout, prefix_lm=architecture == "bloom")


def test_an_encoder_decoder_of_transformers(processes, tmp_path):
    check(processes, tmp_path, "umt5", "FSDP2 x2", global_batch_rows=4)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("architecture", ["bloom", "mt5", "llama"])
def test_replicas_whose_sums_begin_within_the_backward_pass(processes, tmp_path, monkeypatch, architecture, recompute):
    monkeypatch.setattr(layouts, "_SMALL", 100)  # every matrix travels alone
    recomputed = {"activation_checkpointing": recompute}
    check(processes, tmp_path, architecture, "DP x2", global_batch_rows=4, **recomputed)
