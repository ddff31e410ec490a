"""Run the benchmarks that docs/performance.md is made from, one after the other, and gather what they print.

    OMP_NUM_THREADS=1 nice python bench/everything.py --out performance.md
    OMP_NUM_THREADS=1 nice python bench/everything.py --only generate starts --out part.md

Every benchmark is a process with one thread and the arguments of the page. The file has date, processor and load, and
for each benchmark the command, what it printed, and its CPU seconds; it is written after each of them, so a run that is
stopped leaves what it has. What needs another environment is left out and named: promptsource and TRL are measured
where ``--promptsource-python`` and ``--trl-python`` name an interpreter that has them.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import sys
import time
from pathlib import Path

from apart import run_apart

BENCH = Path(__file__).parent
RUNS = (
    ("templates", "templates.py", ""),
    ("mixture", "mixture.py", ""),
    ("near-duplicates", "near_duplicates.py", "--texts 12000 --words 60"),
    ("tokens", "tokens.py", ""),
    ("loader", "loader.py", ""),
    ("starts", "starts.py", ""),
    ("train-rows", "train.py", "--shape bloom-demo --rows 256 512 2048 4096 --variants short ours --repeats 3"),
    ("train-hub", "train.py", "--shape llama-demo --rows 512 2048 --variants short ours --repeats 3"),
    ("train-bf16", "train.py", "--shape bloom-demo --precision bf16 --rows 512 2048 --variants short ours --repeats 3"),
    ("train-vocabulary-bf16", "train.py", "--shape bloom-small --precision bf16 --variants short ours --repeats 3"),
    ("train-vocabulary", "train.py", "--shape bloom-small --repeats 2"),
    ("rank", "evaluate.py", "--cases short,single,long --items 12 --ways ours,short,repeat,lm_eval"),
    ("rank-templates", "evaluate.py", "--cases templates --items 10 --ways ours,short,lm_eval"),
    ("rank-bf16", "evaluate.py", "--cases short,single,long,templates --items 12 --ways ours,short --dtype bfloat16"),
    ("generate", "generate.py", ""),
)
"""Name, script and arguments."""
PYTHONS = {"templates": "promptsource", "mixture": "promptsource", "train-vocabulary": "trl"}
"""Whose peer is in another environment."""
OPTIONS = {"templates": "--promptsource", "mixture": "--peers", "train-vocabulary": "--trl-python"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [name for name, *_ in RUNS]
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--out", type=Path, default=Path("performance.md"))
    parser.add_argument("--promptsource-python", metavar="PYTHON")
    parser.add_argument("--trl-python", metavar="PYTHON")
    parser.add_argument("--toy", action="store_true", help="The smallest sizes: whether it runs, not how fast.")
    options = parser.parse_args()
    pythons = {"promptsource": options.promptsource_python, "trl": options.trl_python}
    if options.toy:
        options.only, options.out = ["near-duplicates"], Path(os.environ.get("TMPDIR", "/tmp")) / "performance.md"
    parts, failed = [machine()], []
    for name, script, arguments in RUNS:
        if name not in options.only:
            continue
        more = ["--toy"] if options.toy else arguments.split()
        python = pythons.get(PYTHONS.get(name, ""))
        if python:
            more += [OPTIONS[name], python]
        found, code = measure(name, script, more, forked=options.toy)
        if name in PYTHONS and not python:
            found += f"\nWithout the peer that needs `--{PYTHONS[name]}-python`.\n"
        if code:
            failed.append(name)
        parts.append(found)
        options.out.write_text("\n".join(parts), encoding="utf-8")
        print(found, flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def measure(name: str, script: str, arguments: list[str], *, forked: bool) -> tuple[str, int]:
    """Run one benchmark; return its part of the page, and its exit code."""
    load, begun, before = os.getloadavg()[0], time.perf_counter(), spent()
    environment = dict(os.environ) | {"OMP_NUM_THREADS": "1"}
    done = run_apart([sys.executable, str(BENCH / script), *arguments], forked=forked, environment=environment)
    printed = done.stdout.strip()
    if done.returncode:
        printed += f"\nexit code {done.returncode}: " + (done.stderr.strip().splitlines() or ["no message"])[-1]
    command = " ".join(["python", f"bench/{script}", *arguments])
    used = f"{spent() - before:.0f} CPU s, {time.perf_counter() - begun:.0f} s by the clock, load {load:.1f} before"
    body = printed if any(line.startswith("|") for line in printed.splitlines()) else f"```\n{printed}\n```"
    return f"## {name}\n\n    {command}\n\n{body}\n\n{used}\n", done.returncode


def spent() -> float:
    """Return CPU seconds of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def machine() -> str:
    """Return date and machine."""
    import torch

    capability = torch.backends.cpu.get_cpu_capability()
    date = time.strftime("%Y-%m-%d")
    return (
        f"# Benchmarks\n\n{date}, {platform.machine()}, {os.cpu_count()} cores ({capability}), one thread, "
        f"load {os.getloadavg()[0]:.1f}; Python {platform.python_version()}, torch {torch.__version__}.\n"
    )


if __name__ == "__main__":
    main()
