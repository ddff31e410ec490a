"""The demonstration that stands in for what was not published: its files agree, and the script makes them."""

import importlib.util
import itertools
import json
import shutil
from pathlib import Path

import pytest

from xmtf.files import read_json, read_jsonl, write_jsonl
from xmtf.report.reference import demonstration

HOME = Path(demonstration.__file__).parent
SCRIPT = Path(__file__).parents[3] / "scripts" / "demonstration.py"


@pytest.fixture
def script(monkeypatch, tmp_path):
    spec = importlib.util.spec_from_file_location("demonstration_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "HOME", tmp_path / "home")
    (tmp_path / "home").mkdir()
    shutil.copy(HOME / "prompts.jsonl", tmp_path / "home")
    return module


def test_every_prompt_is_answered_by_both_models_and_their_weights_are_known():
    made, texts = read_json(HOME / "made.json"), demonstration.demonstration_texts()
    prompts = list(read_jsonl(HOME / "prompts.jsonl"))
    expected = {
        (row["prompt"], f"{label}, {least} tokens at least" if least else label)
        for row in prompts
        for label in made["models"]
        for least in {0, row.get("at_least", 0)}
    }
    assert {(row["prompt"], row["model"]) for row in texts["samples"]} == expected
    assert [row["model"].partition(", ")[0] for row in texts["generations"]] == list(made["models"])
    assert all(len(hashes["weights"]) == 64 for hashes in made["models"].values())
    assert made["steps"] == max(event["step"] for event in demonstration.demonstration_run().log)


def fake(*arguments):
    """Answer as the command line would: the model's name for every prompt, and a program."""
    option = dict(itertools.pairwise(arguments))
    if arguments[0] == "generate":
        rows = [
            row | {"output": f"{option['--model']} {option['--min-new-tokens']}"}
            for row in read_jsonl(Path(option["--file"]))
        ]
        write_jsonl(Path(option["--out"]), rows)
        return
    out = Path(option["--out"])
    write_jsonl(out / "scores.jsonl", [{"hashes": {"weights": option["--model"]}, "versions": {"torch": "2"}}])
    write_jsonl(
        out / "completions.jsonl", [{"problem": "HumanEval/0", "completion": "\n    return 1\n", "outcome": "passed"}]
    )


def test_the_script_writes_what_the_report_reads(script, run_folder, monkeypatch):
    monkeypatch.setattr(script, "_xmtf", fake)
    script.main(run_folder)
    monkeypatch.setattr(demonstration, "_HERE", script.HOME)
    texts = demonstration.demonstration_texts()
    assert [row["text"] for row in texts["samples"] if row["prompt"].startswith("Why")] == [
        "None 0", "None 10", f"{run_folder / 'model'} 0", f"{run_folder / 'model'} 10",
    ]  # fmt: skip
    assert texts["generations"][1]["text"] == "    return 1"
    run = demonstration.demonstration_run()
    assert run.composition.to_pylist() == [
        {"language": "fr", "cluster": "multiple choice", "dataset": "cldr/weekday", "rows": 2, "characters": 10}
    ]
    assert [event["loss"] for event in run.log] == [3.0, 2.0, 1.5, 1.6]
    assert json.loads((script.HOME / "made.json").read_text())["commands"][0] == (
        "xmtf generate --max-new-tokens 64 --min-new-tokens 0"
    )
