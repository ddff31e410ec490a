"""A rehearsal beside the formulas, and what it counts of messages and of waits."""

import json

import pytest

from xmtf.models import SpecialTokens, build_model
from xmtf.parallel.topology.parallel_dims import ParallelDims
from xmtf.recipe.schema import Recipe
from xmtf.training.planning.candidate import Candidate
from xmtf.training.planning.memory import Estimator
from xmtf.training.preview import meta_model
from xmtf.training.rehearsal import rehearse as rehearsal
from xmtf.training.rehearsal.rehearse import rehearse
from xmtf.training.start import adapt_model

BLOOM = {"architecture": "bloom", "hidden_size": 256, "num_layers": 4, "num_heads": 4, "vocab_size": 512}
MT5 = {
    "architecture": "mt5", "hidden_size": 256, "num_layers": 2, "num_heads": 4, "head_size": 64,
    "feedforward_size": 512, "vocab_size": 512,
}  # fmt: skip
LLAMA = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 256, "intermediate_size": 512,
    "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 512, "pad_token_id": 3,
    "tie_word_embeddings": False,
}  # fmt: skip
# products of a tile of the vocabulary are most of what passes
HEAD = BLOOM | {"num_layers": 2, "vocab_size": 8192}
# matrices are much more than activations
WIDE = BLOOM | {"hidden_size": 1024, "num_layers": 6}
MODELS = {"bloom": BLOOM, "mt5": MT5, "head": HEAD, "wide": WIDE}
LAYOUTS = {
    "replicas": ParallelDims(dp_replicate=2),
    "shards": ParallelDims(dp_shard=2),
    "slices": ParallelDims(tp=2),
    "stages": ParallelDims(pp=2),
    "replicas x shards": ParallelDims(dp_replicate=2, dp_shard=2),
    "replicas x slices": ParallelDims(dp_replicate=2, tp=2),
    "shards x slices": ParallelDims(dp_shard=2, tp=2),
    "replicas x stages": ParallelDims(dp_replicate=2, pp=2),
    "shards x stages": ParallelDims(dp_shard=2, pp=2),
    "slices x stages": ParallelDims(tp=2, pp=2),
}


def make_recipe(architecture, lora=None, **training):
    packing = {"sequence_length": 128, "target_length": 64}
    values = {"steps": 2, "global_batch_rows": 32, "device": "cpu", "threads": 1, "precision": "bf16"}
    return Recipe.model_validate(
        {
            "name": "rehearsal",
            "mixture": {"tasks": [{}]},
            "tokens": {"packing": packing},
            "model": {"lora": lora}
            | (MODELS[architecture] | {"dropout": 0.0} if architecture in MODELS else {"base": architecture}),
            "training": values | training,
        }
    )


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    """A folder that has the configuration of a Llama and no weights."""
    folder = tmp_path_factory.mktemp("llama")
    (folder / "config.json").write_text(json.dumps(LLAMA))
    return str(folder)


def make_model(recipe):
    if recipe.model.base is not None:
        model = meta_model(recipe, None)
    else:
        vocab_size, special = recipe.model.vocab_size, SpecialTokens(3, 2, 1)
        model = build_model(recipe.model, vocab_size=vocab_size, special=special, seed=0, device="meta")
    adapt_model(model, recipe.model, seed=0)
    return model


def both(architecture, layout, stage=0, **more):
    """Return a rehearsal and what the formulas say of it."""
    recipe = make_recipe(architecture, **more)
    model = make_model(recipe)
    found = rehearse(model, model.family, recipe, layout, stage)
    estimator = Estimator.of(make_model(recipe), recipe, found.predicted_share, found.attended)
    return found, estimator.estimate_ranks(layout, [stage])[0]


def cases():
    """Yield every pair of axes that a model takes, with both kinds of sharding; most take too long for CI."""
    stages = {("bloom", "shards x stages", 1), ("bloom", "shards x stages", 3), ("bloom", "slices x stages", 3)}
    quick = {*stages, ("llama", "shards", 3), ("llama", "slices x stages", 3)}
    for architecture in ("bloom", "mt5", "llama"):
        for name, dims in LAYOUTS.items():
            if dims.pp > 1 and architecture == "mt5":
                continue
            for zero in (3, 1) if dims.dp_shard > 1 else (3,):
                slow = () if (architecture, name, zero) in quick else (pytest.mark.slow,)
                yield pytest.param(architecture, dims, zero, id=f"{architecture}, {name}, zero {zero}", marks=slow)


@pytest.mark.parametrize(("architecture", "dims", "zero"), list(cases()))
def test_formulas_are_within_a_tenth_of_a_rehearsal(architecture, dims, zero, llama):
    architecture = llama if architecture == "llama" else architecture
    found, formula = both(architecture, Candidate(dims, 2, checkpointing=False, zero=zero), dims.pp - 1)
    print(f"measured {found.peak / 2**20:.1f} MiB, formulas {formula.total / 2**20:.1f} MiB")  # for docs/scaling.md
    assert abs(formula.total / found.peak - 1) < 0.1, (formula, found)
    # the losses and the norm come back in one copy: what skips a step and what the log says
    assert [(line.partition(":")[0], count) for line, count in found.waits.items()] == [("training/loop/step.py", 1)]


