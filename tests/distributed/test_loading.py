"""Each process reads and holds its own part of the weights that training starts from, never the whole."""

import weakref

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_training import VOCABULARY, make_recipe, size
from torch.distributed.tensor import DTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from xmtf.models import SpecialTokens, build_model, load_model, save_model
from xmtf.models.load import open_model
from xmtf.parallel.topology.mesh import build_mesh
from xmtf.recipe.schema import Model
from xmtf.training.numerics.precision import computing
from xmtf.training.parallel.layout import cut_model
from xmtf.training.start import check_model, start_model

PADDED = 384  # rows of embedding and head


class Counted(TorchDispatchMode):
    """Counts the bytes of tensors that live at the same time; what is mapped from files is no memory of its own."""

    def __init__(self):
        super().__init__()
        self.live = self.peak = 0
        self.known = set()

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        if any(issubclass(kind, DTensor) for kind in types):
            return NotImplemented  # its local tensor comes by next
        result = function(*arguments, **(keywords or {}))
        made = not any(returned.alias_info for returned in function._schema.returns)
        for tensor in tree_leaves(result):
            here = isinstance(tensor, torch.Tensor) and tensor.untyped_storage().device.type == "cpu"
            if made and here:  # DTensors find out shapes with tensors of no memory
                self._count(tensor.untyped_storage())
        return result

    def _count(self, storage):
        pointer, num_bytes = storage._cdata, storage.nbytes()
        if pointer not in self.known:
            self.known.add(pointer)
            self.live += num_bytes
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self._forget, pointer, num_bytes)

    def _forget(self, pointer, num_bytes):
        self.known.discard(pointer)
        self.live -= num_bytes


class Read:
    """Weights, and how many numbers of them were read."""

    def __init__(self, stored):
        self.stored, self.numbers = stored, 0

    def part(self, name, offset, shape):
        part = self.stored.part(name, offset, shape)
        self.numbers += part.numel()
        return part


def load_part(ranks, folder, layout, model=None, **training):
    """Load this process's part; return the bytes at the peak, the numbers read, and the pieces."""
    recipe = make_recipe("bloom", layout, model=model, **training)
    mesh = build_mesh(recipe.training.parallel, ranks, torch.device("cpu"))
    start = start_model(str(folder), recipe.model, seed=3, in_pieces=True)
    weights = Read(start.stored)
    with Counted() as counted:
        cut = cut_model(start.model, recipe.training, mesh, torch.device("cpu"), weights)
    with computing(recipe.training.precision, torch.device("cpu")):
        for part in cut.parts:
            check_model(part, recipe)
    pieces = {name: (piece.offset, piece.local.detach().clone()) for name, piece in cut.pieces.items()}
    return counted.peak, weights.numbers, pieces


def save(kind, folder, dtype):
    if kind == "llama":
        from transformers import LlamaConfig, LlamaForCausalLM

        torch.manual_seed(3)
        shape = {"hidden_size": 132, "intermediate_size": 260, "num_hidden_layers": 3, "num_attention_heads": 2}
        LlamaForCausalLM(LlamaConfig(vocab_size=PADDED, **shape)).to(dtype).save_pretrained(folder)
        return
    recipe = make_recipe(kind, "single")
    model = build_model(recipe.model, vocab_size=VOCABULARY, special=SpecialTokens(pad=0, eos=1, bos=None), seed=5)
    save_model(model.to(dtype), folder, tokenizer=None)


@pytest.mark.parametrize(
    ("kind", "layout"),
    [
        ("bloom", "FSDP2 x3"),
        ("bloom", "interleaved PP x2"),
        ("bloom", "FSDP2 x TP x4"),
        ("bloom", "TP x PP x4"),
        ("mt5", "FSDP2 x TP x4"),
        ("llama", "FSDP2 x TP x4"),
        ("llama", "FSDP2 x PP x4"),
    ],
)
def test_a_process_reads_and_holds_its_part_alone(processes, tmp_path, kind, layout):
    save(kind, tmp_path, torch.bfloat16)
    whole = {name: parameter.detach() for name, parameter in load_model(str(tmp_path)).model.named_parameters()}
    found = processes(size(layout), load_part, tmp_path, layout)
    same_and_complete(whole, [pieces for _, _, pieces in found])
    total = sum(parameter.numel() for parameter in whole.values())
    tables = {name: len(weight) * weight.shape[1] for name, weight in whole.items() if len(weight) == PADDED}
    for peak, numbers, pieces in found:
        # beyond its pieces a process holds embedding and head whole; of FSDP2, padded in a copy, one at a time
        assert numbers <= sum(tables.get(name, part.numel()) for name, (_, part) in pieces.items())
        assert 4 * numbers <= peak <= 4 * (numbers + max(tables.values())) + 1024
        assert numbers < 0.7 * total


def same_and_complete(whole, processes):
    """Check that pieces are parts of the whole, and that all together they are all of it."""
    covered = {name: torch.zeros(weight.shape, dtype=torch.bool) for name, weight in whole.items()}
    for pieces in processes:
        for name, (offset, part) in pieces.items():
            region = tuple(slice(start, start + length) for start, length in zip(offset, part.shape, strict=True))
            assert torch.equal(part, whole[name][region]), name
            covered[name][region] = True
    assert all(places.all() for places in covered.values())


@pytest.mark.parametrize("kind", ["bloom", "llama"])
def test_what_is_gathered_in_bf16_is_checked_in_bf16(processes, tmp_path, kind):
    save(kind, tmp_path, torch.float32)
    assert len(processes(2, load_part, tmp_path, "FSDP2 x2", precision="bf16")) == 2


def test_adapters_are_drawn_as_for_the_whole_model(processes, tmp_path):
    save("bloom", tmp_path, torch.float32)
    adapted = {"lora": {"rank": 4}}
    start = start_model(str(tmp_path), make_recipe("bloom", "single", model=adapted).model, seed=3)
    whole = {name: parameter.detach() for name, parameter in start.model.named_parameters()}
    found = processes(2, load_part, tmp_path, "FSDP2 x2", adapted)
    same_and_complete(whole, [pieces for _, _, pieces in found])


def test_what_cannot_be_read_in_pieces_is_loaded_whole(tmp_path):
    save("llama", tmp_path, torch.float32)
    renamed = {f"body.{name}": tensor for name, tensor in load_file(tmp_path / "model.safetensors").items()}
    assert start_model(str(tmp_path), Model(base="x"), seed=0, in_pieces=True).stored is not None
    save_file(renamed, tmp_path / "model.safetensors")
    assert open_model(str(tmp_path)) is None


def test_a_head_that_is_stored_twice_is_tied(tmp_path):
    from transformers import MT5Config, MT5ForConditionalGeneration

    shape = {"d_model": 24, "d_kv": 8, "d_ff": 40, "num_layers": 1, "num_heads": 3, "vocab_size": 50}
    MT5ForConditionalGeneration(MT5Config(**shape, tie_word_embeddings=True)).save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors["lm_head.weight"] = tensors["shared.weight"].clone()
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    opened, loaded = open_model(str(tmp_path)), load_model(str(tmp_path)).model
    assert "lm_head.weight" not in opened.stored.shapes
    for model in (opened.model, loaded):
        assert model.config.tied
        assert model.lm_head.weight is model.shared.weight
    tensors["lm_head.weight"][7, 7] += 1
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert not load_model(str(tmp_path)).model.config.tied
