import itertools

import numpy as np
import pytest

from xmtf.errors import DataError
from xmtf.models import load_model

gguf = pytest.importorskip("gguf")
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from xmtf.gguf.reader import quick_gguf, quick_merges  # noqa: E402 - needs gguf
from xmtf.tokens.tokenizer.loading import load_tokenizer  # noqa: E402

SHAPE = {
    "vocab_size": 40, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "head_dim": 16,
    "num_attention_heads": 2, "num_key_value_heads": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A Gemma 2 of random weights, which no reader of ours knows, with a vocabulary and odd fields."""
    path = tmp_path_factory.mktemp("gguf") / "gemma.gguf"
    torch.manual_seed(0)
    model = transformers.Gemma2ForCausalLM(transformers.Gemma2Config(**SHAPE, sliding_window=8))
    writer = gguf.GGUFWriter(path, "gemma2")
    writer.add_name("tiny")
    writer.add_context_length(64)
    writer.add_block_count(2)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(48)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_key_length(16)
    writer.add_value_length(16)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_sliding_window(8)
    writer.add_tokenizer_model("llama")
    tokens = [
        "<pad>",
        "<eos>",
        "<bos>",
        "<unk>",
        *"▁abcdefghijklmnop",
        *(f"▁{letter}é" for letter in "abcdefghijklmnopqrs"),
    ]
    writer.add_token_list(tokens)
    writer.add_token_scores([-float(place) for place in range(40)])
    writer.add_token_types([3, 3, 3, 2, *[1] * 36])
    writer.add_array("test.flags", [True, False, True])
    for kind, number in (("pad", 0), ("eos", 1), ("bos", 2), ("unk", 3)):
        getattr(writer, f"add_{kind}_token_id")(number)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GEMMA2, 2)
    for name, tensor in model.state_dict().items():
        own = names.get_name(name.removesuffix(".weight"))
        if name != "lm_head.weight" and own is not None:
            values = tensor.numpy() + (1 if "norm" in name else 0)
            writer.add_tensor(own + ".weight", np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path, model.eval()


def test_the_quick_reader_finds_what_the_slow_one_finds(path):
    slow = gguf.GGUFReader(path[0])
    with quick_gguf():
        quick = gguf.GGUFReader(path[0])
    assert type(quick) is not type(slow)
    assert list(quick.fields) == list(slow.fields)
    for name, field in slow.fields.items():
        assert quick.fields[name].types == field.types, name
        assert quick.fields[name].contents() == field.contents(), name
        assert len(quick.fields[name].data) == len(field.data), name
    assert [tensor.name for tensor in quick.tensors] == [tensor.name for tensor in slow.tensors]
    assert all(np.array_equal(a.data, b.data) for a, b in zip(quick.tensors, slow.tensors, strict=True))
    assert gguf.GGUFReader is type(slow)


def test_a_gemma_answers_as_the_original(path):
    file, original = path
    model = load_model(str(file)).model
    tokens = torch.arange(3, 13)[None]
    with torch.no_grad():
        expected = original(input_ids=tokens).logits
        torch.testing.assert_close(model.logits(model.hidden_states(tokens)), expected, rtol=1e-4, atol=1e-4)


def test_a_torn_file_is_named(path, tmp_path):
    short = tmp_path / "short.gguf"
    short.write_bytes(path[0].read_bytes()[:900])
    with pytest.raises(DataError, match="short"):
        load_model(str(short))


def test_without_the_vocabulary_other_fields_are_the_same(path, caplog):
    slow = gguf.GGUFReader(path[0])
    with quick_gguf(vocabulary=False):
        quick = gguf.GGUFReader(path[0])
    assert list(quick.fields) == list(slow.fields)
    assert len(quick.fields["tokenizer.ggml.tokens"].data) == 0
    assert quick.fields["test.flags"].contents() == [True, False, True]
    names = [name for name in slow.fields if quick.fields[name].contents() != slow.fields[name].contents()]
    assert names == ["tokenizer.ggml.tokens"]
    load_tokenizer(path[0])
    assert not caplog.records


@pytest.mark.parametrize("step", [-1.0, 0.0])  # 0: equal scores
def test_merges_are_those_that_transformers_finds(step):
    tokens = ["".join(letters) for size in range(1, 5) for letters in itertools.product("ab", repeat=size)]
    vocab = {token: place for place, token in enumerate(tokens)}
    scores = {token: step * vocab[token] for token in tokens}
    slow = transformers.tokenization_utils_base.generate_merges
    found = quick_merges(slow, vocab, scores)
    assert found == slow(vocab, scores)
    assert len(found) > 40


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    """A GPT-2 whose number of positions and inner size are not those that transformers takes for granted."""
    path = tmp_path_factory.mktemp("gguf") / "gpt2.gguf"
    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(vocab_size=40, n_embd=32, n_layer=1, n_head=2, n_inner=48, n_positions=64)
    )
    writer = gguf.GGUFWriter(path, "gpt2")
    writer.add_context_length(64)
    writer.add_block_count(1)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(48)
    writer.add_head_count(2)
    writer.add_layer_norm_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["<end>", *"abcdefghijklm", *(f"{letter}b" for letter in "abcdefghijklmnopqrstuvwxyz")])
    writer.add_token_types([3, *[1] * 39])
    writer.add_token_merges([f"{letter} b" for letter in "abcdefghijklm"])
    writer.add_eos_token_id(0)
    writer.add_bos_token_id(0)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GPT2, 1)
    for name, tensor in model.transformer.state_dict().items():
        stem, suffix = name.rsplit(".", 1)
        values = tensor.numpy()
        writer.add_tensor(
            f"{names.get_name(stem)}.{suffix}", np.ascontiguousarray(values.T if ".c_" in name else values)
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path, model.eval()


def test_a_gpt2_of_other_sizes_answers_as_the_original(gpt2):
    file, original = gpt2
    model = load_model(str(file)).model
    tokens = torch.arange(3, 35)[None]
    with torch.no_grad():
        expected = original(input_ids=tokens).logits
        torch.testing.assert_close(model.logits(model.hidden_states(tokens)), expected, rtol=1e-4, atol=1e-4)


def test_a_tokenizer_has_the_tokens_of_the_file_and_no_others(gpt2):
    tokenizer = load_tokenizer(gpt2[0])  # transformers adds <|endoftext|>
    assert (tokenizer.vocab_size, tokenizer.eos) == (40, 0)
    assert [int(number) for number in tokenizer.encode(["abcb<end>"])[0]] == [14, 16, 0]