@pytest.mark.parametrize("architecture", ["bloom", "llama"])
def test_what_zero_bubble_keeps_between_two_backward_passes_counts(architecture, llama):
    architecture = llama if architecture == "llama" else architecture
    layout = Candidate(ParallelDims(pp=3), 2, checkpointing=False, zero_bubble=True)
    found, formula = both(architecture, layout, stage=1)
    print(f"measured {found.peak / 2**20:.1f} MiB, formulas {formula.total / 2**20:.1f} MiB")
    assert abs(formula.total / found.peak - 1) < 0.1, (formula, found)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "axes"), [("bloom", "slices"), ("mt5", "slices"), ("bloom", "slices x stages")]
)
def test_formulas_of_recomputed_slices_are_within_a_twentieth(architecture, axes):
    dims = LAYOUTS[axes]
    found, formula = both(architecture, Candidate(dims, 2, checkpointing=True), dims.pp - 1)
    print(f"measured {found.peak / 2**20:.1f} MiB, formulas {formula.total / 2**20:.1f} MiB")  # for docs/scaling.md
    assert abs(formula.total / found.peak - 1) < 0.05, (formula, found)


@pytest.mark.parametrize("pp", [1, 4])
def test_gradients_in_bf16_that_wait_for_the_end_of_a_backward_pass_count(pp):
    layout = Candidate(ParallelDims(pp=pp), 1, checkpointing=True)
    found, formula = both("wide", layout, stage=min(1, pp - 1))
    print(f"measured {found.peak / 2**20:.1f} MiB, formulas {formula.total / 2**20:.1f} MiB")
    assert abs(formula.total / found.peak - 1) < 0.05, (formula, found)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_micro_batches_in_flight_share_copies_of_slices(checkpointing):
    """A stage with three in flight: a copy of its matrices for each would be half of what it takes, or none."""
    layout = Candidate(ParallelDims(pp=4, tp=2), 1, checkpointing=checkpointing)
    found, formula = both("wide", layout, stage=1)
    print(f"measured {found.peak / 2**20:.1f} MiB, formulas {formula.total / 2**20:.1f} MiB")
    assert abs(formula.total / found.peak - 1) < 0.1, (formula, found)


@pytest.mark.slow
@pytest.mark.parametrize(("shards", "zero"), [(1, 3), (2, 3), (2, 1)])
@pytest.mark.parametrize("architecture", ["bloom", "mt5", "llama"])
def test_adapters_are_within_a_tenth_of_a_rehearsal(architecture, shards, zero, llama):
    architecture = llama if architecture == "llama" else architecture
    layout = Candidate(ParallelDims(dp_shard=shards), 2, checkpointing=False, zero=zero)
    found, formula = both(architecture, layout, lora={"rank": 8}, precision="fp32")
    print(f"measured {found.peak / 2**20:.1f} MiB, formulas {formula.total / 2**20:.1f} MiB")
    assert abs(formula.total / found.peak - 1) < 0.1, (formula, found)


def test_the_products_of_a_tile_of_the_vocabulary_count():
    found, formula = both("head", Candidate(ParallelDims(), 1, checkpointing=False))
    product = 2 * HEAD["vocab_size"] * HEAD["hidden_size"]
    assert product > 0.05 * found.peak
    assert abs(formula.total / found.peak - 1) < 0.03, (formula, found)


def test_every_message_of_a_step_is_counted_by_its_axis():
    def messages(zero):
        layout = Candidate(LAYOUTS["shards x slices"], 1, checkpointing=False, zero=zero)
        found, _ = both("bloom", layout)
        return found.num_micro, {(each.axis, each.kind): each.count for each in found.exchanges}

    num_micro, every = messages(3)
    blocks = BLOOM["num_layers"]
    # two pairs of matrices a block: each gathers and scatters forward, and backward gathers what it read once more; the
    # embedding scatters and its gradient is gathered, and what the head reads is gathered
    assert every["tp", "allgather_base"] == num_micro * (6 * blocks + 2)
    assert every["tp", "reduce_scatter_base"] == num_micro * (4 * blocks + 1)
    # four exchanges of the head in each micro-batch; vectors, whose gradients are those of own positions, once
    assert every["tp", "allreduce"] == num_micro * 4 + 1
    assert every["dp_shard", "reduce_scatter_base"] == num_micro * blocks + 1
    _, once = messages(1)
    assert once["dp_shard", "reduce_scatter_base"] == blocks + 1
    assert once["tp", "allreduce"] == every["tp", "allreduce"]  # of the second rehearsal of a process, too
    assert all(axis != "other" for axis, _ in (*every, *once))
    # blocks, and the table after the update; FSDP2's guess of what comes next is wrong once at most
    assert blocks + 1 <= once["dp_shard", "allgather_base"] <= blocks + 2
    assert abs(every["dp_shard", "allgather_base"] - (2 * num_micro * blocks + 1)) <= num_micro


def test_more_micro_batches_take_no_more_memory(monkeypatch):
    """The schedule keeps the losses of a step: they must not keep what each micro-batch received."""
    layout, peaks = Candidate(LAYOUTS["stages"], 2, checkpointing=False), []
    for more in (0, 3):
        given = rehearsal.replace_batch
        with monkeypatch.context() as patch:
            patch.setattr(rehearsal, "replace_batch", lambda *of, add=more, do=given: do(*of[:2], of[2] + add))
            peaks.append(both("bloom", layout, stage=1)[0].peak)
    assert abs(peaks[1] - peaks[0]) < 4096, "hidden states of a micro-batch are 262,144 bytes"
