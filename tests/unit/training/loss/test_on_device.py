"""What a micro-batch asks of a device: copies, waits and kernels, counted with ``meta`` in the place of a GPU.

A tensor of ``meta`` has no numbers, so whatever would read one on the host (``.item()``, ``.tolist()``, a copy back, an
index whose shape depends on numbers) raises an error there instead of waiting.
"""

from collections import Counter
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from xmtf.models.bloom import Bloom
from xmtf.models.bloom.config import BloomConfig
from xmtf.models.layers import document_bias
from xmtf.models.layers.host_copies import remember
from xmtf.models.mt5 import MT5
from xmtf.models.mt5.config import MT5Config
from xmtf.models.torch_private import TorchDispatchMode, tree_leaves
from xmtf.recipe.schema import Recipe
from xmtf.training.loss.head import Head, tile_room, tiles
from xmtf.training.loss.objective import Objective
from xmtf.training.loss.targets import select_targets
from xmtf.training.optim.adafactor import Adafactor
from xmtf.training.rehearsal.rows import RehearsalRows

META = torch.device("meta")
VOCABULARY, LENGTH, HEADS = 20_000, 128, 8


class Counted(TorchDispatchMode):
    """Counts operations, copies from the host, and the most numbers of a tensor of three dimensions."""

    def __init__(self):
        super().__init__()
        self.operations, self.copies, self.biases = Counter(), 0, [0]

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.operations[func.overloadpacket.__name__] += 1
        devices = {leaf.device.type for leaf in tree_leaves(args) if isinstance(leaf, torch.Tensor)}
        made = [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        self.copies += devices == {"cpu"} and any(leaf.is_meta for leaf in made)
        self.biases += [leaf.numel() for leaf in made if leaf.ndim == 3 and leaf.shape[1] == leaf.shape[2]]
        return result


@contextmanager
def counted():
    with Counted() as mode:
        yield mode


@pytest.fixture(autouse=True)
def without_autocast(monkeypatch):
    """``meta`` has no autocast."""
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda device=None: False)
    monkeypatch.setattr(torch, "autocast", lambda *kind, **how: nullcontext())


def make(family, heads=slice(None), layers=2):
    if family == "causal":
        with META:
            model = Bloom(BloomConfig(VOCABULARY, 64, layers, HEADS, dropout=0.0))
        model.heads = heads
        return model
    with META:
        return MT5(MT5Config(VOCABULARY, 64, 1, 1, HEADS, 8, 128, dropout=0.0))


def one_micro_batch(model, dtype=torch.bfloat16):
    """Return an objective on ``meta`` and what it takes."""
    model.train()
    model.accumulate_in_place = True
    recipe = Recipe.model_validate(
        {
            "name": "device",
            "mixture": {"tasks": [{}]},
            "tokens": {"packing": {"sequence_length": LENGTH, "target_length": 32}},
            "model": {"base": "none"},
            "training": {"steps": 1, "global_batch_rows": 2},
        }
    )
    batch = RehearsalRows(recipe, model.family, VOCABULARY).batch(0, micro=0, num_micro=1)
    head = Head(model, compute_dtype=dtype, _plain=True)  # whether it is plain is found out once, by numbers
    return Objective(model, head, num_groups=2, device=META), (batch, select_targets(batch, "target"), 1.0)


@pytest.mark.parametrize("family", ["causal", "encoder-decoder"])
def test_a_micro_batch_travels_in_few_copies_and_is_never_waited_for(family):
    objective, micro_batch = one_micro_batch(make(family))
    objective(*micro_batch)  # slopes and buckets are sent once
    with counted() as mode:
        sums = objective(*micro_batch)
    assert sums.rows.is_meta
    # the batch with its targets; documents of each stack; pairs of documents, of an encoder-decoder
    assert mode.copies == {"causal": 2, "encoder-decoder": 4}[family]
    assert all(weight.grad is not None for weight in objective.model.parameters())
    assert mode.operations["_local_scalar_dense"] == 0


def test_alibi_is_computed_for_own_heads_alone():
    sizes = []
    for heads in (slice(None), slice(0, HEADS // 4)):
        model = make("causal", heads)
        for block in model.h:
            own = len(range(*heads.indices(HEADS))) * 8
            block.self_attention.query_key_value = torch.nn.Linear(64, 3 * own, device=META)
            block.self_attention.dense = torch.nn.Linear(own, 64, device=META)
        objective, micro_batch = one_micro_batch(model)
        with counted() as mode:
            objective(*micro_batch)
        sizes.append(max(mode.biases))
    assert sizes[0] == 4 * sizes[1] > 0


def test_a_stage_that_recomputes_makes_its_bias_once_a_pass_and_not_once_a_block(monkeypatch):
    made = []
    whole = document_bias.alibi_document_bias
    monkeypatch.setattr("xmtf.models.bloom.model.alibi_document_bias", lambda *a, **k: made.append(1) or whole(*a, **k))
    model = make("causal", layers=4).train()
    model.activation_checkpointing = True
    stages = [model.part(0, 3, first=True, last=False), model.part(3, 4, first=False, last=True)]
    rows = [np.repeat(np.arange(1, 9, dtype=np.int32), count)[None] for count in (4, 6)]
    there = [remember(torch.from_numpy(ids).to(META), ids) for ids in rows]
    passes = []
    for ids in there:
        tokens = torch.zeros(ids.shape, dtype=torch.long, device=META)
        hidden = tokens
        for stage in stages:
            hidden = stage(hidden, ids)
        passes.append(hidden)
    assert len(made) == 4, "two micro-batches through two stages"
    for hidden in passes:
        hidden.sum().backward()
    assert len(made) == 8, "and back"
    kept = [stage.latest_bias for stage in stages]
    assert kept[0] is kept[1], "one bias is kept, however many stages a process has"


def test_tiles_of_the_vocabulary_are_as_large_as_the_device_has_room_for(monkeypatch):
    calls = []
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=80 * 10**9))
    room = tile_room(torch.device("cuda", 0))
    assert room == 625_000_000
    assert tile_room(torch.device("cpu")) == 0
    shape = (250_880, 14_336)
    for each_room in (0, room // 4, room):
        parts = tiles(shape, 268, torch.bfloat16, each_room)
        calls.append(len(parts))
        assert parts[0].start == 0
        assert parts[-1].stop >= shape[0]
        assert each_room == 0 or (parts[0].stop - parts[0].start) * shape[1] * 2 <= each_room
    assert calls == [31, 47, 12]
    assert len(tiles(shape, 268, torch.float32, room)) == 1, "fp32 is added in place"


def test_a_large_tile_is_fewer_kernels():
    counts = []
    for room in (0, 2**30):
        objective, micro_batch = one_micro_batch(make("causal"))
        objective.head._room_for_tile = room
        with counted() as mode:
            objective(*micro_batch)
        counts.append(mode.operations["mm"])
    assert counts[0] - counts[1] == 3 * 2, "three products a tile, three tiles or one"


def test_adafactor_updates_without_reading_a_number():
    objective, micro_batch = one_micro_batch(make("encoder-decoder"))
    objective(*micro_batch)
    optimizer = Adafactor(objective.model.parameters(), 1e-3)
    optimizer.step()
    with counted() as mode:
        optimizer.step()
    assert mode.operations["_local_scalar_dense"] == 0
    assert {float(state["step"]) for state in optimizer.state.values()} == {2.0}
