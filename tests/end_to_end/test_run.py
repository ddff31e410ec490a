"""A whole run, small: what a new user does, and what happens when it is killed, repeated or misspelt."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from xmtf.cli.app import _run as xmtf
from xmtf.cli.terminal.json_fields import problems
from xmtf.files import file_sha256, read_jsonl
from xmtf.runs.pipeline import STAGES

ROOT = Path(__file__).parents[2]
SMOKE = ROOT / "recipes" / "smoke" / "bloom-tiny.yaml"
SMALL = (
    "execution.engine=inline",
    "training.steps=24",
    "training.save_every=8",
    "training.threads=1",
    "mixture.tasks.0.languages=[en, fr, sw]",
    "evaluation.suites.0.tasks.0.languages=[fr, sw]",
)


def command(folder, *overrides, verb="run", recipe=SMOKE):
    return [sys.executable, "-m", "xmtf.cli", verb, str(recipe), f"run_folder={folder}", *SMALL, *overrides]


def run(folder, *overrides, **how):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command(folder, *overrides, **how), capture_output=True, text=True, env=environment)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return the folder of one finished run, for tests that only look."""
    folder = tmp_path_factory.mktemp("runs") / "smoke"
    result = run(folder)
    assert result.returncode == 0, result.stderr
    return folder, result


def test_a_run_ends_with_a_table_a_report_and_a_model(finished, verify_outputs):
    folder, result = finished
    assert re.search(r"held-out rows +rows +accuracy %", result.stdout)
    assert f"report: {folder}/report/index.html" in result.stdout
    for stage in ("mixture", "tokens", "model", "results/before", "results/after", "report"):
        verify_outputs(folder / stage)
    page = (folder / "report" / "index.html").read_text()
    assert "What finetuning changed" in page
    assert "Sample generations" in page


def test_the_cards_snippet_for_a_cpu_runs(finished):
    folder, _ = finished
    snippet = re.search(r"```python\n(.*?)```", (folder / "model" / "README.md").read_text(), flags=re.DOTALL)[1]
    program = snippet.replace("path/to/model", str(folder / "model"))
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip()


def test_training_lowers_the_loss(finished):
    folder, _ = finished
    losses = [event["loss"] for event in read_jsonl(folder / "log.jsonl") if event["event"] == "validation"]
    assert losses[-1] < losses[0]


def test_suites_watched_in_training_come_to_what_the_evaluation_says(finished):
    from collections import defaultdict
    from statistics import mean, median

    from xmtf.models import load_model
    from xmtf.recipe import load_recipe
    from xmtf.runs.measures import suite_measures

    folder, _ = finished
    overrides = (*SMALL, "training.validation_suites=['held-out*', 'writing*']", "training.validation_examples=10000")
    measures = suite_measures(load_recipe(SMOKE, overrides), folder / "tokens")
    scores = defaultdict(lambda: defaultdict(list))
    for line in read_jsonl(folder / "results" / "after" / "scores.jsonl"):
        metric = line["metrics"][0]
        scores[line["suite"]][line["task"]].append(metric["value"] / (100 if metric["name"] == "chrf" else 1))
    expected = {suite: mean(median(values) for values in tasks.values()) for suite, tasks in scores.items()}
    model = load_model(str(folder / "model")).model
    assert {measure.name: measure(model).value for measure in measures} == pytest.approx(expected)
    assert {measure.kind for measure in measures} == {"rank", "generation"}


def test_the_best_checkpoint_is_found_after_training_and_exported(finished, tmp_path, run_apart):
    folder = shutil.copytree(finished[0], tmp_path / "run")  # its log gets what is measured
    choose = [sys.executable, "-m", "xmtf.cli", "checkpoint", "choose", str(folder), "--out", str(tmp_path / "best")]
    first = run_apart([*choose, "--json", "--examples", "10000"], forked=True)
    assert first.returncode == 0, first.stderr
    scored = json.loads(first.stdout)
    assert [each["step"] for each in scored] == [16, 24]
    assert [each["best"] for each in scored].count(True) == 1
    assert scored[-1]["score"] == pytest.approx(_composite(folder / "results" / "after" / "scores.jsonl"))
    events = len(read_jsonl_list(folder))
    again = run_apart([*choose, "--json", "--examples", "10000", "--replace"], forked=True)
    assert json.loads(again.stdout) == scored
    assert len(read_jsonl_list(folder)) == events  # nothing is measured twice
    best = next(each["step"] for each in scored if each["best"])
    assert json.loads((tmp_path / "best" / "manifest.json").read_text())["details"]["step"] == best
    refused = run_apart(choose, forked=True)
    assert (refused.returncode, "--replace" in refused.stderr) == (2, True)


def _composite(path):
    """Return the score of a model from its results: of suites the means over tasks of medians over templates."""
    from collections import defaultdict
    from statistics import mean, median

    from xmtf.training.loop.validation import composite

    found = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for line in read_jsonl(path):
        metric = line["metrics"][0]
        value = metric["value"] / (100 if metric["name"] == "chrf" else 1)
        found[metric["name"] == "chrf"][line["suite"]][line["task"]].append(value)
    return composite(
        {
            kind: [mean(median(values) for values in tasks.values()) for tasks in suites.values()]
            for kind, suites in found.items()
        }
    )


def test_a_second_run_finds_everything_done(finished, run_apart):
    folder, first = finished
    files, events = written(folder), len(read_jsonl_list(folder))
    again = run_apart(command(folder), forked=True)
    assert again.returncode == 0, again.stderr
    assert again.stdout == first.stdout
    assert written(folder) == files
    logged = read_jsonl_list(folder)[events:]
    assert [event["event"] for event in logged] == ["stage"] * len(logged)  # not one step, not one validation
    assert [event["stage"] for event in logged] == list(STAGES)


