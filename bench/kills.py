"""Commands that are killed with -9 at a random moment: do they resume, with the same bytes, and with nothing left over?

For each kind of command: it is run twice to its end, which says what it writes and how long it takes. Then it is killed
again and again, each time in a fresh folder at a random moment, and given once more::

    python bench/kills.py --kills 30                        30 kills of each kind of command
    python bench/kills.py --kills 30 --only train run       of some
    python bench/kills.py --kills 30 --data MIRROR          with `data fetch`, from a mirror

A kill that hits nothing, since the command had ended, is done again, sooner. Prints a JSON line for each kind: kills,
how many resumed (exit code 0), how many had the bytes of a run that was not killed, files left over, processes that
outlived the command by more than five seconds. Files that differ between the two whole runs (times) are named and left
out; manifests are compared without their times, and those of evaluations without the commit of the checkout that the
program runs from. Exit code 1 where a kill did any harm.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

RECIPE = """\
name: toy
run_folder: run
own_tasks:
  - {id: sums, path: rows.jsonl, templates: own.yaml, language: en}
  - {id: parity, path: asked.jsonl, templates: own.yaml, language: en, kind: rank, role: evaluation, split: test}
  - {id: after, path: asked.jsonl, templates: own.yaml, language: en, role: evaluation, split: test}
mixture: {tasks: [{tasks: [sums]}]}
tokens: {tokenizer: {train_vocab_size: 300}, packing: {sequence_length: 32}}
model: {architecture: bloom, hidden_size: 16, num_layers: 2, num_heads: 2}
training: {steps: 12, global_batch_rows: 4, micro_batch_rows: 4, save_every: 2 steps, keep_checkpoints: 2, device: cpu}
evaluation:
  batch_tokens: 256
  max_new_tokens: 6
  samples: 2
  suites:
    - {name: ranked, tasks: [{tasks: [parity], templates: [parity]}]}
    - {name: written, kind: generation, tasks: [{tasks: [after], templates: [what comes]}]}
report: {figures: [svg]}
"""
TEMPLATES = """\
language: en
templates:
  - {name: parity, jinja: "Is {{x}} even?{{' Say so.' * (x % 5)}} ||| {{ answer_choices[x % 2] }}",
     answer_choices: "yes ||| no ||| who knows"}
  - {name: what comes, jinja: "{{'And after' * (x % 3)}} after {{x}} comes ||| {{x + 1}}"}
