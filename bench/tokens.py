"""Speed of the tokens room: tokenising and writing, index writing, packing plans.

    OMP_NUM_THREADS=1 XMTF_DATA_ROOT=... python bench/tokens.py [--megabytes 12] [--workers 1]

Tokenising is compared on the same text, cores and tokenizer with

* the limit: `tokenizers` alone in a bare loop, which neither reads nor writes a file;
* the original's way: one JSON line at a time through a transformers tokenizer in a process pool; a tensor,
  an array and a write for each item, then the index, as Megatron's preprocessing does.

Start-up (imports, reading the tokenizer) is measured on nothing and taken off both ways.

CPU seconds of all processes are what counts on a busy machine; wall seconds stand beside them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import random
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from xmtf.execution import Plan, ShardTask, run_plan
from xmtf.files import file_sha256
from xmtf.recipe.schema import Execution
from xmtf.tokens import load_tokenizer, train_tokenizer
from xmtf.tokens.build.encode import Ends, _cached_tokenizer
from xmtf.tokens.rows.packing import RowStream, pack
from xmtf.tokens.store.index import choose_dtype, write_index

LABELS = ("world news", "science and technology", "travel", "sports", "health", "politics")
PROMPTS = (
    "{}\nWhich topic is this about?",
    "Name the topic of the following text: {}",
    "{} Topic:",
    "What would a librarian file this under? {}",
)


def real_texts(megabytes: float) -> list[str]:
    """Distinct texts in many scripts: from the mirror where there is one, else enough names from CLDR."""
    root = os.environ.get("XMTF_DATA_ROOT")
    texts: set[str] = set()
    for path in sorted(Path(root).glob("**/*.parquet")) if root else []:
        table = pq.read_table(path)
        for column in table.columns:
            if column.type == pa.string():
                texts.update(text for text in column.to_pylist() if text and len(text) >= 20)
    if not texts:
        from babel import Locale, localedata

        for code in localedata.locale_identifiers():
            if sum(map(len, texts)) > 2e6 * megabytes:
                break
            locale = Locale.parse(code)
            texts |= {f"{name} {code}: {key}" for key, name in [*locale.languages.items(), *locale.territories.items()]}
    return sorted(texts)


def examples(megabytes: float, prompts: int) -> list[tuple[str, str]]:
    """Texts in random order, each in so many prompts."""
    chosen, size, pairs = random.Random(0), 0, []
    texts = real_texts(megabytes)
    chosen.shuffle(texts)
    for text, number in itertools.product(texts, range(prompts)):
        pairs.append((PROMPTS[number].format(text), chosen.choice(LABELS)))
        size += sum(len(side.encode()) for side in pairs[-1])
        if size > megabytes * 1e6:
            break
    chosen.shuffle(pairs)
    return pairs


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Return (wall, CPU) seconds, children included once they ended."""

    def cpu() -> float:
        usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(usage.ru_utime + usage.ru_stime for usage in usages)

    wall, before = time.perf_counter(), cpu()
    work()
    return time.perf_counter() - wall, cpu() - before


def bare_loop(folder: Path, pairs: list[tuple[str, str]]) -> None:
    import tokenizers

    core = tokenizers.Tokenizer.from_file(str(folder / "tokenizer" / "tokenizer.json"))
    for side in (0, 1):
        texts = [pair[side] for pair in pairs]
        for first in range(0, len(texts), 1000):
            for encoding in core.encode_batch(texts[first : first + 1000], add_special_tokens=False):
                assert encoding.ids is not None


def our_way(folder: Path, workers: int, shards: str = "part-*.parquet") -> None:
    """Tokenise shards as the plan of a mixture does; each process reads the tokenizer and knows no word at first."""
    _cached_tokenizer.cache_clear()
    shutil.rmtree(folder / "ours", ignore_errors=True)
    vocab_size = load_tokenizer(folder / "tokenizer").vocab_size
    tasks = tuple(
        ShardTask(
            path.stem,
            {
                "shard": str(path),
                "tokenizer": str(folder / "tokenizer"),
                "dtype": choose_dtype(vocab_size).str,
                "ends": asdict(Ends(True)),
                "special_tokens": "text",
                "validation": None,
                "shard_hash": file_sha256(path),
            },
        )
        for path in sorted(folder.glob(shards))
    )
    execution = Execution(engine="inline") if workers == 1 else Execution(workers=workers)
    run_plan(Plan("xmtf.tokens.build.encode:encode_shard", tasks), folder / "ours", execution)


_TOKENIZER: Any = None


def _start(folder: str) -> None:
    global _TOKENIZER
    from transformers import AutoTokenizer

    _TOKENIZER = AutoTokenizer.from_pretrained(folder)


def _line(line: str) -> tuple[list[int], list[int]]:
    row = json.loads(line)
    return _TOKENIZER(row["inputs"])["input_ids"], [*_TOKENIZER(" " + row["targets"])["input_ids"], 2]


