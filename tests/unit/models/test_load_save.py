import json
import pathlib

import pytest
import torch

from xmtf.errors import ConfigError, DataError, SourceError
from xmtf.models import load_model, save_model
from xmtf.models.files.weights import write_weights


@pytest.fixture(params=["bloom", "mt5"])
def model(request):
    return request.getfixturevalue(request.param)


def same(model, other):
    mine, theirs = dict(model.named_parameters()), dict(other.named_parameters())
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_a_saved_model_loads_again(model, tmp_path):
    save_model(model, tmp_path / "m", tokenizer=None)
    loaded = load_model(str(tmp_path / "m"))
    assert same(model, loaded.model)
    assert (loaded.family, loaded.label, loaded.folder) == (model.family, "m", tmp_path / "m")
    assert loaded.model.config == model.config
    assert not loaded.model.training


def test_the_fingerprint_is_that_of_the_weights(bloom, tmp_path):
    save_model(bloom, tmp_path / "a", tokenizer=None)
    save_model(bloom, tmp_path / "b", tokenizer=None)
    with torch.no_grad():
        bloom.ln_f.bias[0] += 1
    save_model(bloom, tmp_path / "c", tokenizer=None)
    a, b, c = (load_model(str(tmp_path / name)).fingerprint for name in "abc")
    assert a == b != c


def test_weights_are_converted(bloom, tmp_path):
    save_model(bloom, tmp_path, tokenizer=None)
    model = load_model(str(tmp_path), dtype=torch.bfloat16).model
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    save_model(model, tmp_path, tokenizer=None)
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "bfloat16"


def test_large_models_are_sharded_and_old_files_go(bloom, tmp_path):
    from xmtf.models.bloom.names import transformers_name

    save_model(bloom, tmp_path, tokenizer=None)
    tensors = {transformers_name(name): parameter for name, parameter in bloom.named_parameters()}
    names = write_weights(tmp_path, tensors, shard_bytes=20_000)
    assert len(names) > 3
    assert names[0].startswith("model-00001-of-0000")
    assert not (tmp_path / "model.safetensors").exists()
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"]) == set(tensors)
    assert same(bloom, load_model(str(tmp_path)).model)
    theirs = pytest.importorskip("transformers").AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(theirs.transformer.ln_f.weight, bloom.ln_f.weight)


def test_the_tokenizer_is_copied_and_a_missing_one_is_named(bloom, tmp_path):
    (tmp_path / "t").mkdir()
    with pytest.raises(SourceError, match="has no tokenizer"):
        save_model(bloom, tmp_path / "m", tokenizer=tmp_path / "t")
    (tmp_path / "t" / "tokenizer.json").write_text("{}")
    save_model(bloom, tmp_path / "m", tokenizer=tmp_path / "t")
    assert (tmp_path / "m" / "tokenizer.json").read_text() == "{}"


def test_bin_files_of_tensors_load_and_pickled_objects_do_not(bloom, tmp_path):
    save_model(bloom, tmp_path, tokenizer=None)
    (tmp_path / "model.safetensors").unlink()
    torch.save(bloom.state_dict(), tmp_path / "pytorch_model.bin")
    assert same(bloom, load_model(str(tmp_path)).model)
    torch.save({"ln_f.weight": pathlib.PurePosixPath("x")}, tmp_path / "pytorch_model.bin")
    with pytest.raises(DataError, match=r"pytorch_model\.bin"):
        load_model(str(tmp_path))


def test_a_torn_file_is_named(bloom, tmp_path):
    save_model(bloom, tmp_path, tokenizer=None)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"model\.safetensors: incomplete or damaged safetensors file"):
        load_model(str(tmp_path))


def test_missing_unknown_and_misshapen_tensors_are_named(bloom, tmp_path):
    save_model(bloom, tmp_path, tokenizer=None)
    tensors = {f"transformer.{name}": parameter for name, parameter in bloom.named_parameters()}
    without = {name: tensor for name, tensor in tensors.items() if name != "transformer.ln_f.bias"}
    write_weights(tmp_path, without)
    with pytest.raises(DataError, match=r"lack 'ln_f\.bias' \(and 0 more\)"):
        load_model(str(tmp_path))
    write_weights(tmp_path, tensors | {"transformer.extra": torch.zeros(1)})
    with pytest.raises(DataError, match=r"unknown tensor 'transformer\.extra'"):
        load_model(str(tmp_path))
    write_weights(tmp_path, tensors | {"transformer.ln_f.bias": torch.zeros(7)})
    with pytest.raises(DataError, match=r"ln_f\.bias' has shape \[7\], config\.json says \[30\]"):
        load_model(str(tmp_path))


def test_config_that_is_no_model_or_lacks_a_key(bloom, tmp_path):
    save_model(bloom, tmp_path, tokenizer=None)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in config.items() if key != "vocab_size"}))
    with pytest.raises(DataError, match=r"config\.json: 'vocab_size' is missing"):
        load_model(str(tmp_path))
    path.write_text("{}")
    with pytest.raises(DataError, match="model_type"):
        load_model(str(tmp_path))
    small = {"d_model": 8, "encoder_layers": 1, "decoder_layers": 1, "vocab_size": 9}
    small |= {"encoder_attention_heads": 1, "decoder_attention_heads": 1}
    path.write_text(json.dumps({"model_type": "bart", "is_encoder_decoder": True, **small}))
    with pytest.raises(DataError, match=r"lack \d+ weights of the model"):
        load_model(str(tmp_path))
    path.write_text(json.dumps({"model_type": "nonesuch"}))
    with pytest.raises(ConfigError, match="transformers cannot load it"):
        load_model(str(tmp_path))


def test_code_in_a_checkpoint_is_never_run(bloom, tmp_path):
    save_model(bloom, tmp_path, tokenizer=None)
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass C: pass\nclass M: pass\n")
    config = {"model_type": "evil", "auto_map": {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError):
        load_model(str(tmp_path))
    assert not (tmp_path / "ran").exists()


def test_the_compat_switch_survives_saving(bloom, tmp_path):
    import dataclasses

    from xmtf.models.bloom import Bloom

    absolute = Bloom(dataclasses.replace(bloom.config, absolute_alibi=True)).eval()
    absolute.load_state_dict(bloom.state_dict())
    tokens = torch.arange(4, 14)[None]
    torch.testing.assert_close(absolute.hidden_states(tokens), bloom.hidden_states(tokens), rtol=1e-4, atol=1e-5)
    save_model(absolute, tmp_path, tokenizer=None)
    assert load_model(str(tmp_path)).model.config.absolute_alibi
