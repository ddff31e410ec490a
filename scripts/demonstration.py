"""Make the texts, losses and mixture that `xmtf report --reference` shows of a small model of our own.

    xmtf run recipes/demo-smollm2.yaml
    python scripts/demonstration.py runs/demo-smollm2

Prompts the model of the recipe and the finetuned one through the command line, greedily, and writes
src/xmtf/report/reference/demonstration/ anew (HumanEval is read as `xmtf evaluate code` reads it).
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from xmtf.files import read_jsonl, write_jsonl, write_text
from xmtf.report import Run, collect_run

HOME = Path(__file__).parents[1] / "src/xmtf/report/reference/demonstration"
LABEL = "SmolLM2-135M-Instruct"
EVENTS = {"train": ("step", "loss"), "validation": ("step", "group", "loss")}
GENERATE = ("generate", "--max-new-tokens", "64", "--min-new-tokens")
PROGRAM = ("evaluate", "code", "--suite", "humaneval", "--limit", "1", "--temperatures", "0")


def main(run_folder: Path) -> None:
    """Write every file of the demonstration but the prompts."""
    run = collect_run(run_folder)
    steps = run.recipe["training"]["steps"]
    models = {LABEL: run.recipe["model"]["base"], f"{LABEL} after {steps} steps": str(run_folder / "model")}
    prompts = list(read_jsonl(HOME / "prompts.jsonl"))
    leasts = sorted({row.get("at_least", 0) for row in prompts})
    samples, programs, weights, versions = [], [], {}, {}
    with tempfile.TemporaryDirectory() as scratch:
        for label, model in models.items():
            for least in leasts:
                samples += _answers(label, model, prompts, least, Path(scratch))
            program, score = _program(label, model, Path(scratch) / label)
            programs.append(program)
            weights[label], versions = score["hashes"], score["versions"]
    commands = [[*GENERATE, str(least)] for least in leasts] + [[*PROGRAM]]
    made = {
        "date": datetime.now(UTC).date().isoformat(),
        "recipe": "recipes/demo-smollm2.yaml",
        "steps": steps,
        "seed": run.recipe["seed"],
        "commands": [" ".join(["xmtf", *command]) for command in commands],
        "models": weights,
        "versions": versions,
    }
    write_jsonl(HOME / "samples.jsonl", samples)
    write_jsonl(HOME / "generations.jsonl", programs)
    write_text(HOME / "made.json", json.dumps(made, indent=2) + "\n")
    _write_run(run)


def _xmtf(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "xmtf.cli", *arguments], check=True)


def _answers(label: str, model: str, prompts: list[dict[str, Any]], least: int, scratch: Path) -> list[dict[str, str]]:
    """Return the answers of at least so many tokens, to all prompts or to those that ask for them."""
    asked, out = scratch / f"prompts-{least}.jsonl", scratch / "answers.jsonl"
    write_jsonl(asked, [row for row in prompts if row.get("at_least", 0) >= least])
    _xmtf(*GENERATE, str(least), "--model", model, "--file", str(asked), "--out", str(out))
    name = f"{label}, {least} tokens at least" if least else label
    return [{"prompt": row["prompt"], "text": row["output"], "model": name} for row in read_jsonl(out)]


def _program(label: str, model: str, out: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """Return a model's program for the first problem, and the score that tells which weights wrote it."""
    _xmtf(*PROGRAM, "--model", model, "--out", str(out))
    program = next(iter(read_jsonl(out / "completions.jsonl")))
    row = {"model": f"{label}, {program['problem']}", "text": program["completion"].strip("\n")}
    return row | {"outcome": program["outcome"]}, next(iter(read_jsonl(out / "scores.jsonl")))


def _write_run(run: Run) -> None:
    """Write the losses and the mixture of the run."""
    events = [event for event in run.log if event["event"] in EVENTS]
    kept = [{"event": event["event"]} | {key: event[key] for key in EVENTS[event["event"]]} for event in events]
    write_jsonl(HOME / "log.jsonl", kept)
    with (HOME / "composition.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(run.composition.column_names)
        writer.writerows(row.values() for row in run.composition.to_pylist())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
