"""Pipeline stages of models of transformers: one after the other they compute what the whole does, to the bit."""

import pytest
import torch

from xmtf.models.hub.head import find_head
from xmtf.models.hub.model import HubModel

SHAPE = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4}
KINDS = {
    "llama": {"tie_word_embeddings": True},
    "mistral": {"sliding_window": 4},
    "qwen2": {},
    "qwen3": {"head_dim": 8},
    "smollm3": {"pad_token_id": 0},
    "olmo2": {"pad_token_id": 0},
    "olmo3": {"pad_token_id": 0, "sliding_window": 3, "layer_types": ["sliding_attention", "full_attention"] * 2},
    "cohere": {"pad_token_id": 0, "logit_scale": 0.5},
    "mixtral": {"num_local_experts": 2},
}


def make(kind):
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(1)
    config = AutoConfig.for_model(kind, vocab_size=64, **SHAPE | {"num_key_value_heads": 2} | KINDS[kind])
    network = AutoModelForCausalLM.from_config(config).eval()
    return HubModel(network, find_head(network, kind), kind)


def in_turn(parts, hidden, caches=(None, None, None), **ids):
    for part, cache in zip(parts, caches, strict=True):
        hidden = part.hidden_states(hidden, cache=cache, **ids)
    return hidden


@pytest.mark.parametrize("kind", KINDS)
def test_stages_in_turn_are_the_whole_model(kind):
    model = make(kind)
    assert model.stage_fault is None
    parts = [
        model.part(start, start + num, first=start == 0, last=start == 3) for start, num in ((0, 1), (1, 2), (3, 1))
    ]
    held = {name: parameter for part in parts for name, parameter in part.named_parameters()}
    assert held == dict(model.named_parameters())  # the same tensors, under the same names
    tokens = torch.arange(3, 15).view(2, 6)
    packed = torch.tensor([[1, 1, 1, 2, 2, 2], [1, 1, 2, 2, 2, 0]])
    with torch.no_grad():
        for ids in (None, packed, (packed != 0).long()):
            whole = model.hidden_states(tokens, segment_ids_RT=ids)
            assert torch.equal(in_turn(parts, tokens, segment_ids_RT=ids), whole)
        padded = torch.tensor([[0, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]])
        cache, caches = model.network_cache(), [part.new_cache() for part in parts]
        for begin, end in ((0, 4), (4, 6)):
            ids = padded[:, begin:end]
            whole = model.hidden_states(tokens[:, begin:end], segment_ids_RT=ids, cache=cache)
            found = in_turn(parts, tokens[:, begin:end], caches, segment_ids_RT=ids)
            assert torch.equal(found[ids != 0], whole[ids != 0])
            rows = torch.tensor([1, 0])
            cache, caches = cache.select(rows), [each.select(rows) for each in caches]
            tokens, padded = tokens[rows], padded[rows]


def test_a_stage_lets_go_of_what_others_hold():
    model = make("qwen2")
    first, last = model.part(0, 2, first=True, last=False), model.part(2, 4, first=False, last=True)
    assert (first.num_blocks, last.num_blocks) == (2, 2)
    assert {name.split(".")[2] for name, _ in first.named_parameters()} == {"embed_tokens", "layers"}
    assert not hasattr(first, "head")
    assert [table is model.head_weight() for table in last.tables()] == [True]