def original_way(folder: Path, rows: str, workers: int, start: str) -> None:
    pool = multiprocessing.get_context(start).Pool(workers, _start, (str(folder / "tokenizer"),))
    with (folder / rows).open(encoding="utf-8") as lines, pool:
        with (folder / "inputs.bin").open("wb") as inputs, (folder / "targets.bin").open("wb") as targets:
            sizes: tuple[list[int], list[int]] = ([], [])
            for sides in pool.imap(_line, lines, 25):
                for stream, ids, side_sizes in zip((inputs, targets), sides, sizes, strict=True):
                    item = np.array(torch.IntTensor(ids).numpy(), dtype=np.uint16)
                    stream.write(item.tobytes(order="C"))
                    side_sizes.append(item.size)
            for name, side_sizes in zip(("inputs", "targets"), sizes, strict=True):
                write_index(folder / f"{name}.idx", np.array(side_sizes, dtype=np.int32), np.dtype("<u2"))
        pool.close()
        pool.join()


def tokenising(folder: Path, megabytes: float, prompts: int, workers: int, start: str) -> None:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    pairs = examples(megabytes, prompts)
    train_tokenizer([[side for pair in pairs[:20_000] for side in pair]], 8000, "causal").save(folder / "tokenizer")
    place = {"cluster": "topic", "dataset": "bench", "split": "train"}
    rows = [{"inputs": inputs, "targets": targets, "row": row, **place} for row, (inputs, targets) in enumerate(pairs)]
    step = -(-len(rows) // (4 * workers))
    for first in range(0, len(rows), step):
        pq.write_table(pa.Table.from_pylist(rows[first : first + step]), folder / f"part-{first // step:05d}.parquet")
    lines = (json.dumps({"inputs": i, "targets": t}, ensure_ascii=False) for i, t in pairs)
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    megabytes = sum(len(side.encode()) for pair in pairs for side in pair) / 1e6
    print(f"tokenising {len(pairs):,} examples, {megabytes:.1f} MB, {prompts} prompt(s) a text, {workers} worker(s)")
    ways = {
        "tokenizers alone (limit)": lambda: bare_loop(folder, pairs),
        "xmtf: Parquet to token files": lambda: our_way(folder, workers),
        "the original's way": lambda: original_way(folder, "rows.jsonl", workers, start),
    }
    pq.write_table(pa.Table.from_pylist(rows[:1]), folder / "none.parquet")
    (folder / "none.jsonl").write_text("")
    our_way(folder, workers, "none.parquet")  # in this process modules are imported once: not below
    starts = {
        "tokenizers alone (limit)": (0.0, 0.0),
        "xmtf: Parquet to token files": timed(lambda: our_way(folder, workers, "none.parquet")),
        "the original's way": timed(lambda: original_way(folder, "none.jsonl", workers, start)),
    }
    seconds = {}
    for name, way in ways.items():
        wall, cpu = timed(way)
        seconds[name] = wall - starts[name][0], cpu - starts[name][1]
    limit, ours, original = (cpu for _, cpu in seconds.values())
    for name, (wall, cpu) in seconds.items():
        print(f"  {name:30} {megabytes / cpu:6.2f} MB per CPU second ({cpu:.1f} s)   {megabytes / wall:6.2f} MB/s wall")
    print(f"  of the limit: {limit / ours:.0%} (aim 80 %); times the original: {original / ours:.1f} (aim 4)")


def indexing(folder: Path, items: int) -> None:
    sizes = np.random.RandomState(0).randint(1, 200, items).astype(np.int32)
    _, cpu = timed(lambda: write_index(folder / "many.idx", sizes, np.dtype("<u2")))
    print(f"index of {items:,} items: {cpu:.2f} CPU s (aim 5 for ten million)")


def packing(items: int) -> None:
    drawn = np.random.RandomState(0).lognormal(4.1, 1.0, items).astype(np.int64)
    inputs = np.clip(drawn, 4, 4000)
    targets = np.clip(drawn // 6, 2, 400)
    for capacity, sizes in (((2049,), (inputs + targets)[None]), ((1024, 256), np.stack([inputs, targets]))):
        rows = int(max(side.sum() / most for side, most in zip(sizes, capacity, strict=True)) * 0.98)
        for policy in ("next_fit", "best_fit", "pad"):
            stream = RowStream(pack(policy, sizes, capacity, 42, 4096))
            wanted = rows if policy != "pad" else items * 99 // 100
            _, cpu = timed(lambda stream=stream, wanted=wanted: stream.plan(wanted))  # type: ignore[misc]
            planned = stream.planned_items()
            fill = sizes[:, planned].sum(axis=1) / (stream.num_planned * np.array(capacity))
            shares = " + ".join(f"{share:.1%}" for share in fill)
            print(f"packing {items:,} examples, {policy:9} {capacity}: {cpu:5.1f} CPU s, fill {shares}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=12)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument(
        "--items", type=int, default=10_000_000, help="Of indices and packing plans (aim: 30 CPU s each)."
    )
    parser.add_argument("--toy", action="store_true", help="The smallest sizes: whether it runs, not how fast.")
    arguments = parser.parse_args()
    if arguments.toy:
        arguments.megabytes, arguments.items = 0.05, 10_000
    for prompts in (len(PROMPTS),) if arguments.toy else (1, len(PROMPTS)):
        with tempfile.TemporaryDirectory() as folder:
            start = "fork" if arguments.toy else "spawn"
            tokenising(Path(folder), arguments.megabytes, prompts, arguments.workers, start)
    with tempfile.TemporaryDirectory() as folder:
        indexing(Path(folder), arguments.items)
    packing(arguments.items)


if __name__ == "__main__":
    main()
