import argparse
import json
import pathlib

import pytest
import torch

from xmtf.errors import ConfigError, DataError, SourceError
from xmtf.models import load_model
from xmtf.models.convert import convert_model, detect_format, inspect_foreign
from xmtf.models.convert.megatron import merge_slices, own_bloom_name


def logits(folder, tokens):
    transformers = pytest.importorskip("transformers")
    model, found = transformers.AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not any(found.values())
    with torch.no_grad():
        return model.eval()(tokens).logits


@pytest.mark.parametrize(("tp", "pp"), [(1, 1), (1, 4), (2, 2), (4, 1), (4, 4)])
def test_any_layout_gives_the_model_it_came_from(theirs, write_megatron, tokens, tmp_path, tp, pp):
    source = write_megatron(theirs, tmp_path / "source", tp, pp)
    report = convert_model(str(source), tmp_path / "out")
    assert report.whole
    assert report.layout == {"pp": pp, "tp": tp}
    assert not report.drift
    with torch.no_grad():
        expected = theirs(tokens).logits
    assert torch.equal(logits(tmp_path / "out", tokens), expected)
    ours = load_model(str(tmp_path / "out")).model
    with torch.no_grad():
        torch.testing.assert_close(ours.logits(ours.hidden_states(tokens)), expected, atol=1e-5, rtol=1e-5)


def test_stored_dtype_is_kept_unless_another_is_asked_for(theirs, write_megatron, tmp_path):
    source = write_megatron(theirs, tmp_path / "source", tp=2, dtype=torch.bfloat16)
    report = convert_model(str(source), tmp_path / "kept")
    assert report.dtypes == {"bfloat16": len(theirs.state_dict()) - 1}
    assert json.loads((tmp_path / "kept" / "config.json").read_text())["dtype"] == "bfloat16"
    convert_model(str(source), tmp_path / "fp32", dtype=torch.float32)
    assert json.loads((tmp_path / "fp32" / "config.json").read_text())["dtype"] == "float32"


def test_copies_that_drifted_are_averaged_and_reported(theirs, write_megatron, tmp_path):
    source = write_megatron(theirs, tmp_path / "source", tp=2)
    path = source / "layer_04-model_01-model_states.pt"
    state = torch.load(path, weights_only=True)
    state["input_layernorm.weight"][5] += 0.5
    state["mlp.dense_4h_to_h.bias"] -= 0.25
    torch.save(state, path)
    report = convert_model(str(source), tmp_path / "out")
    assert report.whole
    assert report.drift == {
        "h.1.input_layernorm.weight": pytest.approx(0.5),
        "h.1.mlp.dense_4h_to_h.bias": pytest.approx(0.25),
    }
    ours = dict(load_model(str(tmp_path / "out")).model.named_parameters())
    kept = theirs.transformer.h[1]
    expected = kept.input_layernorm.weight.detach().clone()
    expected[5] += 0.25
    assert torch.allclose(ours["h.1.input_layernorm.weight"], expected)
    assert torch.allclose(ours["h.1.mlp.dense_4h_to_h.bias"], kept.mlp.dense_4h_to_h.bias - 0.125)
    assert "2 replicated parameters differ" in str(report)


def test_a_parent_folder_with_latest_is_understood(theirs, write_megatron, tmp_path):
    write_megatron(theirs, tmp_path / "run" / "global_step249")
    (tmp_path / "run" / "latest").write_text("global_step249\n")
    assert detect_format(str(tmp_path / "run")) == "megatron"
    assert inspect_foreign(str(tmp_path / "run")).whole


