"""A mixture of the size of a part of xP3: made, built in a pool and on Ray, packed; time, memory, files.

    python bench/ten_million.py                                ten million examples, about an hour on two cores
    python bench/ten_million.py --examples 1000000 --engines pool

The largest tasks of xP3 in shape: pairs as in WMT22 (60,000 rows, of which the adapter keeps the 50,000 best), a table
as in FLORES (2,009 sentences, one column a language, three prompts a pair: many small tasks), and sets of code (two
prompts a row of about 600 characters). What it prints is read from the processes themselves, once a second: CPU seconds
and memory (shares of shared pages, `Pss`) of all of them together, most open files and mapped regions of one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from itertools import islice, permutations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

os.environ.setdefault("OMP_NUM_THREADS", "1")

CODES = (
    *("aka", "asm", "bam", "ben", "cat", "eng", "eus", "fon", "fra", "guj", "hin", "ibo", "ind", "kan", "kik", "kin"),
    *("lin", "lug", "mal", "mar", "npi", "nso", "nya", "ory", "pan", "por", "run", "sna", "sot", "spa", "swh", "tam"),
    *("tel", "tsn", "tso", "tum", "twi", "urd", "vie", "wol", "xho", "yor", "zul"),
)
"""Languages of xP3's FLORES pairs."""
TABLE = {"dev": 997, "devtest": 1012}
PAIR_ROWS, PAIR_KEPT = 60_000, 50_000
PROMPTS = {
    "pair": ["Translate to {{target_language_name}}: {{source}} ||| {{target}}"],
    "table": [
        "{{source_language_name}}: {{source}}\n{{target_language_name}}: ||| {{target}}",
        "Say in {{target_language_name}}: {{source}} ||| {{target}}",
        "{{source}}\nThe same in {{target_language_name}}: ||| {{target}}",
    ],
    "code": ["Solve with code: {{text}} ||| {{code}}", "{{code}}\nWhat does this program do? ||| {{text}}"],
}


@dataclass(frozen=True, slots=True)
class Shape:
    """How many tasks of each kind; examples in all about 40 %, 40 %, 20 %."""

    pairs: int
    pair_rows: int
    tables: int
    codes: int
    code_rows: int

    @classmethod
    def of(cls, examples: int) -> Shape:
        """Return the tasks that make about so many examples."""
        pairs = max(1, round(0.4 * examples / PAIR_KEPT))
        codes = max(1, round(0.2 * examples / 200_000))
        tables = max(2, round(0.4 * examples / (3 * sum(TABLE.values()))))
        pair_rows = PAIR_ROWS if examples >= 2 * PAIR_KEPT / 0.4 else round(0.4 * examples)
        return cls(pairs, pair_rows, tables, codes, min(100_000, round(0.1 * examples / codes)))


