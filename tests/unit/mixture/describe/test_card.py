import pytest
import yaml

from xmtf.mixture import build_mixture
from xmtf.mixture.describe.card import CardFacts, dataset_card
from xmtf.mixture.describe.composition import GroupCount
from xmtf.mixture.describe.licences import licence_rows, licence_summary
from xmtf.records import Provenance


def test_the_folder_loads_with_datasets(recipe, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    build_mixture(recipe(), tmp_path / "mixture")
    whole = datasets.load_dataset(str(tmp_path / "mixture"), cache_dir=str(tmp_path / "cache"))
    assert whole["train"].num_rows == 230
    assert whole["train"].column_names[:3] == ["inputs", "targets", "choices"]
    french = datasets.load_dataset(str(tmp_path / "mixture"), "fr", cache_dir=str(tmp_path / "cache"))
    assert set(french["train"]["language"]) == {"fr"}


def test_the_card_tells_licences_and_what_was_left_out():
    counts = [
        GroupCount(Provenance("no", "en", "none", "t/no", "topic", "d|1", "no", "train", "a"), 3, 30, 9),
        GroupCount(Provenance("code", "en", "none", "t2", "code", "d2", "", "train", "a"), 1000, 30, 9),
    ]
    card = dataset_card(
        CardFacts("my set", "What it is.", 7, counts, {"duplicate": 2}, {"d2": "MIT"}, 0.05, {"languages": ("fr",)})
    )
    header, _, body = card.removeprefix("---\n").partition("---\n")
    assert "pretty_name: my set\n" in header
    assert "path: language=no/part-*.parquet" in header
    assert 'language:\n- "no"\n' in header
    assert "| no | Norwegian | 3 |" in body
    assert "| code | programs | 1,000 |" in body
    assert "| d2 | MIT | 1,000 |" in body
    assert "| d\\|1 | not stated | 3 |" in body
    assert "- held out languages: fr" in body
    assert "| duplicate | 2 |" in body


@pytest.mark.parametrize("name", ["on", "no", "y", "Null", "1_000", "1:30", "1e3", "2026-01-01", ".nan", "~", "plain"])
def test_readers_of_yaml_1_1_take_text_for_text(name):
    counts = [GroupCount(Provenance("no", "en", "none", "t/no", "topic", "d", "no", "train", "a"), 3, 30, 9)]
    header = dataset_card(CardFacts(name, "", 7, counts, {}, {}, 0.05)).split("---\n")[1]
    read = yaml.safe_load(header)
    assert (read["pretty_name"], read["language"]) == (name, ["no"])
    assert [config["config_name"] for config in read["configs"]] == ["default", "no"]


def test_licences_are_summed_up_with_what_their_names_ask_for():
    examples = {"a/one": 30, "b/two": 10, "c/three": 5, "d/four": 1}
    licences = {"a/one": "CC-BY-NC-SA-4.0", "b/two": "MIT", "c/three": "MIT"}
    assert licence_rows(examples, licences) == [
        ("CC-BY-NC-SA-4.0", "no commercial use; the same licence for derived works", "1", "30"),
        ("MIT", "", "2", "15"),
        ("not stated", "", "1", "1"),
    ]
    said = licence_summary(examples, licences)
    assert said.startswith("Together they require: no commercial use (a/one); the same licence")
    assert said.endswith("The licence of d/four is not stated: look it up before you publish.")
    assert licence_summary({"b/two": 1}, licences) == "None of their names states a condition beyond attribution."
