import random

import numpy as np
import pytest
import torch

from xmtf.errors import ConfigError, DataError, XmtfError
from xmtf.gguf.header import read_gguf
from xmtf.models import load_model
from xmtf.models.hub.gguf import gguf_config, gguf_tensors

gguf = pytest.importorskip("gguf")
transformers = pytest.importorskip("transformers")

SHAPE = {"vocab_size": 64, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "head_dim": 16}
LLAMA = transformers.LlamaConfig(**SHAPE, num_attention_heads=4, num_key_value_heads=2, rope_theta=5000.0)


def permuted(values, heads):
    """Return rows in the order that llama.cpp's converter writes queries and keys in."""
    return values.reshape(heads, 2, values.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(values.shape)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return transformers.LlamaForCausalLM(LLAMA).eval()


@pytest.fixture
def path(tmp_path, model):
    writer = gguf.GGUFWriter(tmp_path / "tiny.gguf", "llama")
    writer.add_name("tiny")
    writer.add_context_length(128)
    writer.add_block_count(2)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(96)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_dimension_count(16)
    writer.add_rope_freq_base(5000.0)
    writer.add_token_list([f"t{i}" for i in range(64)])
    writer.add_token_scores([0.0] * 64)
    writer.add_eos_token_id(2)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 2)
    for name, tensor in model.state_dict().items():
        values = tensor.numpy()
        if "q_proj" in name or "k_proj" in name:
            values = permuted(values, 4 if "q_proj" in name else 2)
        own = names.get_name(name.removesuffix(".weight")) + ".weight"
        if "mlp" in name:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(own, gguf.quantize(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(own, np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tmp_path / "tiny.gguf"


def test_configuration_and_weights_come_back(path, model):
    file = read_gguf(path)
    config = gguf_config(file)
    expected = SHAPE | {"num_key_value_heads": 2, "max_position_embeddings": 128, "rope_theta": 5000.0}
    assert {key: config[key] for key in expected} == expected
    assert (config["eos_token_id"], config["tie_word_embeddings"]) == (2, False)
    weights = model.state_dict()
    read = dict(gguf_tensors(file, config, torch.float32))
    assert read.keys() == weights.keys()
    for name, tensor in read.items():
        atol = 2e-3 if "mlp" in name else 0.0
        torch.testing.assert_close(tensor, weights[name], rtol=0, atol=atol)


def test_the_loaded_model_answers_as_the_original(path, model):
    loaded = load_model(str(path)).model
    tokens = torch.arange(3, 13)[None]
    with torch.no_grad():
        expected = model(input_ids=tokens).logits
        got = loaded.logits(loaded.hidden_states(tokens))
    torch.testing.assert_close(got, expected, rtol=0.05, atol=0.05 * float(expected.std()))


def test_other_files_and_torn_ones_are_refused(path, tmp_path):
    (tmp_path / "text.gguf").write_text("hello, I am no model")
    with pytest.raises(DataError, match="not a GGUF file"):
        load_model(str(tmp_path / "text.gguf"))
    data = path.read_bytes()
    (tmp_path / "torn.gguf").write_bytes(data[:300])
    with pytest.raises(DataError, match="incomplete or damaged GGUF file"):
        load_model(str(tmp_path / "torn.gguf"))
    (tmp_path / "short.gguf").write_bytes(data[:-100])
    with pytest.raises(DataError, match="cut short"):
        load_model(str(tmp_path / "short.gguf"))


def test_scaled_rotary_positions_are_refused(path):
    file = read_gguf(path)
    file.fields["llama.rope.scaling.type"] = "yarn"
    with pytest.raises(ConfigError, match="scaled rotary positions"):
        gguf_config(file)


def test_a_damaged_file_is_refused_in_one_line_or_loads_with_finite_weights_of_its_shape(path):
    expected = {name: parameter.shape for name, parameter in load_model(str(path)).model.named_parameters()}
    whole, draw, refused = path.read_bytes(), random.Random(0), 0
    for turn in range(150):
        at = draw.randrange(4000 if turn % 2 else len(whole))  # header and table, or anywhere
        kind = ("cut", "flip", "zeros", "noise", "empty")[turn % 5]
        size = draw.choice((1, 4, 40))
        other = {
            "cut": whole[:at],
            "flip": whole[:at] + bytes([whole[at] ^ (1 << draw.randrange(8))]) + whole[at + 1 :],
            "zeros": whole[:at] + bytes(size) + whole[at + size :],
            "noise": whole[:at] + draw.randbytes(size) + whole[at + size :],
            "empty": b"",
        }[kind]
        path.write_bytes(other)
        model, refusal = None, ""
        try:
            model = load_model(str(path)).model
        except XmtfError as error:
            refusal = str(error)
        if model is None:
            refused += 1
            assert len(refusal.splitlines()) == 1
            continue
        assert kind not in ("cut", "empty"), f"{kind} at {at} was accepted"
        found = dict(model.named_parameters())
        assert all(torch.isfinite(parameter).all() for parameter in found.values()), (kind, at)
        assert {name: parameter.shape for name, parameter in found.items()} == expected, (kind, at)
    assert refused > 60