class Words:
    """Texts that are slices of one long text of made words, so that millions take seconds."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        syllables = np.array([a + b for a in "bdfgklmnprst" for b in ("a", "e", "i", "o", "u", "an", "er", "ist")])
        words = np.array(
            ["".join(self.random.choice(syllables, size)) for size in 1 + self.random.poisson(1.2, 20_000)]
        )
        frequency = 1 / np.arange(1, len(words) + 1)
        chosen = self.random.choice(words, 2_000_000, p=frequency / frequency.sum())
        lengths = np.char.str_len(chosen)
        self.starts = np.concatenate([[0], np.cumsum(lengths + 1)])
        self.text = " ".join(chosen)

    def texts(self, count: int, length: float) -> list[str]:
        """Return texts of about so many words."""
        sizes = np.maximum(3, self.random.lognormal(np.log(length), 0.4, count)).astype(int)
        first = self.random.integers(0, len(self.starts) - 1 - sizes.max(), count)
        begin, end = self.starts[first].tolist(), (self.starts[first + sizes] - 1).tolist()
        return [self.text[a:b] for a, b in zip(begin, end, strict=True)]


def make(folder: Path, shape: Shape) -> Path:
    """Write a mirror, its catalogue and templates, and a recipe; return the recipe."""
    words, mirror = Words(0), folder / "mirror"
    pairs = list(islice(permutations(CODES, 2), shape.pairs))
    for a, b in pairs:
        sides = [words.texts(shape.pair_rows, 22) for _ in range(2)]
        both = pa.StructArray.from_arrays([pa.array(side) for side in sides], names=[a, b])
        scores = words.random.random(shape.pair_rows)
        write(mirror / f"bench/wmt22/{a}-{b}/train.parquet", {"translation": both, "laser_score": scores})
    tabled = list(islice(permutations(CODES, 2), shape.tables))
    codes = sorted({code for pair in tabled for code in pair})
    for split, rows in TABLE.items():
        columns = {f"sentence_{code}": words.texts(rows, 20) for code in codes}
        write(mirror / f"bench/flores/all/{split}.parquet", {"id": range(rows), **columns})
    for number in range(shape.codes):
        columns = {"text": words.texts(shape.code_rows, 25), "code": words.texts(shape.code_rows, 90)}
        write(mirror / f"bench/code{number}/train.parquet", columns)
    for kind, prompts in PROMPTS.items():
        (folder / f"{kind}.yaml").write_text(promptsource_yaml(kind, prompts), encoding="utf-8")
    entries = [
        entry("pair", "bench/wmt22", adapter="wmt22", subsets={f"{a}-{b}": b for a, b in pairs}),
        entry("table", "bench/flores", adapter="flores", table="all", subsets={f"{a}-{b}": b for a, b in tabled}),
        *(entry("code", f"bench/code{number}", language="code") for number in range(shape.codes)),
    ]
    entries[1]["splits"] = {"train": list(TABLE)}
    (folder / "shapes.yaml").write_text(json.dumps({"tasks": entries}), encoding="utf-8")
    recipe = {
        "name": "ten-million",
        "offline": True,
        "catalogues": ["shapes.yaml"],
        "mixture": {"tasks": [{"catalogue": "shapes", "tasks": ["*"]}]},
        "tokens": {"tokenizer": {"train_vocab_size": 8192}, "packing": {"sequence_length": 2048}},
        "model": {"architecture": "bloom", "hidden_size": 8, "num_layers": 1, "num_heads": 1},
        "training": {"steps": 1},
    }
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(recipe), encoding="utf-8")
    return path


def entry(kind: str, dataset: str, **more: object) -> dict[str, object]:
    key = dataset.replace("/", "-")
    return {
        "id": key, "cluster": kind, "dataset": dataset, "templates": f"{kind}.yaml", "splits": {"train": ["train"]},
        "licence": "made", **more,
    }  # fmt: skip


def write(path: Path, columns: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, compression="zstd")


def promptsource_yaml(kind: str, prompts: list[str]) -> str:
    lines = [f"dataset: {kind}", "templates:"]
    for number, jinja in enumerate(prompts):
        key = f"00000000-0000-4000-8000-{number:012d}"
        lines += [
            f"  {key}: !Template",
            "    answer_choices: null",
            f"    id: {key}",
            f"    jinja: {json.dumps(jinja)}",
            "    metadata: !TemplateMetadata {languages: [en], metrics: [], original_task: true}",
            f"    name: prompt-{number}",
            "    reference: ''",
        ]
    return "\n".join(lines) + "\n"


@dataclass(slots=True)
class Watched:
    """What the processes of one command took."""

    wall_s: float = 0.0
    cpu: dict[int, float] = field(default_factory=dict)
    memory: int = 0
    files: int = 0
    maps: int = 0

    def look(self, root: int) -> None:
        """Read all processes below one."""
        memory = 0
        for pid in below(root):
            try:
                stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                self.cpu[pid] = (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
                memory += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) * 1024
                self.files = max(self.files, len(list(Path(f"/proc/{pid}/fd").iterdir())))
                self.maps = max(self.maps, Path(f"/proc/{pid}/maps").read_text().count("\n"))
            except (OSError, StopIteration, ValueError):
                continue  # it ended meanwhile
        self.memory = max(self.memory, memory)


def below(root: int) -> list[int]:
    """Return a process and all that it started."""
    found, left = [], [root]
    while left:
        pid = left.pop()
        found.append(pid)
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                left += map(int, task.read_text().split())
            except OSError:
                continue  # it ended meanwhile
    return found


def run(arguments: list[str], mirror: Path) -> Watched:
    """Run the command line and watch it."""
    watched, start = Watched(), time.perf_counter()
    environment = os.environ | {"XMTF_DATA_ROOT": str(mirror), "XMTF_PROGRESS": "off"}
    command = [sys.executable, "-m", "xmtf", *arguments]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            watched.look(process.pid)
            time.sleep(1.0)
    if process.returncode:
        sys.exit(f"{' '.join(arguments)}: exit code {process.returncode}")
    watched.wall_s = time.perf_counter() - start
    return watched


def folder_line(name: str, folder: Path, watched: Watched) -> str:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in paths)
    cpu = sum(watched.cpu.values())
    return (
        f"{name:5} {watched.wall_s:6.0f} s wall {cpu:6.0f} s CPU {watched.memory / 2**20:6.0f} MB "
        f"{len(paths):7,} files {size / 2**30:5.2f} GiB; in one process {watched.files:,} open files, "
        f"{watched.maps:,} maps"
    )


def toy(folder: Path) -> None:
    """Build 20,000 examples in this process."""
    from xmtf.mixture import build_mixture
    from xmtf.recipe import load_recipe

    os.environ["XMTF_DATA_ROOT"] = str(folder / "mirror")
    recipe = make(folder, Shape.of(20_000))
    start = time.process_time()
    manifest = build_mixture(load_recipe(recipe, ["execution.engine=inline"]), folder / "out")
    counts = manifest.counts
    print(f"{counts['out']:,} of {counts['in']:,} examples, {time.process_time() - start:.1f} CPU s")
    assert counts["in"] >= 19_000, counts
    assert counts["out"] > 0.99 * counts["in"], counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=10_000_000)
    parser.add_argument("--engines", default="pool,ray")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--no-pack", action="store_true")
    parser.add_argument("--toy", action="store_true")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="xmtf-ten-million-"))
    try:
        if arguments.toy:
            toy(folder)
            return
        start = time.perf_counter()
        recipe = make(folder, Shape.of(arguments.examples))
        print(f"made {Shape.of(arguments.examples)} in {time.perf_counter() - start:.0f} s", flush=True)
        hashes = set()
        for engine in arguments.engines.split(","):
            out = folder / engine
            how = [f"execution.engine={engine}", f"execution.workers={arguments.workers}", "--out", str(out)]
            if engine == "ray":
                how.append("execution.address=local")
            watched = run(["data", "build", str(recipe), *how], folder / "mirror")
            manifest = json.loads((out / "manifest.json").read_text())
            hashes.add(json.dumps(manifest["outputs"], sort_keys=True))
            print(folder_line(engine, out, watched), f"{manifest['counts']['out']:,} examples", flush=True)
            if engine != arguments.engines.split(",")[-1]:
                shutil.rmtree(out)
        if "," in arguments.engines:
            print("the same bytes" if len(hashes) == 1 else "DIFFERENT bytes", flush=True)
        if not arguments.no_pack:
            tokens = folder / "tokens"
            how = ["--mixture", str(out), "--out", str(tokens), f"execution.workers={arguments.workers}"]
            watched = run(["data", "pack", str(recipe), *how], folder / "mirror")
            print(folder_line("pack", tokens, watched), flush=True)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