"""
CODE = """\
name: code
own_tasks: [{id: sums, path: problems.jsonl, kind: code, role: evaluation, split: test, language: en}]
mixture: {tasks: [{catalogue: demo, tasks: [cldr-kinds/fr]}]}
model: {base: run/model}
training: {steps: 1}
"""
MIRROR = """\
name: mirror
offline: true
mixture: {tasks: [{tasks: ["xcopa/*"], languages: [sw, th, tr], splits: [validation]}]}
model: {base: none}
training: {steps: 1}
"""
TOKEN = "XMTF_KILLS_TOKEN"
_VOLATILE = ("wall_time_s", "hash")
_PATIENCE_S = 5.0


@dataclass(frozen=True)
class Kind:
    """A kind of command.

    Attributes:
        arguments: Of ``xmtf``.
        needs: Commands that prepare its folder.
    """

    arguments: str
    needs: tuple[str, ...] = ()


_TOKENS = ("run toy.yaml --until initial",)
_MODEL = ("run toy.yaml --until train training.steps=2",)
_POOL = "execution.engine=pool execution.workers=2"
_ASK = "toy.yaml --model run/model --label m --out results"
_CODE = (
    "evaluate code --model run/model --recipe code.yaml --suite sums --samples 4 --temperatures 0.8 "
    "--max-new-tokens 12 --batch-rows 3 --out results"
)
_LOSS = "evaluate loss --model run/model --mixture run/mixture --part all --batch-tokens 128 --out loss.jsonl"
_GENERATE = (
    "generate --model run/model --file prompts.jsonl --max-new-tokens 6 --temperature 0.8 --samples 4 --out told.jsonl"
)
KINDS = {
    "data build": Kind("data build toy.yaml --out mix"),
    "data build, pool": Kind(f"data build toy.yaml {_POOL} --out mix"),
    "data pack": Kind("data pack toy.yaml", ("run toy.yaml --until mixture",)),
    "train": Kind("train toy.yaml", _TOKENS),
    "run": Kind("run toy.yaml"),
    "evaluate rank": Kind(f"evaluate run {_ASK} evaluation.samples=0 evaluation.suites.1.tasks.0.limit_rows=1", _MODEL),
    "evaluate generation": Kind(f"evaluate run {_ASK} evaluation.suites.0.tasks.0.limit_rows=1", _MODEL),
    "evaluate code": Kind(_CODE, _MODEL),
    "evaluate loss": Kind(_LOSS, _MODEL),
    "generate": Kind(_GENERATE, _MODEL),
    "report build": Kind("report build run --out rep", ("run toy.yaml",)),
    "data fetch": Kind("data fetch mirror.yaml --to mirror"),
    "launch local": Kind("launch local toy.yaml --processes 2 evaluation.before=false evaluation.samples=0", _TOKENS),
}


@dataclass
class Tally:
    """What came of the kills of one kind of command."""

    kills: int = 0
    missed: int = 0
    resumed: int = 0
    same: int = 0
    leftovers: int = 0
    orphans: int = 0
    harm: list[str] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30, help="Of each kind of command.")
    parser.add_argument("--only", nargs="*", choices=list(KINDS), help="Kinds of commands; all by default.")
    parser.add_argument("--data", type=Path, help="Mirror of public datasets that `data fetch` copies from.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--toy", action="store_true", help="One kill of one kind.")
    options = parser.parse_args()
    if options.toy:
        options.kills, options.only = 1, ["data build"]
    kinds = options.only or [name for name in KINDS if name != "data fetch" or options.data is not None]
    if options.data is not None:
        os.environ["XMTF_DATA_ROOT"] = str(options.data.resolve())
    os.environ |= {"XMTF_PROGRESS": "off", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    if set(kinds) - {"data build", "data fetch"}:  # loaded once, for all processes that are forked: kills hit work
        for module in ("torch", "transformers", "xmtf.runs.pipeline", "xmtf.evaluation", "xmtf.training.trainer"):
            importlib.import_module(module)

    harmed = False
    with tempfile.TemporaryDirectory() as name:
        for kind in kinds:
            tally = battery(kind, Path(name).resolve(), options.kills, random.Random(f"{options.seed} {kind}"))
            print(json.dumps({"command": kind} | vars(tally)), flush=True)
            harmed |= bool(tally.harm)
    sys.exit(1 if harmed else 0)


def battery(name: str, folder: Path, kills: int, draws: random.Random) -> Tally:
    """Kill a kind of command so many times."""
    kind, trial, base = KINDS[name], folder / "trial", folder / "base"
    prepare(kind, trial, base)
    seconds, expected = whole(kind, trial, base)
    _, again = whole(kind, trial, base)
    volatile = {path for path in expected.keys() | again.keys() if expected.get(path) != again.get(path)}
    if volatile:
        print(f"{name}: differ between two whole runs, left out: {', '.join(sorted(volatile))}", file=sys.stderr)
    tally, latest = Tally(), 1.0
    while tally.kills < kills:
        fresh(trial, base)
        moment = seconds * latest * draws.random()
        if (hit := killed(kind, trial, moment)) is None:
            tally.missed, latest = tally.missed + 1, max(0.3, latest * 0.9)
            if tally.missed > 3 * kills + 10:
                raise SystemExit(f"{name}: {tally.missed} kills hit nothing")
            continue
        tally.kills += 1
        outlived = survivors(hit)
        tally.orphans += len(outlived)
        code = ended(started(kind.arguments, trial))
        tally.resumed += code == 0
        found = contents(trial)
        left = sorted(found.keys() - expected.keys())
        differing = sorted(path for path in expected.keys() - volatile if found.get(path) != expected[path])
        tally.same += not differing
        tally.leftovers += len(left)
        if outlived or code or left or differing:
            tally.harm.append(f"after {moment:.2f} s: {[*outlived, *left, *differing][:4]} exit {code}")
    shutil.rmtree(base)
    return tally


def prepare(kind: Kind, trial: Path, base: Path) -> None:
    """Make the folder that each command begins in; made at the place of the trials, since recipes keep their path."""
    shutil.rmtree(trial, ignore_errors=True)
    trial.mkdir()
    (trial / "toy.yaml").write_text(RECIPE)
    (trial / "own.yaml").write_text(TEMPLATES)
    for file, rows in (("rows", range(100, 200)), ("asked", range(60))):
        (trial / f"{file}.jsonl").write_text("".join(json.dumps({"x": x}) + "\n" for x in rows))
    (trial / "prompts.jsonl").write_text("".join(f'"What comes after {x}?"\n' for x in range(60)))
    (trial / "code.yaml").write_text(CODE)
    (trial / "mirror.yaml").write_text(MIRROR)
    (trial / "tmp").mkdir()
    problems = [
        {
            "task_id": f"Python/{number}",
            "prompt": f"def add_{number}(x):\n",
            "canonical_solution": f"    return x + {number}\n",
            "test": f"def check(candidate):\n    assert candidate(1) == {number + 1}\n",
            "entry_point": f"add_{number}",
        }
        for number in range(4)
    ]
    (trial / "problems.jsonl").write_text("".join(json.dumps(problem) + "\n" for problem in problems))
    for command in kind.needs:
        if ended(started(command, trial)):
            raise failure(command, trial)
    trial.rename(base)


def failure(command: str, trial: Path) -> SystemExit:
    """Return the end of the battery: a command that nobody killed has failed."""
    return SystemExit(f"xmtf {command}: {(trial / 'said.txt').read_text()[-2000:]}")


def fresh(trial: Path, base: Path) -> None:
    shutil.rmtree(trial, ignore_errors=True)
    shutil.copytree(base, trial)


def whole(kind: Kind, trial: Path, base: Path) -> tuple[float, dict[str, bytes]]:
    """Run a command to its end; return the seconds that it took, and what its folder holds."""
    fresh(trial, base)
    start = time.monotonic()
    if ended(started(kind.arguments, trial)):
        raise failure(kind.arguments, trial)
    return time.monotonic() - start, contents(trial)


def started(arguments: str, folder: Path) -> int:
    """Start a command in a forked process, in a folder; return its number."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    try:
        os.setsid()
        os.chdir(folder)
        os.environ |= {TOKEN: str(os.getppid()), "TMPDIR": str(folder / "tmp"), "XMTF_CACHE": str(folder / "cache")}
        tempfile.tempdir = None
        with Path("said.txt").open("ab") as said:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
        from xmtf.cli import app

        sys.argv = ["xmtf", *arguments.split()]
        app.main()
    except SystemExit as ending:
        os._exit(ending.code if isinstance(ending.code, int) else 0)
    finally:
        os._exit(1)