def test_scripts_read_what_a_run_came_to(finished, tmp_path, run_apart, capsys):
    folder, first = finished
    told = run_apart(command(folder, "--json"), forked=True)
    assert told.returncode == 0, told.stderr
    outcome = json.loads(told.stdout)
    assert outcome["finished"] == list(STAGES)
    assert outcome["report"] == f"{folder}/report/index.html"
    accuracy = next(each for each in outcome["results"] if each["suite"] == "held-out rows")
    assert f"{100 * accuracy['values']['after']['value']:.1f} [" in first.stdout
    assert problems("run", outcome) == []
    for line in (
        f"checkpoint list {folder}",
        f"checkpoint inspect {folder}/checkpoints/step-000024",
        f"report card {folder}",
        f"report tables {folder}",
        f"evaluate compare {folder}/results/before {folder}/results/after",
        f"evaluate export {folder}/results/after --out {tmp_path}/exported",
        f"train {folder}/recipe.yaml run_folder={folder}",
        f"train {folder}/recipe.yaml run_folder={folder} --dry-run",
        f"generate --model {folder}/model Hello. --max-new-tokens 2",
        f"checkpoint export {folder} --out {tmp_path}/model",
        f"report build {folder}/results/after --out {tmp_path}/report",
    ):
        assert xmtf([*line.split(), "--json"]) == 0, line  # tests/conftest.py compares the fields with the page
        assert capsys.readouterr().out.startswith(("{", "[")), line


def written(folder):
    """Return when each file was written, but for those that say what was asked for, and when."""
    always = {"recipe.yaml", "log.jsonl", ".lock", ".xmtf.json", "model/README.md"}
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.stat().st_mtime_ns for name, path in files.items() if name not in always}


def read_jsonl_list(folder):
    return list(read_jsonl(folder / "log.jsonl"))


def test_plain_transformers_loads_the_model_with_our_logits(finished):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from xmtf.models import load_model

    folder, _ = finished
    theirs = AutoModelForCausalLM.from_pretrained(folder / "model")
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    tokens = tokenizer("Which language is “lundi 3 août 2026” written in?", return_tensors="pt")["input_ids"]
    ours = load_model(str(folder / "model")).model
    with torch.no_grad():
        expected = theirs(tokens).logits[0]
        found = ours.logits(ours.hidden_states(tokens)[0])
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-4)


def test_the_card_is_one_that_the_hub_reads(finished):
    from huggingface_hub import ModelCard

    folder, _ = finished
    card = ModelCard((folder / "model" / "README.md").read_text())
    assert card.data.language == ["en", "fr", "sw"]


def test_an_exported_checkpoint_is_the_model(finished, tmp_path):
    from huggingface_hub import ModelCard

    from xmtf.errors import UnknownNameError
    from xmtf.report import write_model_card
    from xmtf.training.checkpoint.checkpoint import tensor_shapes
    from xmtf.training.export import export_checkpoint

    folder, _ = finished
    out = tmp_path / "exported"
    checkpoint = export_checkpoint(folder, out)
    assert checkpoint.name == "step-000024"
    assert file_sha256(out / "model.safetensors") == file_sha256(folder / "model" / "model.safetensors")
    assert ModelCard(write_model_card(folder, out).read_text()).data.model_name == "smoke-bloom"
    assert tensor_shapes(checkpoint)["model.ln_f.weight"] == [64]
    with pytest.raises(UnknownNameError, match="unknown step '7'"):
        export_checkpoint(folder, tmp_path / "other", step=7)


@pytest.mark.slow  # four starts of everything; kills of each stage have tests of their own
def test_a_run_killed_again_and_again_comes_to_the_same_bytes(finished, tmp_path):
    whole, _ = finished
    folder = tmp_path / "killed"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    awaited = ("mixture/manifest.json", "checkpoints/step-000008/state.json", "results/after")
    for path in awaited:
        process = subprocess.Popen(
            command(folder), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 200
        while process.poll() is None and not (folder / path).exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, f"the run ended before it could be killed at {path}"
        assert (folder / path).exists()
    assert run(folder).returncode == 0
    for name in ("model/model.safetensors", "tokens/tokenizer/tokenizer.json", "report/tables/results.csv"):
        assert file_sha256(folder / name) == file_sha256(whole / name), name
    ours, theirs = (sorted(p.relative_to(f) for p in (f / "mixture").rglob("*.parquet")) for f in (folder, whole))
    assert ours == theirs
    assert all(file_sha256(folder / name) == file_sha256(whole / name) for name in ours)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["training.stpes=3"], "unknown key 'training.stpes'; did you mean 'steps'?"),
        (["mixture.tasks.0.tasks=[cldr-knids/*]"], "cldr-knids"),
        (["mixture.max_characters=2"], "none of"),
        (["model.base=/nowhere/model"], "/nowhere/model"),
        (["tokens.tokenizer.path=/nowhere/tokenizer"], "/nowhere/tokenizer"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(tmp_path, run_apart, overrides, message):
    result = run_apart(command(tmp_path / "bad", *overrides), forked=True)
    assert result.returncode == 2, result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("xmtf: ")
    assert message in last
    assert "Traceback" not in result.stderr


def test_ctrl_c_says_how_to_go_on(tmp_path):
    folder = tmp_path / "interrupted"
    process = subprocess.Popen(
        command(folder, "training.steps=2000", "evaluation.before=false"),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 200
    checkpoint = folder / "checkpoints" / "step-000008"
    while process.poll() is None and not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert checkpoint.exists()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "run the same command again to resume" in errors.decode()
