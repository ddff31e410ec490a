import pytest

from xmtf.errors import ConfigError
from xmtf.files import Manifest, read_jsonl, write_manifest
from xmtf.mixture.io.export import export_jsonl
from xmtf.mixture.io.preferences import preference_pairs
from xmtf.records import PROMPTED_COLUMNS

ROW = {"inputs": "Is 7 prime?", "targets": "Yes", "choices": ["Yes", "No", "Perhaps", "No"]}


def test_the_right_choice_stands_before_each_of_the_others():
    assert preference_pairs(ROW, "preferences") == [
        {"prompt": "Is 7 prime?", "chosen": " Yes", "rejected": " No"},
        {"prompt": "Is 7 prime?", "chosen": " Yes", "rejected": " Perhaps"},
    ]
    assert preference_pairs(ROW | {"inputs": "Prime?\n"}, "preferences")[0]["chosen"] == "Yes"
    assert preference_pairs(ROW, "preference-messages")[0] == {
        "prompt": [{"role": "user", "content": "Is 7 prime?"}],
        "chosen": [{"role": "assistant", "content": "Yes"}],
        "rejected": [{"role": "assistant", "content": "No"}],
    }
    for none in ({"choices": None}, {"choices": []}, {"targets": "Maybe"}, {"choices": ["Yes"]}):
        assert preference_pairs(ROW | none, "preferences") == []


def written(folder, rows):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / "language=en" / "part-00000.parquet"
    path.parent.mkdir(parents=True)
    known = dict.fromkeys(PROMPTED_COLUMNS, "") | {"choices": None, "row": 0, "language": "en"}
    types = {"row": pa.int64(), "choices": pa.list_(pa.string())}
    schema = pa.schema([(name, types.get(name, pa.string())) for name in PROMPTED_COLUMNS])
    pq.write_table(pa.Table.from_pylist([known | row for row in rows], schema=schema), path)
    write_manifest(folder, Manifest("mixture", "f"))
    return folder


def test_a_mixture_is_exported_as_one_file_of_pairs_and_one_without_choices_is_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XMTF_PROGRESS", "on")
    mixed = [ROW, ROW | {"choices": None}, ROW | {"targets": "Maybe"}, ROW | {"choices": ["Yes"]}]
    counts = export_jsonl(written(tmp_path / "mixed", mixed), tmp_path / "out", fields="preferences", filters={})
    assert counts == {"preferences.jsonl": 2}
    assert list(read_jsonl(tmp_path / "out" / "preferences.jsonl")) == preference_pairs(ROW, "preferences")
    assert "1 of 4 examples have answer choices" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(ConfigError, match="none of 1 examples has its target among several answer choices"):
        export_jsonl(
            written(tmp_path / "none", [mixed[1]]), tmp_path / "no", fields="preferences", filters={"language": "en"}
        )
