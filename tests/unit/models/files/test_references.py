import subprocess
import sys

import pytest

from xmtf.errors import ConfigError, SourceError
from xmtf.files import write_json
from xmtf.models import find_model, model_family
from xmtf.models.files.references import parse_reference
from xmtf.recipe.schema import Model


def test_a_folder_with_config_json(tmp_path):
    write_json(tmp_path / "m" / "config.json", {"model_type": "bloom"})
    assert find_model(str(tmp_path / "m")) == tmp_path / "m"
    assert parse_reference(str(tmp_path / "m")).label == "m"


def test_a_gguf_file_and_a_folder_that_holds_one(tmp_path):
    path = tmp_path / "small.Q4_1.gguf"
    path.touch()
    assert find_model(str(path)) == path
    assert find_model(str(tmp_path)) == path
    assert parse_reference(str(path)).label == "small.Q4_1"


def test_hub_ids_and_revisions_are_understood_without_network():
    reference = parse_reference("bigscience/bloomz-560m@refs/pr/3")
    assert (reference.hub_id, reference.revision) == ("bigscience/bloomz-560m", "refs/pr/3")
    assert parse_reference("gpt2").hub_id == "gpt2"


@pytest.mark.parametrize("ref", ["./nowhere", "/no/such/folder", "a/b/c", "missing.gguf", "~/nothing-here"])
def test_paths_that_do_not_exist_say_where_was_looked(ref):
    with pytest.raises(SourceError, match=r"no such file or folder \(/"):
        parse_reference(ref)


def test_a_folder_without_a_model_and_a_file_that_is_none(tmp_path):
    with pytest.raises(SourceError, match=r"has no config\.json"):
        parse_reference(str(tmp_path))
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(SourceError, match="model files must be GGUF"):
        parse_reference(str(tmp_path / "model.safetensors"))


def test_packages(tmp_path, monkeypatch):
    with pytest.raises(SourceError, match="package 'nonesuch_pkg' is not installed"):
        parse_reference("package:nonesuch_pkg")
    folder = tmp_path / "own_weights"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match="expected one GGUF file in the package, found none"):
        parse_reference("package:own_weights")
    (folder / "own.gguf").touch()
    assert find_model("package:own_weights") == folder / "own.gguf"


def test_offline_names_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(SourceError, match=r"model 'nobody/nothing-7b': no such folder .* cache .*offline"):
        find_model("nobody/nothing-7b", offline=True)


def test_families(tmp_path):
    shape = {"hidden_size": 8, "num_layers": 1, "num_heads": 1}
    assert model_family(Model(architecture="bloom", **shape), offline=True) == "causal"
    assert model_family(Model(architecture="mt5", **shape), offline=True) == "encoder-decoder"
    (tmp_path / "x.gguf").touch()
    assert model_family(Model(base=str(tmp_path / "x.gguf")), offline=True) == "causal"
    for kind, family in (("mt5", "encoder-decoder"), ("llama", "causal"), ("bloom", "causal")):
        write_json(tmp_path / kind / "config.json", {"model_type": kind})
        assert model_family(Model(base=str(tmp_path / kind)), offline=True) == family
    write_json(tmp_path / "bart" / "config.json", {"model_type": "bart", "is_encoder_decoder": True})
    assert model_family(Model(base=str(tmp_path / "bart")), offline=True) == "encoder-decoder"


def test_asking_for_the_family_loads_no_torch():
    code = (
        "import sys; from xmtf.models import model_family; from xmtf.recipe.schema import Model;"
        "model_family(Model(architecture='bloom', hidden_size=8, num_layers=1, num_heads=1), offline=True);"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
