"""What building a mixture of one large split takes: CPU seconds and memory, alone or beside another version.

    python bench/split.py                                   300,000 short rows, one template, no cap, no suite
    python bench/split.py --against /tmp/before/src         and the package in this folder, in turn
    python bench/split.py --suite 1000                      and a suite of so many rows with the words of the split

Every run is a process of its own, `engine: inline`. `build` is the CPU time of the build without imports, `command`
that of the whole process; `peak` is its largest memory. Both versions must write the same rows unless --any-bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ten_million import Words, promptsource_yaml

PROGRAM = """
import json, pathlib, sys, time
from xmtf.mixture import build_mixture
from xmtf.recipe import load_recipe
try:
    from xmtf.pandas_later import leave_pandas_out
except ImportError:  # a version that loads pandas at its first array
    leave_pandas_out = lambda: None
recipe = load_recipe(pathlib.Path(sys.argv[1]))
start = time.process_time()
leave_pandas_out()
manifest = build_mixture(recipe, pathlib.Path(sys.argv[2]))
build = time.process_time() - start
peak = int(pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
took = {"build": build, "command": time.process_time(), "peak": peak, "written": manifest.counts["out"]}
print(json.dumps(took))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--suite", type=int, default=0, help="Rows of a suite.")
    parser.add_argument("--against", type=Path, help="The src folder of another version.")
    parser.add_argument("--runs", type=int, default=5, help="Of each, in turn.")
    parser.add_argument("--any-bytes", action="store_true", help="Compare versions that write different rows.")
    parser.add_argument("--toy", action="store_true", help="The smallest size: whether it runs, not how fast.")
    arguments = parser.parse_args()
    if arguments.toy:
        arguments.rows, arguments.runs = 200, 1
    versions = {"here": Path(__file__).parents[1] / "src"} | ({"there": arguments.against} if arguments.against else {})
    took: dict[str, list[dict[str, float]]] = {name: [] for name in versions}
    rows: dict[str, pa.Table] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        recipe = make(folder, arguments.rows, arguments.suite)
        for _ in range(arguments.runs):
            for version, source in versions.items():
                out = folder / version
                shutil.rmtree(out, ignore_errors=True)
                took[version].append(build(source, recipe, out))
                rows[version] = read(out)
    print(f"{'version':<8}{'build, mean':>13}{'best':>8}{'command':>10}{'best':>8}{'peak MiB':>10}{'written':>10}")
    for version, runs in took.items():
        both = [[run[name] for run in runs] for name in ("build", "command")]
        figures = "".join(
            f"{statistics.mean(each):>{width}.2f}{min(each):>8.2f}" for each, width in zip(both, (13, 10), strict=True)
        )
        print(f"{version:<8}{figures}{max(run['peak'] for run in runs):>10.0f}{runs[0]['written']:>10,}")
    if len(rows) == 2 and not arguments.any_bytes and not rows["here"].equals(rows["there"]):
        raise SystemExit("the two versions write different rows")


def make(folder: Path, rows: int, suite: int) -> Path:
    """Write the split, a suite and a recipe; return the recipe."""
    words = Words(0)
    templates = {"rows": ["Answer: {{question}} ||| {{answer}}"], "asked": ["Say: {{question}} ||| {{answer}}"]}
    for name, count in (("rows", rows), ("asked", suite)):
        table = pa.table({"question": words.texts(count, 15), "answer": words.texts(count, 5)} if count else {})
        pq.write_table(table, folder / f"{name}.parquet")
        (folder / f"{name}.yaml").write_text(promptsource_yaml(name, templates[name]), encoding="utf-8")
    tasks = [{"id": "rows", "path": "rows.parquet", "templates": "rows.yaml", "language": "en"}]
    asked = {"id": "asked", "path": "asked.parquet", "templates": "asked.yaml", "language": "en"}
    if suite:
        tasks.append(asked | {"role": "evaluation", "split": "test"})
    recipe = {
        "name": "split",
        "execution": {"engine": "inline"},
        "own_tasks": tasks,
        "mixture": {"tasks": [{"tasks": ["rows"]}], "cap_examples": None},
        "evaluation": {"suites": [{"name": "asked", "tasks": [{"tasks": ["asked"]}]}] if suite else []},
        "model": {"architecture": "bloom", "hidden_size": 8, "num_layers": 1, "num_heads": 1},
        "training": {"steps": 1},
    }
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(recipe), encoding="utf-8")
    return path


def read(folder: Path) -> pa.Table:
    """Return the rows of a mixture."""
    parts = sorted(folder.glob("*/*.parquet"))
    return pa.concat_tables([pq.ParquetFile(part).read(["inputs", "targets"]) for part in parts])


def build(source: Path, recipe: Path, out: Path) -> dict[str, float]:
    """Build the mixture with the package in ``source``; return what it took."""
    environment = os.environ | {"PYTHONPATH": str(source), "OMP_NUM_THREADS": "1", "XMTF_PROGRESS": "off"}
    environment |= {"ARROW_NUM_THREADS": "1", "OMP_THREAD_LIMIT": "1"}
    command = [sys.executable, "-c", PROGRAM, str(recipe), str(out)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return dict(json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    main()
