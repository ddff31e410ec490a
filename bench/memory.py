"""The memory estimate beside measured peaks: whole training steps of small BLOOM and mT5 on the CPU.

    python bench/memory.py
    python bench/memory.py --only mt5 --json

Two optimizer steps of the training loop's own step on random rows, one thread. Measured: the most resident memory of
the process (VmHWM, reset before each case) over what it had before the model was made. The allocator is told to give
freed memory back at once (MALLOC_MMAP_THRESHOLD_ and MALLOC_TRIM_THRESHOLD_ of glibc), so what is resident is what is
in use. The estimate is `xmtf.training.memory.estimate_memory` with the share of predicted positions of the rows.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

_MALLOC = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"}
BLOOM = {"architecture": "bloom", "hidden_size": 256, "num_layers": 4, "num_heads": 8, "vocab_size": 2048}
MT5 = {
    "architecture": "mt5", "hidden_size": 192, "num_layers": 3, "num_heads": 6, "head_size": 32,
    "feedforward_size": 512, "vocab_size": 2048,
}  # fmt: skip
# name -> model, keys of the training section, rows of a micro-batch, micro-batches, lengths of rows
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], int, int, tuple[int, int]]] = {
    "bloom": (BLOOM, {}, 2, 2, (512, 0)),
    "bloom, long rows": (BLOOM, {}, 1, 2, (1024, 0)),
    "bloom, many rows": (BLOOM | {"num_layers": 3}, {}, 8, 2, (256, 0)),
    "bloom, one micro-batch": (BLOOM, {}, 2, 1, (512, 0)),
    "bloom, deep": (BLOOM | {"hidden_size": 128, "num_layers": 16}, {}, 2, 2, (512, 0)),
    "bloom, large vocabulary": (BLOOM | {"hidden_size": 128, "vocab_size": 100_000}, {}, 2, 2, (512, 0)),
    "bloom, bf16": (BLOOM, {"precision": "bf16"}, 2, 2, (512, 0)),
    "bloom, bf16_pure": (BLOOM, {"precision": "bf16_pure"}, 2, 2, (512, 0)),
    "bloom, checkpointing": (BLOOM, {"activation_checkpointing": True}, 4, 2, (512, 0)),
    "bloom, bf16, checkpointing": (BLOOM, {"activation_checkpointing": True, "precision": "bf16"}, 4, 2, (512, 0)),
    "bloom, dropout": (BLOOM | {"dropout": 0.1}, {}, 2, 2, (512, 0)),
    "bloom, adafactor": (BLOOM, {"optimizer": {"name": "adafactor"}}, 2, 2, (512, 0)),
    "mt5": (MT5, {}, 2, 2, (512, 256)),
    "mt5, adafactor, bf16": (MT5, {"optimizer": {"name": "adafactor"}, "precision": "bf16"}, 2, 2, (512, 256)),
    "mt5, checkpointing": (MT5, {"activation_checkpointing": True}, 4, 2, (512, 256)),
    "mt5, dropout": (MT5 | {"dropout": 0.1}, {}, 2, 2, (512, 256)),
    "mt5, large vocabulary": (MT5 | {"hidden_size": 128, "vocab_size": 60_000}, {}, 2, 2, (256, 128)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="Only cases whose name holds this.")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if any(os.environ.get(key) != value for key, value in _MALLOC.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | _MALLOC | {"OMP_NUM_THREADS": "1"})
    measure("bloom")  # loads everything that is loaded once
    results = []
    for name in (name for name in CASES if options.only in name):
        results.append(measure(name))
        if not options.json:
            print(_line(results[-1]), flush=True)
    if options.json:
        print(json.dumps(results, indent=2))
    else:
        print(f"farthest from 1: {max((abs(result['ratio'] - 1), result['case']) for result in results)}")


def _line(result: dict[str, Any]) -> str:
    parts = ", ".join(f"{part} {value / 1e6:.1f}" for part, value in result["parts"].items())
    estimated, measured = result["estimated"] / 1e6, result["measured"] / 1e6
    return (
        f"{result['case']:<28} {estimated:7.1f} MB estimated {measured:7.1f} measured {result['ratio']:6.3f} ({parts})"
    )


def measure(name: str) -> dict[str, Any]:
    """Return estimate and measured peak of a case, in bytes."""
    from xmtf.models import SpecialTokens, build_model
    from xmtf.training.memory import estimate_memory

    model, training, rows, micro, lengths = CASES[name]
    recipe = make_recipe(model, training, rows, micro, lengths)
    meta = build_model(
        recipe.model, vocab_size=model["vocab_size"], special=SpecialTokens(3, 2, 1), seed=0, device="meta"
    )
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    share = two_steps(recipe, rows, micro)
    peak = resident("VmHWM") - before
    estimate = estimate_memory(meta, recipe, predicted_share=share)
    parts = {part: getattr(estimate, part) for part in ("weights", "gradients", "optimizer", "activations", "logits")}
    return {"case": name, "estimated": estimate.total, "measured": peak, "ratio": estimate.total / peak, "parts": parts}


def make_recipe(
    model: dict[str, Any], training: dict[str, Any], rows: int, micro: int, lengths: tuple[int, int]
) -> Any:
    from xmtf.recipe.schema import Recipe

    packing = {"sequence_length": lengths[0]} | ({"target_length": lengths[1]} if lengths[1] else {})
    batch = {"steps": 2, "global_batch_rows": rows * micro, "micro_batch_rows": rows, "device": "cpu"}
    return Recipe.model_validate(
        {
            "name": "memory",
            "mixture": {"tasks": [{}]},
            "tokens": {"packing": packing},
            "model": model,
            "training": batch | training,
        }
    )


def two_steps(recipe: Any, rows: int, micro: int) -> float:
    """Train two steps; return the share of decoder positions that were predicted."""
    import torch

    from xmtf.models import SpecialTokens, build_model
    from xmtf.training.head import Head
    from xmtf.training.objective import Objective
    from xmtf.training.optimizer import build_optimizer
    from xmtf.training.precision import compute_dtype, place
    from xmtf.training.step import GlobalBatch, Step
    from xmtf.training.targets import loss_scales, select_targets

    torch.set_num_threads(1)
    device = torch.device("cpu")
    model: Any = build_model(recipe.model, vocab_size=recipe.model.vocab_size, special=SpecialTokens(3, 2, 1), seed=0)
    place(model, recipe, device)
    objective = Objective(model, Head(model, compute_dtype=compute_dtype(recipe.training.precision)), 1, device)
    step = Step(model, objective, build_optimizer(model, recipe.training.optimizer), recipe.training, 2, seed=0)
    for index in range(2):
        batches = [random_rows(recipe, rows, seed=index * micro + number) for number in range(micro)]
        targets = [select_targets(batch, "target") for batch in batches]
        outcome = step(index, GlobalBatch(batches, targets, loss_scales(targets, "target")))
        assert outcome.updated
    packing = recipe.tokens.packing
    return len(targets[0].positions) / (rows * (packing.target_length or packing.sequence_length))


def random_rows(recipe: Any, rows: int, seed: int) -> Any:
    """Return packed rows of four examples each; of a causal row every seventh token is a target."""
    import numpy as np

    rng, vocab_size, packing = np.random.default_rng(seed), recipe.model.vocab_size, recipe.tokens.packing

    def segments(length: int) -> Any:
        return np.tile(np.repeat(np.arange(1, 5, dtype=np.int32), -(-length // 4))[:length], (rows, 1))

    groups = np.zeros((rows, 4), np.int32)
    if recipe.model.architecture == "bloom":
        length = packing.sequence_length + 1
        return SimpleNamespace(
            tokens=rng.integers(5, vocab_size, (rows, length)),
            segment_ids=segments(length),
            is_input=np.tile(np.arange(length) % 7 > 0, (rows, 1)),
            groups=groups,
        )
    targets = rng.integers(5, vocab_size, (rows, packing.target_length))
    return SimpleNamespace(
        encoder_tokens=rng.integers(5, vocab_size, (rows, packing.sequence_length)),
        encoder_segment_ids=segments(packing.sequence_length),
        decoder_inputs=targets,
        decoder_targets=targets,
        decoder_segment_ids=segments(packing.target_length),
        groups=groups,
    )


def resident(key: str) -> int:
    """Return a line of /proc/self/status in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {key}")


if __name__ == "__main__":
    main()
