"""The whole loop under layouts: validation, a worker that is killed, refusals."""

import os
import signal

import pytest
import torch
from tiny_training import make_loop, make_recipe, size

from xmtf.errors import ConfigError
from xmtf.files import read_jsonl
from xmtf.models.hub.head import find_head
from xmtf.models.hub.model import HubModel
from xmtf.parallel.topology.constraints import check_constraints
from xmtf.parallel.topology.mesh import resolve_dims
from xmtf.parallel.topology.parallel_dims import ParallelDims
from xmtf.parallel.topology.ranks import ALONE
from xmtf.training.checkpoint import checkpoint
from xmtf.training.start import adapt_model

ZERO_BUBBLE = {"parallel": {"schedule": "zero_bubble"}}


def run_whole(ranks, folder, layout, validation_rows=6, architecture="bloom", **training):
    given = {"save_every": 2, "validation_rows": validation_rows} | training
    make_loop(ranks, folder, architecture, layout, validation=True, **given).run()


def events(folder, kind):
    found = [event for event in read_jsonl(folder / "log-0.jsonl") if event["event"] == kind]
    return {event["step"]: event["loss"] for event in found}


# 5 rows: one of two data-parallel processes has fewer, and a round of two micro-batches through stages is not full
@pytest.mark.parametrize(
    ("architecture", "layout", "rows"),
    [
        ("bloom", "FSDP2 x TP x4", 6),
        ("bloom", "interleaved PP x2", 5),
        ("bloom", "zero bubble PP x2", 5),
        ("bloom", "FSDP2 x PP x4", 5),
        ("bloom", "FSDP2 x3", 1),
        ("llama", "interleaved PP x2", 5),
    ],
)
def test_validation_is_that_of_one_process(processes, tmp_path, architecture, layout, rows):
    run_whole(ALONE, tmp_path / "alone", "single", rows, architecture)
    processes(int(size(layout)), run_whole, tmp_path / "together", layout, rows, architecture)
    for kind in ("train", "validation"):
        expected = events(tmp_path / "alone", kind)
        assert len(expected) == (4 if kind == "train" else 5)
        found = events(tmp_path / "together", kind)
        assert found == pytest.approx(expected, rel=1e-5)
        assert kind == "train" or found[0] == pytest.approx(expected[0], rel=1e-6), "the same weights"


class Dying:
    """An objective whose process is killed in the middle of its third step."""

    def __init__(self, objective):
        self.objective, self.steps = objective, 0

    def __getattr__(self, name):
        return getattr(self.objective, name)

    def accumulate(self, micro_batches):
        self.steps += 1
        if self.steps == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        yield from self.objective.accumulate(micro_batches)


def die(ranks, folder, architecture, layout):
    loop = make_loop(ranks, folder, architecture, layout, save_every=1)
    if ranks.rank == 1:
        loop.step.objective = Dying(loop.step.objective)
    loop.run()


def resume(ranks, folder, architecture, layout):
    loop = make_loop(ranks, folder, architecture, layout, save_every=1)
    started = checkpoint.find_checkpoint(loop.checkpoints, "f", 4)
    loop.run()
    return started.name


@pytest.mark.parametrize(("architecture", "layout"), [("bloom", "FSDP2 x2"), ("bloom", "PP x2"), ("llama", "PP x2")])
def test_a_killed_worker_loses_nothing(processes, tmp_path, architecture, layout):
    run_whole(ALONE, tmp_path / "straight", "single", architecture=architecture)
    with pytest.raises(AssertionError, match="killed"):
        processes(2, die, tmp_path / "killed", architecture, layout)
    assert processes(2, resume, tmp_path / "killed", architecture, layout) == ["step-000002"] * 2
    assert events(tmp_path / "killed", "train") == pytest.approx(events(tmp_path / "straight", "train"), rel=1e-5)