def ended(process: int) -> int:
    _, status = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(status)


def killed(kind: Kind, trial: Path, moment: float) -> int | None:
    """Start a command and kill it after so many seconds; return its number, or None where it had ended already."""
    process = started(kind.arguments, trial)
    time.sleep(moment)
    os.kill(process, signal.SIGKILL)
    return process if ended(process) == -signal.SIGKILL else None


def survivors(killed: int) -> list[str]:
    """Return what processes of a killed command do after five seconds, and end them."""
    end = time.monotonic() + _PATIENCE_S
    while (found := descendants(killed)) and time.monotonic() < end:
        time.sleep(0.05)
    for number in found:
        os.kill(number, signal.SIGKILL)
    return list(found.values())


def descendants(killed: int) -> dict[int, str]:
    """Return the processes that a command has started: those of its session, and those with its environment."""
    mark, found = f"{TOKEN}={os.getpid()}".encode(), {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            _, _, about = (path / "stat").read_text().rpartition(")")
            state, _, _, session, *_ = about.split()
            ours = int(session) == killed or mark in (path / "environ").read_bytes().split(b"\0")
            if ours and state != "Z":
                found[int(path.name)] = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()[-120:]
        except OSError:
            continue  # ended, or of somebody else
    return found


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file, folders too; of manifests without times, of what a command says nothing."""
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if name == "said.txt" or (name.startswith("cache") and ".tmp" not in name):
            continue
        content = b"a folder" if path.is_dir() else path.read_bytes()
        if path.name == "manifest.json":
            value = json.loads(content)
            value["details"].pop("commit", None)
            content = json.dumps({key: value[key] for key in value if key not in _VOLATILE}).encode()
        found[name] = content
    return found


if __name__ == "__main__":
    main()
