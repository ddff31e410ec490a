import json

import pytest
import torch

from xmtf.errors import DataError, SourceError
from xmtf.models.convert import convert_model, detect_format, inspect_foreign
from xmtf.models.convert.universal import find_universal


def test_weights_come_in_with_the_padding_of_the_model_they_are_like(theirs, write_universal, like, tokens, tmp_path):
    transformers = pytest.importorskip("transformers")
    with torch.no_grad():  # all padding rows of a vocabulary are equal
        theirs.transformer.word_embeddings.weight[60:] = theirs.transformer.word_embeddings.weight[-1]
    write_universal(theirs, tmp_path / "run" / "global_step249_universal")
    assert detect_format(str(tmp_path / "run")) == "universal"
    report = convert_model(str(tmp_path / "run"), tmp_path / "out", like=str(like))
    assert report.whole
    assert report.vocab_rows == 64
    assert report.dtypes.keys() == {"float32"}
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    with torch.no_grad():
        assert torch.equal(model(tokens).logits, theirs(tokens).logits)


def test_without_a_like_model_the_rows_are_those_stored(theirs, write_universal, tmp_path):
    source = write_universal(theirs, tmp_path / "u")
    convert_model(str(source), tmp_path / "out")
    assert json.loads((tmp_path / "out" / "config.json").read_text())["vocab_size"] == 60


def test_moments_are_padded_with_their_own_row(theirs, write_universal, tmp_path):
    found = find_universal(write_universal(theirs, tmp_path / "u"))
    padded = found.read("word_embeddings.weight", "exp_avg", 64)
    expected = theirs.transformer.word_embeddings.weight.detach() ** 2
    assert torch.equal(padded[:60], expected[:60])
    assert torch.equal(padded[60:], expected[-1].expand(4, -1))


def test_missing_parameters_and_files_are_named(theirs, write_universal, tmp_path):
    source = write_universal(theirs, tmp_path / "u")
    (source / "zero" / "4.mlp.dense_4h_to_h.bias" / "exp_avg.pt").unlink()
    with pytest.raises(DataError, match=r"4\.mlp\.dense_4h_to_h\.bias/exp_avg\.pt is missing"):
        find_universal(source).read("h.1.mlp.dense_4h_to_h.bias", "exp_avg")
    (source / "zero" / "4.mlp.dense_4h_to_h.bias" / "fp32.pt").unlink()
    (source / "zero" / "extra").mkdir()
    torch.save({"param": torch.ones(2)}, source / "zero" / "extra" / "fp32.pt")
    (tmp_path / "empty").mkdir()
    report = inspect_foreign(str(source))
    assert (report.missing, report.unexpected) == (["h.1.mlp.dense_4h_to_h.bias"], ["extra"])
    with pytest.raises(SourceError, match="contains no zero/"):
        find_universal(tmp_path / "empty")