@pytest.mark.parametrize(
    ("architecture", "training", "shape", "said"),
    [
        ("bloom", {}, ParallelDims(tp=4), "2 attention heads are not divisible among 4"),
        ("mt5", {}, ParallelDims(pp=2), "only causal models can be split into pipeline stages, not MT5"),
        ("bloom", {}, ParallelDims(pp=6), "6 pipeline stages for 3 blocks, an embedding and a head; set at most 5"),
        ("bloom", {"micro_batch_rows": 12}, ParallelDims(pp=2), "1 micro-batches do not fill 2 stages"),
        ("bloom", {"micro_batch_rows": 5}, ParallelDims(dp_shard=2), "6 rows of each of 2 processes are not divisible"),
        ("bloom", {"global_batch_rows": 9}, ParallelDims(dp_replicate=2), "9 rows are not divisible among 2 processes"),
        ("bloom", ZERO_BUBBLE | {"global_batch_rows": 5}, ParallelDims(pp=2), "5 micro-batches do not fill 2 stages"),
        (
            "bloom",
            ZERO_BUBBLE,
            ParallelDims(pp=2, dp_shard=2),
            "`zero_bubble` does not go with training.parallel.dp_shard",
        ),
        (
            "bloom",
            ZERO_BUBBLE | {"activation_checkpointing": True},
            ParallelDims(pp=2),
            "`zero_bubble` does not go with training.activation_checkpointing, which recomputes",
        ),
        (
            "bloom",
            ZERO_BUBBLE | {"attention": "flex"},
            ParallelDims(pp=2),
            r"does not go with training.attention.*`flex`",
        ),
        ("bloom", ZERO_BUBBLE | {"model": {"lora": {"rank": 4}}}, ParallelDims(pp=2), "model.lora"),
    ],
)
def test_layouts_that_do_not_fit_are_refused_in_one_line(architecture, training, shape, said):
    recipe = make_recipe(architecture, "single", **training)
    from xmtf.models import SpecialTokens, build_model

    model = build_model(recipe.model, vocab_size=300, special=SpecialTokens(pad=0, eos=1), seed=0, device="meta")
    adapt_model(model, recipe.model, seed=0)
    with pytest.raises(ConfigError, match=said) as caught:
        check_constraints(model, recipe.training, shape)
    assert "\n" not in str(caught.value)


def on_meta(kind, given):
    from transformers import AutoConfig, AutoModelForCausalLM

    shape = {"hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 6}
    config = AutoConfig.for_model(kind, vocab_size=64, pad_token_id=0, **shape | {"num_key_value_heads": 2} | given)
    with torch.device("meta"):
        network = AutoModelForCausalLM.from_config(config)
    return HubModel(network, find_head(network, kind), kind)


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        ("llama", {"num_key_value_heads": 3}, r"3 heads \(num_key_value_heads\) are not divisible among 2 processes"),
        ("llama", {"intermediate_size": 51}, r"gate_proj has 51 of colwise, not divisible among 2 processes"),
        ("gpt2", {}, r"tp: GPT2LMHeadModel has no plan of its own for slices \(base_model_tp_plan\); set tp to 1"),
        ("mixtral", {}, r"MixtralForCausalLM asks for .* that torch lacks \(moe_tp_experts, packed_colwise\)"),
        ("gemma", {}, "GemmaForCausalLM has more to its embedding or its head than a table"),
        ("granite", {"logits_scaling": 2.0}, "GraniteForCausalLM has more to its embedding or its head than a table"),
    ],
)
def test_models_of_transformers_that_cannot_be_sliced_are_refused_in_one_line(kind, given, said):
    with pytest.raises(ConfigError, match=said) as caught:
        check_constraints(on_meta(kind, given), make_recipe("bloom", "single").training, ParallelDims(tp=2))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        ("gpt2", {}, r"pp: GPT2LMHeadModel has no plan of its own for stages \(base_model_pp_plan\); set pp to 1"),
        ("gpt_neox", {}, "GPTNeoXForCausalLM is more than an embedding, blocks and a norm"),
        ("gemma", {}, "GemmaForCausalLM has more to its embedding than a table"),
        ("granite", {"embedding_multiplier": 2.0}, "GraniteForCausalLM computes more than its blocks and its norm"),
        ("qwen3_next", {}, "Qwen3NextForCausalLM has layers that are no attention of transformers' interface"),
        ("llama", {}, "4 pipeline stages for 1 blocks, an embedding and a head; set at most 3"),
    ],
)
def test_models_of_transformers_that_have_no_stages_are_refused_in_one_line(kind, given, said):
    with pytest.raises(ConfigError, match=said) as caught:
        check_constraints(on_meta(kind, given), make_recipe("bloom", "single").training, ParallelDims(pp=4))
    assert "\n" not in str(caught.value)


def test_degrees_have_to_multiply_to_the_number_of_processes():
    parallel = make_recipe("bloom", "FSDP2 x TP x4").training.parallel
    assert resolve_dims(parallel, 8) == ParallelDims(dp_replicate=2, dp_shard=2, tp=2)
    with pytest.raises(ConfigError, match="needs 4 processes, but there are 2"):
        resolve_dims(parallel, 2)