@pytest.mark.parametrize(
    ("lost", "named"),
    [
        ("layer_04-model_01-model_states.pt", r"layer_04-model_01-model_states\.pt is missing"),
        ("layer_04-model_0*-model_states.pt", r"layer_04-model_00-model_states\.pt is missing"),
        ("layer_01-model_0*-model_states.pt", r"layer_01-model_00-model_states\.pt is missing"),
        ("layer_07-model_0*-model_states.pt", r"layer_05, the last file, is not the final layer norm"),
    ],
)
def test_missing_files_are_named(theirs, write_megatron, tmp_path, lost, named):
    source = write_megatron(theirs, tmp_path / "source", tp=2)
    for path in source.glob(lost):
        path.unlink()
    with pytest.raises(DataError, match=named):
        convert_model(str(source), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_rank_that_is_missing_everywhere_does_not_go_unnoticed(theirs, write_megatron, tmp_path):
    source = write_megatron(theirs, tmp_path / "source", tp=2)
    for path in source.glob("layer_*-model_01-*"):
        path.unlink()
    with pytest.raises(DataError, match=r"query_key_value\.weight has shape \[48, 32\], the model has \[96, 32\]"):
        inspect_foreign(str(source))


def test_missing_unexpected_and_not_finite_tensors_are_reported(theirs, write_megatron, tmp_path):
    source = write_megatron(theirs, tmp_path / "source")
    path = source / "layer_03-model_00-model_states.pt"
    state = torch.load(path, weights_only=True)
    state["rotary.inv_freq"] = torch.ones(4)
    del state["mlp.dense_h_to_4h.bias"]
    state["input_layernorm.bias"][0] = float("nan")
    torch.save(state, path)
    report = inspect_foreign(str(source))
    assert report.missing == ["h.0.mlp.dense_h_to_4h.bias"]
    assert report.unexpected == ["layer_03-model_00-model_states.pt: rotary.inv_freq"]
    assert report.not_finite == ["h.0.input_layernorm.bias"]
    with pytest.raises(DataError, match=r"lacks h\.0\.mlp.*rotary.*NaN in h\.0\.input"):
        convert_model(str(source), tmp_path / "out")


def test_foreign_pickles_are_refused_in_one_line(theirs, write_megatron, tmp_path):
    source = write_megatron(theirs, tmp_path / "source")
    torch.save({"weight": pathlib.PurePosixPath("x")}, source / "layer_03-model_00-model_states.pt")
    with pytest.raises(DataError, match=r"layer_03-model_00-model_states\.pt: .*pathlib") as caught:
        inspect_foreign(str(source))
    assert "\n" not in str(caught.value)
    assert "weights_only" not in str(caught.value)  # no advice to load it all the same


def test_heads_come_from_arguments_a_like_model_or_the_caller(theirs, write_megatron, like, tmp_path):
    foreign = argparse.Namespace(num_attention_heads=4, enum=pathlib.PurePosixPath("an enumeration of Megatron"))
    source = str(write_megatron(theirs, tmp_path / "source", arguments=foreign))
    with pytest.raises(ConfigError, match=r"--like MODEL .* or --heads N"):
        inspect_foreign(source)
    assert inspect_foreign(source, num_heads=4).whole
    assert inspect_foreign(source, like=str(like)).whole
    values = json.loads((like / "config.json").read_text())
    (like / "config.json").write_text(json.dumps(values | {"n_layer": 5}))
    with pytest.raises(DataError, match="has 3 layers, but the model given by --like has 5"):
        inspect_foreign(source, like=str(like))


def test_tokenizer_is_taken_along_and_padding_counted(theirs, write_megatron, like, tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    words = {f"w{i}": i for i in range(60)}
    tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="w0")).save(str(like / "tokenizer.json"))
    source = write_megatron(theirs, tmp_path / "source")
    report = convert_model(str(source), tmp_path / "out", like=str(like))
    assert (report.vocab_rows, report.vocab_size) == (64, 60)
    assert "64 rows, 4 of them padding" in str(report)
    assert (tmp_path / "out" / "tokenizer.json").exists()


def test_what_is_no_checkpoint_is_named(tmp_path):
    with pytest.raises(SourceError, match="no checkpoint of a known format"):
        detect_format(str(tmp_path))
    assert detect_format("bigscience/bloom-560m") == "model"


def test_models_of_transformers_are_written_anew(theirs, tmp_path, tokens):
    theirs.save_pretrained(tmp_path / "theirs")
    report = convert_model(str(tmp_path / "theirs"), tmp_path / "out", dtype=torch.bfloat16)
    assert report.whole
    assert report.dtypes.keys() == {"bfloat16"}
    with torch.no_grad():
        expected = theirs.to(torch.bfloat16)(tokens).logits
    assert torch.equal(logits(tmp_path / "out", tokens).to(expected.dtype), expected)


@pytest.mark.parametrize(
    ("number", "key", "own"),
    [
        (1, "word_embeddings.norm.bias", "word_embeddings_layernorm.bias"),
        (3, "self_attention.dense.weight", "h.0.self_attention.dense.weight"),
        (72, "input_layernorm.weight", "h.69.input_layernorm.weight"),
        (74, "weight", "ln_f.weight"),
    ],
)
def test_names_of_the_176b_model(number, key, own):
    assert own_bloom_name(number, key, 70) == own


def test_slices_that_do_not_fit_are_named(tmp_path):
    with pytest.raises(DataError, match=r"slices of h\.0\.mlp\.dense_h_to_4h\.weight do not fit"):
        merge_slices("h.0.mlp.dense_h_to_4h.weight", [torch.ones(2, 3), torch.ones(2, 4)], tmp_path)
