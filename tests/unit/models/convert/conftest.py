"""Small checkpoints in the formats of Megatron-DeepSpeed and DeepSpeed, written from transformers' own BLOOM."""

import argparse
import json
import re

import pytest
import torch

HEADS = 4
REPLICATED = re.compile(
    r"(layernorm|norm)\.(weight|bias)$|(self_attention\.dense|dense_4h_to_h)\.bias$|^(weight|bias)$"
)
ROW_PARALLEL = re.compile(r"(self_attention\.dense|dense_4h_to_h)\.weight$")


@pytest.fixture
def theirs():
    """Make a BLOOM of transformers whose weights are large enough that every one matters."""
    transformers = pytest.importorskip("transformers")
    config = transformers.BloomConfig(
        vocab_size=64, hidden_size=32, n_layer=3, n_head=HEADS, hidden_dropout=0.0, attention_dropout=0.0
    )
    model = transformers.BloomForCausalLM(config).eval()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, 0.2, generator=generator)
    return model


def layers_of(model):
    """Return number of a pipeline layer -> its tensors under Megatron's names, as the format has them."""
    layers = {}
    for name, tensor in model.transformer.state_dict().items():
        block = re.match(r"h\.(\d+)\.(.+)", name)
        if block is not None:
            layers.setdefault(int(block[1]) + 3, {})[block[2]] = tensor
        elif name.startswith("ln_f."):
            layers.setdefault(model.config.n_layer + 4, {})[name.removeprefix("ln_f.")] = tensor
        else:
            key = name.replace("word_embeddings_layernorm", "word_embeddings.norm")
            layers.setdefault(1, {})[key] = tensor
    return layers


def slice_of(key, tensor, rank, tp):
    if REPLICATED.search(key):
        return tensor.clone()
    return tensor.chunk(tp, dim=1 if ROW_PARALLEL.search(key) else 0)[rank].clone()


@pytest.fixture
def write_megatron():
    """Write layer_NN-model_TT files and one mp_rank file for each pipeline stage and tensor-parallel rank."""

    def write(model, folder, tp=1, pp=1, dtype=torch.float32, arguments=None):
        folder.mkdir(parents=True)
        for number, tensors in layers_of(model).items():
            for rank in range(tp):
                state = {key: slice_of(key, tensor.to(dtype), rank, tp) for key, tensor in tensors.items()}
                torch.save(state, folder / f"layer_{number:02d}-model_{rank:02d}-model_states.pt")
        known = argparse.Namespace(num_attention_heads=HEADS, padded_vocab_size=64)
        for rank in range(tp * pp):
            state = {"args": arguments or known, "iteration": 249, "dp_world_size": 2}
            torch.save(state, folder / f"mp_rank_{rank:02d}_model_states.pt")
        return folder

    return write


@pytest.fixture
def write_universal():
    """Write zero/<name>/{fp32,exp_avg,exp_avg_sq}.pt, the embedding without the last rows."""

    def write(model, folder, moments=None, padding_rows=4):
        for number, tensors in layers_of(model).items():
            for key, tensor in tensors.items():
                name = f"tied_modules.embed.{key}" if number == 1 else f"{number}.{key}"
                place = folder / "zero" / name
                place.mkdir(parents=True)
                values = {"fp32": tensor} | {kind: (moments or {}).get((name, kind), tensor**2) for kind in MOMENTS}
                for kind, value in values.items():
                    state = {"param": value.clone()}
                    if key == "word_embeddings.weight":
                        state = {
                            "param": value[: len(value) - padding_rows].clone(),
                            "cat_dim": 0,
                            "vocab_divisibility_padding_tensor": value[-1].clone(),
                        }
                    elif ROW_PARALLEL.search(key):
                        state["cat_dim"] = 1
                    torch.save(state, place / f"{kind}.pt")
        known = argparse.Namespace(num_attention_heads=HEADS)
        torch.save({"args": known, "iteration": 249}, folder / "mp_rank_00_model_states.pt")
        (folder.parent / "latest_universal").write_text(folder.name)
        return folder

    return write


MOMENTS = ("exp_avg", "exp_avg_sq")


@pytest.fixture
def like(theirs, tmp_path):
    """Make a folder with the configuration of ``theirs`` alone, as a hub id has it."""
    folder = tmp_path / "like"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(theirs.config.to_dict()))
    return folder


@pytest.fixture
def tokens():
    return torch.randint(0, 60, (2, 9), generator=torch.Generator().manual_seed(0))
