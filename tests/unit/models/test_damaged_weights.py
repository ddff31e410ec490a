"""Weights that are cut short or no numbers are named, whichever kind of model holds them."""

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from xmtf.errors import DataError, UserError, XmtfError
from xmtf.models import load_model

SPECIAL = {"vocab_size": 97, "bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0}
T5 = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2, "decoder_start_token_id": 0, **SPECIAL}
BLOOM = {"hidden_size": 16, "n_layer": 1, "n_head": 2, **SPECIAL}
KINDS = {
    "bloom": lambda: transformers.BloomForCausalLM(transformers.BloomConfig(**BLOOM)),
    "gpt2": lambda: transformers.GPT2LMHeadModel(transformers.GPT2Config(n_embd=16, n_layer=1, n_head=2, **SPECIAL)),
    "mt5": lambda: transformers.MT5ForConditionalGeneration(transformers.MT5Config(**T5)),
    "t5": lambda: transformers.T5ForConditionalGeneration(transformers.T5Config(**T5)),
}


@pytest.fixture(params=KINDS)
def folder(request, tmp_path):
    KINDS[request.param]().save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_weight_that_is_no_number_is_named(folder, value):
    file = folder / "model.safetensors"
    tensors = load_file(file)
    tensors[max(tensors, key=lambda name: tensors[name].numel())].view(-1)[5] = value
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(
        DataError, match=r"1 of its tensors contain NaN or infinity.*first is '.*use another checkpoint"
    ):
        load_model(str(folder))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.99])
def test_a_file_that_is_cut_short_is_one_line(folder, share):
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(XmtfError) as error:
        load_model(str(folder))
    assert isinstance(error.value, DataError | UserError)
    assert len(str(error.value).splitlines()) == 1
    assert folder.name in str(error.value)


@pytest.mark.parametrize("dtype", [torch.int8, torch.int64])
def test_whole_numbers_are_no_weights(folder, dtype):
    file = folder / "model.safetensors"
    tensors = load_file(file)
    name = max(tensors, key=lambda name: tensors[name].numel())
    tensors[name] = (tensors[name] * 100).to(dtype)
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(DataError, match=rf"{name}.* has dtype I(8|64), not one of weights"):
        load_model(str(folder))
