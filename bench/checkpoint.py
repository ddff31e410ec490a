"""Seconds that the hashes of a checkpoint cost, beside writing and reading it.

    python bench/checkpoint.py
    python bench/checkpoint.py --layers 12 --repeats 5

One process on a CPU saves a BLOOM with AdamW's moments and finds the checkpoint again, which reads all of it and
compares hashes; then it loads it. "Hashing" is the hash of as many bytes in memory, which is what saving pays on top.
Medians; files are in the page cache, so reading costs no disk.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument("--vocab", type=int, default=32_000)
    parser.add_argument("--toy", action="store_true", help="The smallest sizes: whether it runs, not how fast.")
    options = parser.parse_args()
    if options.toy:
        options.layers, options.repeats, options.hidden, options.vocab = 1, 1, 32, 100
    import torch
    import xxhash

    from xmtf.training.checkpoint import checkpoint
    from xmtf.training.checkpoint.state import TrainingProgress

    torch.set_num_threads(1)
    model, optimizer = trained(options)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = checkpoint.save(folder, model, optimizer, TrainingProgress(step=1), "bench")
        num_bytes = sum(file.stat().st_size for file in path.iterdir())
        content = os.urandom(min(2**28, num_bytes))  # more than a processor's cache
        rounds = num_bytes // len(content)

        def hash_as_much() -> None:
            digest = xxhash.xxh3_128()
            for _ in range(rounds):
                digest.update(content)

        cases: dict[str, Callable[[], Any]] = {
            "saving": lambda: checkpoint.save(folder, model, optimizer, TrainingProgress(step=1), "bench"),
            "hashing": hash_as_much,
            "finding": lambda: checkpoint.find_checkpoint(folder, "bench", 1),
            "loading": lambda: checkpoint.load(path, model, optimizer),
        }
        for case, call in cases.items():
            seconds = statistics.median(timed(call) for _ in range(options.repeats))
            print(f"{case:<8} {seconds:6.2f} s  {num_bytes / seconds / 1e9:6.3f} GB/s")
        print(f"checkpoint of {num_bytes / 1e9:.3f} GB")


def trained(options: argparse.Namespace) -> tuple[Any, Any]:
    """Return a model and its optimizer after an update."""
    import torch

    from xmtf.models import SpecialTokens, build_model
    from xmtf.recipe.schema import Model, Optimizer
    from xmtf.training.optim.optimizer import build_optimizer

    sizes = {"hidden_size": options.hidden, "num_layers": options.layers, "vocab_size": options.vocab}
    shape = Model(architecture="bloom", num_heads=16, **sizes)
    model = build_model(shape, vocab_size=options.vocab, special=SpecialTokens(3, 2, 1), seed=0)
    optimizer = build_optimizer(model, Optimizer())
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    optimizer.zero_grad()
    return model, optimizer


def timed(call: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
